"""Data sets: items are dicts with `image`, float32 (3, S, S) in [0, 1], and what truth there is."""

import os

import torch
from torch import Tensor

from igc.data.bp4d import BP4D
from igc.data.celeba import CelebA
from igc.data.faceset import Photographs
from igc.data.folder import ImageFolder
from igc.data.multipie import MultiPIE
from igc.data.planted import PLANTED, Cue
from igc.data.prepared import Prepared
from igc.data.regions import FACE_PARTS, LABELS
from igc.data.scikit import LFW, Olivetti
from igc.data.sets import SETS, open_images, open_set
from igc.data.synthetic import SyntheticFaces
from igc.errors import UserError

__all__ = [
    "BP4D", "FACE_PARTS", "LABELS", "LFW", "PLANTED", "SETS", "CelebA", "Cue", "ImageFolder", "MultiPIE",
    "Olivetti", "Photographs", "Prepared", "SyntheticFaces", "open_dataset", "open_set", "read_all",
    "read_images",
]  # fmt: skip

CHUNK = 64
"""Items that a worker reads at once."""


def open_dataset(
    data: str, split: str, count: int, size: int = 64, seed: int = 0, frame: str = "head", renew: int = 0
):
    """The data set that a setting names: 'synthetic' for `count` embedded faces, else images on disk.

    'celeba:DIR', or another name of `SETS` before the colon, opens that set in its own layout; a folder that
    `python -m igc.data prepare` wrote opens as `Prepared`; any other folder as `ImageFolder`. Where there is
    no validation split, validation is the test split; where a split would be empty it is all images, with a
    warning. `count` does not limit what lies on disk. `frame` and `renew` are those of `SyntheticFaces`;
    UserError if one is given for images on disk.
    """
    if data == "synthetic":
        return SyntheticFaces(split, count, size, seed, frame=frame, renew=renew)
    if frame != "head" or renew:
        raise UserError(
            f"frame={frame!r} and renew={renew!r} cannot be had of {data}, only of drawn faces: leave them "
            "out, or set data to 'synthetic'."
        )
    return open_images(data, split, size)


def read_all(dataset, truth: bool = True) -> dict[str, Tensor]:
    """All items of a data set, stacked. Faces that must be drawn first are drawn on all cores."""
    chunks = list(_loader(dataset, truth))
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def read_images(dataset) -> Tensor:
    """All images of a data set as bytes, uint8 (N, 3, S, S); no more memory than that is taken."""
    images = torch.empty(len(dataset), 3, dataset.size, dataset.size, dtype=torch.uint8)
    for number, chunk in enumerate(_loader(dataset, truth=False)):
        images[number * CHUNK : (number + 1) * CHUNK] = as_bytes(chunk["image"])
    return images


def as_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] as uint8."""
    return (images * 255).round().to(torch.uint8)


def chunks(dataset, truth: bool, **options) -> torch.utils.data.DataLoader:
    """A data set in chunks of `CHUNK` neighbouring items; `options` are those of torch's DataLoader."""
    return torch.utils.data.DataLoader(_Chunks(dataset, truth), batch_size=None, **options)


def _loader(dataset, truth: bool) -> torch.utils.data.DataLoader:
    drawn = isinstance(dataset, SyntheticFaces) and len(dataset) >= 4 * CHUNK
    workers = os.cpu_count() or 1 if drawn else 0
    return chunks(dataset, truth, num_workers=workers)


class _Chunks(torch.utils.data.Dataset):
    """A data set in chunks of neighbouring items."""

    def __init__(self, dataset, truth: bool):
        self.dataset, self.truth = dataset, truth

    def __len__(self) -> int:
        return -(-len(self.dataset) // CHUNK)

    def __getitem__(self, chunk: int) -> dict[str, Tensor]:
        indices = range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.dataset)))
        return self.dataset.batch(indices, truth=self.truth)
