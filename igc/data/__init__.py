"""Data sets: items are dicts with `image`, float32 (3, S, S) in [0, 1], and what truth there is."""

from igc.data.folder import ImageFolder
from igc.data.synthetic import FACE_PARTS, LABELS, SyntheticFaces
from igc.errors import UserError

__all__ = ["FACE_PARTS", "LABELS", "ImageFolder", "SyntheticFaces", "open_dataset"]


def open_dataset(data: str, split: str, count: int, size: int = 64, seed: int = 0):
    """The data set that a setting names: 'synthetic' for `count` embedded faces, else a folder's images.

    A folder has the splits train and test (used for validation as well; all images where that would be
    empty); `count` does not limit it.
    """
    if data == "synthetic":
        return SyntheticFaces(split, count, size, seed)
    try:
        return ImageFolder(data, size, split="train" if split == "train" else "test")
    except UserError:
        return ImageFolder(data, size)
