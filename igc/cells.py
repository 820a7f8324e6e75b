"""Where parts start: cells that know nothing of faces, mirror-symmetric, from a seed.

The paper says that parts are found, so the start must not hold what is to be found: it is the same for any
kind of object, upright or upside down (all ours)."""

import torch
from torch import Tensor, nn


def equal_cells(parts: int, inside: Tensor) -> Tensor:
    """(M, S, S) one-hot: cells with equal shares of `inside` (S, S) bool, which go on beyond it. Two steps of
    Lloyd's relaxation of random sites, and a power diagram's weights."""
    down, across = _places(len(inside))
    share = inside.double()
    x, y = random_sites(parts, inside)
    for _ in range(2):
        distance = _distance(x, y, across, down)
        each = share * _nearest(distance + _weights(distance, share))
        area = each.sum(dim=(1, 2)).clamp(min=1)
        x, y = ((each * place).sum(dim=(1, 2)) / area for place in (across, down))
    distance = _distance(x, y, across, down)
    return _nearest(distance + _weights(distance, share)).float()


def random_cells(parts: int, inside: Tensor, generator: torch.Generator) -> Tensor:
    """(M, S, S) one-hot: the points that are nearest to random sites within the extent of `inside` (S, S)
    bool, or to their mirror images. Drawn on the CPU, for the device of `inside`."""
    down, across = _places(len(inside))
    x, y = random_sites(parts, inside.cpu(), generator)
    return _nearest(_distance(x, y, across, down)).float().to(inside.device)


def random_sites(
    parts: int, inside: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """x and y (M,) of sites on the right half, in units of the half frame, within the extent of `inside`."""
    down, across = _places(len(inside))
    x, y = torch.rand(2, parts, dtype=torch.float64, generator=generator)
    return x * across[inside].max(), (2 * y - 1) * down[inside].max()


def _places(size: int) -> tuple[Tensor, Tensor]:
    """How far down, and how far from the middle, the points of a grid lie, (size, size) each."""
    axis = (torch.arange(size, dtype=torch.float64) + 0.5) / size * 2 - 1
    return torch.meshgrid(axis, axis.abs(), indexing="ij")


def _distance(x: Tensor, y: Tensor, across: Tensor, down: Tensor) -> Tensor:
    return (across - x[:, None, None]) ** 2 + (down - y[:, None, None]) ** 2


def _nearest(distance: Tensor) -> Tensor:
    """(M, S, S) one-hot."""
    return nn.functional.one_hot(distance.argmin(dim=0), len(distance)).movedim(-1, 0)


def _weights(distance: Tensor, inside: Tensor) -> Tensor:
    """What is added to the squared distances (M, S, S) so that each is the least in as much of `inside`."""
    weight = torch.zeros(len(distance), 1, 1, dtype=torch.float64)
    for step in range(400):
        cell = (distance + weight).argmin(dim=0)
        share = torch.bincount(cell.flatten(), inside.flatten(), len(distance)) / inside.sum()
        weight += (0.5 / (1 + 0.05 * step) * (share - 1 / len(distance)))[:, None, None]
    return weight
