"""Which part a canonical point belongs to: every part is an ellipse, or two that mirror each other, and the
nearest one has the point.

They start as cells that know nothing of faces: mirror-symmetric, of equal area, from a seed. The paper says
that parts are found, so the start must not hold what is to be found: it is the same for any kind of object,
upright or upside down. Where ellipses go, how large, long and slanted they are, is learned (all ours)."""

import torch
from torch import Tensor, nn

PACE = 3.0
"""How fast ellipses learn, in units of the learning rate."""

RADIUS = 0.4
"""Of a part's ellipse at the start, in units of the half frame."""


class Ellipses(nn.Module):
    """M mirror-symmetric ellipses in the canonical frame, whose half width is 1: x across, y down."""

    def __init__(self, parts: int, inside: Tensor):
        super().__init__()
        x, y, bias = equal_cells(parts, inside)
        self.register_buffer("sharp", torch.tensor(20.0))
        """How fast a part's logit falls with half the squared distance from its centre, in its own radii."""
        self.centre = nn.Parameter(torch.stack((x, y), dim=1) / PACE)
        """(M, 2): x of the right one of two, and y; this and the others over `PACE`"""
        self.radii = nn.Parameter(torch.zeros(parts, 2))
        """(M, 2): logarithms, relative to what the start has"""
        self.slant = nn.Parameter(torch.zeros(parts))
        """(M,): radians, of the right one of two"""
        self.bias = nn.Parameter(bias / PACE)
        """(M,): how much farther a part reaches"""

    def forward(self, size: int) -> Tensor:
        """Logits (M, size, size) at the centres of a grid; the largest has the point."""
        axis = (torch.arange(size, device=self.bias.device) + 0.5) / size * 2 - 1
        centre, radii, slant, bias = (
            PACE * each for each in (self.centre, self.radii, self.slant, self.bias)
        )
        right = (axis.square() + 0.0025).sqrt()[None, :] - centre[:, :1]
        down = axis[None, :] - centre[:, 1:]
        across, along = right[:, None, :], down[:, :, None]
        cos, sin = slant.cos()[:, None, None], slant.sin()[:, None, None]
        wide, high = radii.exp().unbind(1)
        first = (cos * across + sin * along) / (RADIUS * wide[:, None, None])
        second = (cos * along - sin * across) / (RADIUS * high[:, None, None])
        return self.sharp * (bias[:, None, None] - 0.5 * (first.square() + second.square()))


def equal_cells(parts: int, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centres x, y (M,) and biases (M,) of mirror-symmetric cells that have equal shares of `inside` (S, S):
    random sites and their mirror images, two steps of Lloyd's relaxation, and a power diagram's weights."""
    size = len(inside)
    axis = (torch.arange(size, dtype=torch.float64) + 0.5) / size * 2 - 1
    down, across = torch.meshgrid(axis, axis.abs(), indexing="ij")
    inside = inside.double()
    x, y = torch.rand(2, parts, dtype=torch.float64)
    x, y = x * across[inside > 0].max(), (2 * y - 1) * down[inside > 0].max()
    for _ in range(2):
        cell = (_distance(x, y, across, down) + _weights(x, y, across, down, inside)).argmin(dim=0)
        each = inside * nn.functional.one_hot(cell, parts).movedim(-1, 0)
        area = each.sum(dim=(1, 2)).clamp(min=1)
        x, y = ((each * place).sum(dim=(1, 2)) / area for place in (across, down))
    weight = _weights(x, y, across, down, inside).flatten()
    return x.float(), y.float(), (-0.5 * (weight - weight.mean()) / RADIUS**2).float()


def _distance(x: Tensor, y: Tensor, across: Tensor, down: Tensor) -> Tensor:
    return (across - x[:, None, None]) ** 2 + (down - y[:, None, None]) ** 2


def _weights(x: Tensor, y: Tensor, across: Tensor, down: Tensor, inside: Tensor) -> Tensor:
    """What is added to the squared distances (M, 1, 1) so that each is the least in as much of `inside`."""
    distance, weight = _distance(x, y, across, down), torch.zeros(len(x), 1, 1, dtype=torch.float64)
    for step in range(400):
        cell = (distance + weight).argmin(dim=0)
        share = torch.bincount(cell.flatten(), inside.flatten(), len(x)) / inside.sum()
        weight += (0.5 / (1 + 0.05 * step) * (share - 1 / len(x)))[:, None, None]
    return weight
