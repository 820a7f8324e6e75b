"""What the readers of face sets on disk share: splits, framing and items. `Photographs` is the plainest."""

import csv
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import numpy as np
import torch
from torch.utils.data import Dataset

from igc.data import crop
from igc.data.folder import THREADS, EmptySplit, split_of
from igc.data.images import EXTENSIONS, check_size, planar, shown, upright_rgb
from igc.data.tree import Tree
from igc.errors import UserError

SPLITS = ("train", "validation", "test")


class FaceSet(Dataset):
    """A set of face images on disk: a Dataset whose items are cropped when they are asked for.

    root: the folder, or a zip archive. split: train, validation, test or all. size: side S in pixels, a
    multiple of 16. without: names of the kinds of files that the user does without (each class lists its
    own in `OPTIONAL`); their truth is then absent. detector: a `crop.Detector`, used in place of the
    set's own frame.

    `names` are the images in use, `skipped` lists (name, one sentence) for the others. Items are dicts:
    `image` float32 (3, S, S) in [0, 1] and, where the set has it, `identity` int64; `landmarks` (N, 2) in
    pixels of the crop; `pose` (6,); `light` (5,); `expression`; `split` int64, 0 train, 1 validation, 2
    test, where the set comes with one. Truth that the set holds for other images only is NaN, or -1 in whole
    numbers. Where it comes with no split, one person in ten is the test split, chosen by a hash of the name.
    Raises UserError for a missing file, naming it and where to get it, and for wrong arguments.
    """

    LABEL, WHERE, OPTIONAL, OFFICIAL = "faces", "", (), False

    def __init__(self, root, split="train", size=64, without=(), detector=None):
        check_size(size)
        if split not in (*SPLITS, "all"):
            raise UserError(
                f"The split {split!r} does not exist: choose one of {', '.join((*SPLITS, 'all'))}."
            )
        for kind in without:
            if kind not in self.OPTIONAL:
                raise UserError(
                    f"without={kind!r} is unknown here: choose from {', '.join(self.OPTIONAL) or '()'}."
                )
        self.root, self.split, self.size, self.without, self.detector = (
            root,
            split,
            int(size),
            tuple(without),
            detector,
        )
        names, codes = self._open()
        if not names:
            raise UserError(
                f"{shown(root)} holds no image of {self.LABEL}: {self.WHERE or 'check its name'}."
            )
        chosen = [i for i, code in enumerate(codes) if split in ("all", SPLITS[code])]
        if not chosen:
            raise EmptySplit(f"The split {split} of {shown(root)} is empty: use another split, or all.")
        self.names = [names[i] for i in chosen]
        self.codes = bytes(codes[i] for i in chosen)

    # What a set of its own defines: _open, and where it knows more, truth and frame

    def _open(self):
        """(names of all usable images, their splits' codes); fills `tree` and `skipped`."""
        raise NotImplementedError

    def truth(self, name):
        """What is known about an image: a dict of numbers and arrays, landmarks in pixels of the picture."""
        return {}

    def frame(self, name, dimensions):
        """The square to cut out of the picture of `dimensions` (width, height)."""
        points = self.truth(name).get("landmarks")
        if points is None or not np.isfinite(points).all():
            return crop.whole(dimensions)
        return crop.landmark_box(points, dimensions)

    def read(self, name):
        """The bytes of an image's file. UserError if it cannot be read."""
        return self.tree.read(name)

    # What all have

    def face(self, name, data=None):
        """(crop as a Pillow image, its box, the picture's (width, height), truth in pixels of the crop)."""
        picture = upright_rgb(self.read(name) if data is None else data, name=name)
        try:
            detected = self.detector is not None
            box = self.detector.box(picture) if detected else self.frame(name, picture.size)
        except UserError as error:
            raise UserError(f"The image {shown(name)} cannot be used: {error}.") from error
        truth = dict(self.truth(name))
        if "landmarks" in truth:
            truth["landmarks"] = crop.moved(truth["landmarks"], box, self.size)
        return crop.cut(picture, box, self.size), box, picture.size, truth

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return {name: value[0] for name, value in self.batch([index]).items()}

    def batch(self, indices, truth=True):
        """The items at `indices`, stacked; without `truth` only `image`."""
        indices = [range(len(self))[int(i)] for i in indices]
        if not indices:
            return {"image": torch.empty(0, 3, self.size, self.size)}
        with ThreadPoolExecutor(min(THREADS, len(indices))) as pool:
            items = list(pool.map(lambda i: self._item(i, truth), indices))
        return {name: torch.stack([item[name] for item in items]) for name in items[0]}

    def _item(self, index, with_truth):
        image, _, _, truth = self.face(self.names[index])
        out = {"image": torch.from_numpy(planar(image)).float() / 255}
        if with_truth:
            out |= {key: as_tensor(value) for key, value in truth.items()}
            if self.OFFICIAL:
                out["split"] = torch.tensor(self.codes[index])
        return out

    def settings(self):
        """What framing and truth depend on, besides the files: a dict that can be written as JSON."""
        found = {"frame": "the set's", "side": crop.SIDE, "without": list(self.without)}
        return found | ({} if self.detector is None else {"frame": self.detector.describe()})

    def fingerprint(self):
        """A short name for this set of images: set, split, count and a hash of names and framing."""
        digest = hashlib.sha256(json.dumps(self.settings()).encode())
        for name in self.names:
            digest.update(os.fsencode(name) + b"\0")
        return f"{self.LABEL}-{self.split}-{len(self)}-{digest.hexdigest()[:12]}"

    def _skip(self, name, reason):
        self.skipped.append((name, f"{shown(name)} {reason}."))


class Photographs(FaceSet):
    """Any folder or zip archive of photographs; one in ten, by a hash of the name, is the test split.

    boxes: a CSV file with the columns name, left, top, right, bottom (pixels of the upright picture), if
    faces shall be cut out at given places; pictures that it does not name are skipped. Without it and without
    a detector the largest centred square is taken.
    """

    LABEL, WHERE = "folder", "put files there that end in " + ", ".join(e[1:] for e in EXTENSIONS)

    def __init__(self, root, split="train", size=64, without=(), detector=None, boxes=None):
        self.boxes = None if boxes is None else _read_boxes(boxes)
        super().__init__(root, split, size, without, detector)

    def _open(self):
        self.tree = Tree(self.root)
        self.skipped = list(self.tree.skipped)
        names = images(self.tree)
        if self.boxes is not None:
            for name in (n for n in names if n not in self.boxes):
                self._skip(name, "has no line in the file of boxes: add one")
            names = [n for n in names if n in self.boxes]
        return names, bytes(0 if split_of(name) == "train" else 2 for name in names)

    def settings(self):
        boxes = json.dumps(self.boxes, sort_keys=True).encode()
        return super().settings() | {"boxes": self.boxes and hashlib.sha256(boxes).hexdigest()}

    def frame(self, name, dimensions):
        return crop.whole(dimensions) if self.boxes is None else crop.given_box(self.boxes[name], dimensions)


def images(tree):
    """The names of a tree that have an image's ending."""
    return [name for name in tree.names if name.lower().endswith(EXTENSIONS)]


def person_code(person):
    """The split's code (0 or 2) of a person by name, for sets that come without a split."""
    return 0 if split_of(person) == "train" else 2


def stem(name):
    """A file's name without folders and ending."""
    return PurePosixPath(name).name.rpartition(".")[0]


def as_tensor(value):
    """A number or array as the tensor that an item holds: int64, or float32."""
    array = np.asarray(value)
    return torch.from_numpy(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))


def table(data, name, columns, header=0):
    """(first column, the others as integers (N, columns)) of a text file with white space between columns.

    `header`: lines to pass over. UserError naming the file and the line that is not of this form.
    """
    keys, rows = [], []
    lines = data.decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines[header:], header + 1):
        if not line.strip():
            continue
        key, *values = line.split()
        try:
            row = [int(value) for value in values]
        except ValueError:
            row = []
        if len(row) != columns:
            raise UserError(
                f"{shown(name)}, line {number}: a name and {columns} numbers are expected; fetch it again."
            )
        keys.append(key)
        rows.append(row)
    return keys, np.array(rows, dtype=np.int32).reshape(-1, columns)


def _read_boxes(path):
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {row["name"]: tuple(float(row[k]) for k in ("left", "top", "right", "bottom")) for row in rows}
    except OSError as error:
        raise UserError(f"The file of boxes {shown(path)} cannot be read: check its name.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The file of boxes {shown(path)} needs the columns name, left, top, right, bottom in every line."
        ) from error
