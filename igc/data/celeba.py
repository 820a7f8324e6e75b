"""`CelebA`: 202,599 photographs of 10,177 celebrities, with five landmarks (Liu and others, ICCV 2015)."""

import hashlib
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from igc.data import crop
from igc.data.faceset import FaceSet, images, stem, table
from igc.data.tree import Tree
from igc.errors import UserError

PAGE = "get it from mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
MD5 = {
    "img_align_celeba.zip": "00d2c5bc6d35e252742224ab0c1e8fcb",
    "identity_CelebA.txt": "32bd1bd63d3c78cd57e08160ec5ed1e2",
    "list_bbox_celeba.txt": "00566efa6fedff7a56946cd1c10f1c16",
    "list_landmarks_align_celeba.txt": "cc24ecafdb5b50baae59b03474781f8c",
    "list_landmarks_celeba.txt": "063ee6ddb681f96bc9ca28c6febb9d1a",
    "list_eval_partition.txt": "d32c9cbf5e040fd4025c592c306e6668",
}
"""Of the released files, as torchvision's reader states them; the set's own page publishes none."""

_md5 = partial(hashlib.md5, usedforsecurity=False)


class CelebA(FaceSet):
    """CelebA, aligned and cropped (the default) or in the wild; the official split.

    Where: mmlab.ie.cuhk.edu.hk/projects/CelebA.html. Licence: non-commercial research only; the images
    are not to be passed on. Expected below `root`, in any folder of it (Img, Anno and
    Eval as released, or flat)::

        img_align_celeba.zip  or  img_align_celeba/000001.jpg ... (or img_align_celeba_png/)
        list_eval_partition.txt
        list_landmarks_align_celeba.txt     left out with without=("landmarks",)
        identity_CelebA.txt                 left out with without=("identity",)

    In the wild (`wild=True`): img_celeba/000001.jpg ..., unpacked from img_celeba.7z, and
    list_landmarks_celeba.txt; without landmarks list_bbox_celeba.txt gives the frame.
    Items: `image`, `identity`, `landmarks` (5, 2): left eye, right eye, nose, left and right corner of the
    mouth as the viewer sees them; `split`. The frame follows from the landmarks. Checksums are in `MD5`: a
    file with another one is used, and reported among what was skipped; the archive's is only compared with
    split="all", with which a set is prepared, as it takes seconds.
    """

    LABEL, WHERE, OPTIONAL, OFFICIAL = "celeba", PAGE, ("landmarks", "identity"), True

    def __init__(self, root, split="train", size=64, without=(), detector=None, wild=False):
        self.wild = bool(wild)
        self.LABEL = "celeba-wild" if wild else "celeba"
        super().__init__(root, split, size, without, detector)

    def _open(self):
        self.tree = Tree(self.root)
        self.skipped = list(self.tree.skipped)
        files = self._images()
        if self.split == "all":
            for path in (path for path in self.tree.archives if path.name in MD5):
                with open(path, "rb") as file:
                    self._compare(path.name, hashlib.file_digest(file, _md5))
        keys, codes = self._table("list_eval_partition.txt", 1)
        if len(codes) and not np.isin(codes, (0, 1, 2)).all():
            raise UserError("list_eval_partition.txt may hold 0, 1 and 2 only: fetch it again.")
        self._row = {key.rpartition(".")[0]: i for i, key in enumerate(keys)}
        self._points = self._boxes = self._people = None
        if "landmarks" not in self.without:
            name = f"list_landmarks_{'' if self.wild else 'align_'}celeba.txt"
            self._points = self._aligned(name, 10, 2, keys).reshape(-1, 5, 2)
        elif self.wild:
            self._boxes = self._aligned("list_bbox_celeba.txt", 4, 2, keys)
        if "identity" not in self.without:
            self._people = self._aligned("identity_CelebA.txt", 1, 0, keys)[:, 0]
        for name in [n for n in files if stem(n) not in self._row]:
            self._skip(name, "has no line in list_eval_partition.txt: fetch that file again")
        files = {stem(name): name for name in files if stem(name) in self._row}
        for key in (k for k in keys if k.rpartition(".")[0] not in files):
            self._skip(key, f"is listed but missing: {PAGE}")
        names = sorted(files.values())
        return names, bytes(int(codes[self._row[stem(name)], 0]) for name in names)

    def truth(self, name):
        row, out = self._row[stem(name)], {}
        if self._people is not None:
            out["identity"] = int(self._people[row])
        if self._points is not None:
            out["landmarks"] = self._points[row].astype(np.float32)
        return out

    def frame(self, name, dimensions):
        if self._boxes is None:
            return super().frame(name, dimensions)
        left, top, width, height = self._boxes[self._row[stem(name)]].tolist()
        return crop.given_box((left, top, left + width, top + height), dimensions)

    def _images(self):
        wanted = ("img_celeba",) if self.wild else ("img_align_celeba", "img_align_celeba_png")
        found = [name for name in images(self.tree) if PurePosixPath(name).parent.name in wanted]
        if not found:
            what = "img_celeba (unpack img_celeba.7z)" if self.wild else "img_align_celeba.zip"
            self.tree.find(what, PAGE)
        return found

    def _table(self, filename, columns, header=0):
        data = self.tree.read(self.tree.find(filename, self._remedy(filename)))
        self._compare(filename, _md5(data))
        return table(data, filename, columns, header)

    def _compare(self, filename, digest):
        if digest.hexdigest() != MD5.get(filename, digest.hexdigest()):
            self._skip(filename, "is not the released file (its MD5 differs): fetch it, if you need that one")

    def _remedy(self, filename):
        kind = next((k for k in self.OPTIONAL if k in filename), None)
        return PAGE + (f", or do without it: {kind!r} among those left out" if kind else "")

    def _aligned(self, filename, columns, header, keys):
        """A list's numbers in the order of `keys`. UserError if it leaves one of them out."""
        found, rows = self._table(filename, columns, header)
        if found == keys:
            return rows
        place = {key: i for i, key in enumerate(found)}
        missing = next((key for key in keys if key not in place), None)
        if missing is not None:
            raise UserError(f"{filename} has no line for {missing}: {PAGE}.")
        return rows[[place[key] for key in keys]]
