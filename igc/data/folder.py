"""Any folder of face photographs as a data set; files that cannot be used are reported and left out."""

import hashlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from igc.data.images import EXTENSIONS, check_size, decode
from igc.errors import UserError

SPLITS = ("all", "train", "test")
TEST_SHARE = 10  # per cent of the file names that fall into the test split
THREADS = min(8, os.cpu_count() or 1)


class EmptySplit(UserError):
    """A split that holds no image."""


class ImageFolder(Dataset):
    """Images of a folder and its subfolders (jpg, png, webp, bmp, tif), in the order of their names.

    folder: the path; hidden files and folders are passed over. size: side S in pixels, a multiple of 16.
    split: "all", "train" or "test"; a fixed hash of the file's name within the folder puts about one file in
    ten into "test", so a file stays where it is when others are added (photographs of one person may fall
    on both sides). memory: bytes that the decoded images may take; if they need more (12 kB each at size
    64), each is decoded again whenever it is asked for.

    Items are dicts with `image`: float32 (3, S, S), RGB in [0, 1], cut and resized as `read_image` tells.
    Every file is decoded once at construction. Those that cannot be used are left out, listed in `skipped`
    as (path, one sentence) and announced by one warning. `paths` lists those in use.
    Raises UserError if the folder is missing or holds no usable image, or a setting is wrong; `EmptySplit`,
    which is one, if there are images but none of the split.
    """

    def __init__(self, folder, size=64, split="all", memory=3 * 2**30):
        check_size(size)
        if split not in SPLITS:
            raise UserError(f"The split {split!r} does not exist: choose one of {', '.join(SPLITS)}.")
        self.folder, self.size, self.split = _checked_folder(folder), int(size), split
        self.skipped = []
        found = self._find()
        names = [name for name in found if split in ("all", split_of(name))]
        if found and not names:
            raise EmptySplit(f"The split {split} of {folder} is empty: add images or use split='all'.")
        if not found and not self.skipped:
            kinds = ", ".join(e[1:] for e in EXTENSIONS)
            raise UserError(f"The folder {folder} holds no image: put files there that end in {kinds}.")
        self._load(names, keep=len(names) * 3 * size * size <= memory)
        if self.skipped:
            self._report()

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return {"image": self.batch([index])["image"][0]}

    def batch(self, indices, truth=True):
        """A dict with `image`: float32 (B, 3, S, S) in [0, 1] for a sequence of B indices.

        `truth` is there for the interface that all data sets share; a folder of photographs has none.
        Raises IndexError for an index out of range.
        """
        indices = [range(len(self))[int(i)] for i in indices]
        if self._pixels is not None:
            chosen = self._pixels[torch.tensor(indices, dtype=torch.long)]
        elif indices:
            with ThreadPoolExecutor(THREADS) as pool:
                arrays = pool.map(lambda i: torch.from_numpy(decode(self.paths[i], self.size)), indices)
                chosen = torch.stack(list(arrays))
        else:
            chosen = torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)
        return {"image": chosen.float() / 255}

    def fingerprint(self):
        """A short name for this very set of files: folder, split, count, hash of file names and lengths."""
        digest = hashlib.sha256()
        for name, length in zip(self.names, self._lengths, strict=True):
            digest.update(os.fsencode(name) + b"\0" + str(length).encode() + b"\0")
        return f"{self.folder.resolve().name}-{self.split}-{len(self)}-{digest.hexdigest()[:12]}"

    def _find(self):
        """Sorted names, relative to the folder, of all files with an image's extension."""
        names, seen = [], set()
        for root, folders, files in os.walk(self.folder, followlinks=True, onerror=self._skip_folder):
            if os.path.realpath(root) in seen:  # a link back into the tree
                folders.clear()
                continue
            seen.add(os.path.realpath(root))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            images = (f for f in files if not f.startswith(".") and f.lower().endswith(EXTENSIONS))
            names += [(Path(root) / f).relative_to(self.folder).as_posix() for f in images]
        return sorted(names)

    def _skip_folder(self, error):
        reason = f"The folder {error.filename} cannot be opened: change its permissions."
        self.skipped.append((Path(error.filename), reason))

    def _load(self, names, keep):
        """Decode every file once; fill names, paths, lengths, and the pixels if they are to be kept."""
        self.names, self._lengths = [], []
        pixels = torch.empty(len(names) if keep else 0, 3, self.size, self.size, dtype=torch.uint8)
        with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
            warnings.simplefilter("ignore")  # a fault that matters is raised, and reported below
            results = pool.map(lambda name: self._try(name, keep), names)
            results = tqdm(results, "reading images", len(names), leave=False, disable=None, delay=3)
            for name, (length, array, reason) in zip(names, results, strict=True):
                if reason:
                    self.skipped.append((self.folder / name, reason))
                    continue
                if keep:
                    pixels[len(self.names)] = torch.from_numpy(array)
                self.names.append(name)
                self._lengths.append(length)
        self._pixels = pixels[: len(self.names)] if keep else None
        self.paths = [self.folder / name for name in self.names]

    def _try(self, name, keep):
        """(length in bytes, pixels or None, None), or (0, None, the reason why the file cannot be used)."""
        path = self.folder / name
        try:
            array = decode(path, self.size)
            return path.stat().st_size, array if keep else None, None
        except (UserError, OSError) as error:
            return 0, None, str(error)

    def _report(self):
        first = self.skipped[0][1]
        if not self.names:
            which = "No image in" if self.split == "all" else f"No image of the split {self.split} of"
            raise UserError(f"{which} {self.folder} can be used ({len(self.skipped)} tried): {first}")
        others = ", ".join(path.name for path, _ in self.skipped[1:4])
        also = f" Also {others}{', ...' if len(self.skipped) > 4 else '.'}" if others else ""
        text = f"{self.folder}: {len(self.skipped)} skipped, {len(self)} images in use. {first}{also}"
        warnings.warn(text, stacklevel=3)


def split_of(name):
    """The split, "train" or "test", of a file's name within its folder: a hash puts one in ten in "test"."""
    number = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:4], "big")
    return "test" if number % 100 < TEST_SHARE else "train"


def _checked_folder(folder):
    path = Path(folder).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{path} is a file: give the folder that holds the images.")
    raise UserError(f"The folder {path} does not exist: check its name.")
