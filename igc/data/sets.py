"""The face sets by name, as `--set` and 'celeba:DIR' give them."""

import warnings
from functools import partial

from igc.data.bp4d import BP4D
from igc.data.celeba import CelebA
from igc.data.faceset import Photographs
from igc.data.folder import EmptySplit, ImageFolder
from igc.data.multipie import MultiPIE
from igc.data.prepared import Prepared, is_prepared
from igc.data.scikit import LFW, Olivetti
from igc.errors import UserError

SETS = {
    "celeba": CelebA,
    "celeba-wild": partial(CelebA, wild=True),
    "bp4d": BP4D,
    "multipie": MultiPIE,
    "olivetti": Olivetti,
    "lfw": LFW,
    "folder": Photographs,
}
FETCHED = ("olivetti", "lfw")
"""Those that are fetched; their folder may be left out."""


def open_set(name, root, **options):
    """The face set of a name in `SETS`. UserError if there is none, or for what its class refuses."""
    if name not in SETS:
        raise UserError(f"The set {name!r} is unknown: choose one of {', '.join(SETS)}.")
    if not root and name not in FETCHED:
        raise UserError(f"The set {name} needs a folder: name the one that holds it.")
    return SETS[name](root or None, **options)


def open_images(data, split, size):
    """Images of people: 'celeba:DIR' and the like, a prepared set's folder, or any folder of images.

    Where a set has no validation split, the test split stands for it. Where a split holds no image, all
    images are used in its place, with a warning."""
    for choice in dict.fromkeys((split, "train" if split == "train" else "test")):
        try:
            return _open(data, choice, size)
        except EmptySplit:
            continue
    images = _open(data, "all", size)
    warnings.warn(
        f"{data} has no image in its split {split}, so all {len(images)} are used there, and a model that is "
        "trained on this set is tested on images that it was trained on: bring more images.",
        stacklevel=3,
    )
    return images


def _open(data, split, size):
    """The images of a split of what `data` names."""
    name, colon, root = data.partition(":")
    if colon and name in SETS:
        return open_set(name, root, split=split, size=size)
    if is_prepared(data):
        return Prepared(data, split, size)
    return ImageFolder(data, size, split="test" if split == "validation" else split)
