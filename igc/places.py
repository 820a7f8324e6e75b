"""Places: how far each capsule is moved and stretched in the face of one person (ours).

In a long face the mouth lies lower. A part says how far, and the canonical points between parts follow both,
so that the surface has no seams. The layout of the parts is common to all faces; it moves with the points.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from igc.networks import upsample

COARSE = 8
"""Width of the grid on which parts are blended, so that what moves is smooth."""

FARTHEST = 0.2
"""The largest shift of a part, in units of the half frame, and the largest share that it is stretched by."""


def places(votes: Tensor) -> Tensor:
    """Places (B, M, 3) from what the parts say, (B, M, 3), any numbers: shift down in units of the half
    frame, and the shares by which a part is stretched across and down."""
    return FARTHEST * votes.tanh()


def shift_of_points(place: Tensor, share: Tensor, size: int, fov: float) -> Tensor:
    """How far canonical points are moved across and down, (B, 2, size, size) in units of the distance to the
    camera, where parts have `place` (B, M, 3) and `share` (M, h, h) of the points; `fov` in radians.

    Parts are stretched across from the midline, and down from where their middle is."""
    near = F.adaptive_avg_pool2d(share, COARSE)
    axis = _axis(COARSE, place)
    centre = (near * axis[:, None]).sum(dim=(1, 2)) / near.sum(dim=(1, 2)).clamp(min=1e-3)
    down, wide, high = place.unbind(-1)
    said = torch.stack((wide, high, down - high * centre), dim=1)
    wide, high, down = upsample((said[..., None, None] * near).sum(dim=2), size).unbind(1)
    axis = _axis(size, place)
    return math.tan(0.5 * fov) * torch.stack((wide * axis, high * axis[:, None] + down), dim=1)


def _axis(size: int, like: Tensor) -> Tensor:
    """(size,): places of a grid's centres, in units of the half frame."""
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (2 / size) - 1
