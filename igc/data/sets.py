"""The face sets by name, as `--set` and 'celeba:DIR' give them."""

from functools import partial

from igc.data.bp4d import BP4D
from igc.data.celeba import CelebA
from igc.data.faceset import EmptySplit, Photographs
from igc.data.folder import ImageFolder
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
    """Images of people: 'celeba:DIR' and the like, a prepared set's folder, or any folder of images."""
    name, colon, root = data.partition(":")
    if colon and name in SETS:
        return _or_all(lambda split: open_set(name, root, split=split, size=size), split)
    if is_prepared(data):
        return _or_all(lambda split: Prepared(data, split, size), split)
    try:
        return ImageFolder(data, size, split="train" if split == "train" else "test")
    except UserError:
        return ImageFolder(data, size)


def _or_all(opened, split):
    """The data set of a split; the test split where there is no validation, all where that is empty."""
    for choice in dict.fromkeys((split, "train" if split == "train" else "test")):
        try:
            return opened(choice)
        except EmptySplit:
            continue
    return opened("all")
