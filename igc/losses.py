"""The terms of the objective, one small function each, named after what it asks for.

Analysis by synthesis: the rendered face must look like the photograph (`reconstruct`), also when the
canonical face is mirrored. The other terms say what a part is, and fix what a photograph leaves open.
All are means over the batch and return scalars; what depends on the whole batch, and not on each image for
itself, is exchanged between the processes that train together (`igc.ranks`).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from igc import ranks

USUAL = 0.1
"""The expected residual at which coarser resolutions and edges count as much as if it were not looked at."""


def reconstruct(image: Tensor, target: Tensor, scale: Tensor, gradient: float) -> Tensor:
    """The rendering looks like the photograph: Laplacian likelihood of its colours (Unsup3D); beside it,
    weighed alike, colours at two coarser resolutions and differences between neighbours at all three (ours,
    in place of VGG features).

    `image`, `target` (B, 3, S, S); `scale` (B, 1, S, S) > 0, the expected residual.
    """
    residual = image - target
    total = (math.sqrt(2) * residual.abs().mean(dim=1, keepdim=True) / scale + scale.log()).mean()
    residual = residual * (USUAL / scale.detach())
    if image.shape[-1] > 64:
        residual = F.adaptive_avg_pool2d(residual, 64)
    for level in (0, 1, 2):
        if level:
            residual = F.avg_pool2d(residual, 2)
            total = total + residual.abs().mean()
        for dim in (-1, -2):
            total = total + gradient * residual.diff(dim=dim).abs().mean()
    return total


def cover_foreground(alpha: Tensor, cue: Tensor) -> Tensor:
    """The face covers the foreground and leaves the rest (ours): `alpha`, its coverage, and `cue`, what
    `background.foreground` gives, both (B, 1, S, S). Squared, since absolute values would pull at every
    covered pixel whose cue is a little below 1 as hard as at one that is background."""
    return (alpha - cue).square().mean()


def fill_foreground(inside: Tensor, cue: Tensor, covered: Tensor, hidden: Tensor) -> Tensor:
    """What belongs to the face at all (ours). A rendering tells an outline where to go only at the outline,
    and a point that is not drawn hears nothing. Here every canonical point asks where it would be seen: one
    that falls on the background is no face, one that falls on foreground which nothing covers is.

    All (B, S, S), at the canonical points: `inside`, how much they are face, in [0, 1]; `cue`, what
    `background.foreground` gives where the point falls in the image, NaN for points outside of it, which are
    left out; `covered`, how much of that place the face covers already; `hidden` bool, whether the point
    lies behind the face.
    """
    unseen, cue = cue.isnan(), cue.nan_to_num()
    wanted = torch.where(inside > 0.5, (~hidden).to(cue), 1 - covered)
    wrong = inside * (1 - cue) + (1 - inside) * cue * wanted
    return torch.where(unseen, 0, wrong).mean()


def consistent_parts(features: Tensor, masks: Tensor, temperature: float = 0.1) -> Tensor:
    """A part looks like the same part of other faces and unlike the other parts (the paper's contrastive
    loss; its exact form is ours): features pooled under each part's mask are classified by their nearness
    to the batch's mean feature of every part.

    `features` (B, F, s, s); `masks` (B, M, S, S), how much of each pixel each part covers.
    """
    if masks.shape[1] < 2:
        return masks.new_zeros(())
    masks = F.adaptive_avg_pool2d(masks, features.shape[-1]).flatten(2)
    weight = masks.sum(dim=2)
    pooled = (masks @ features.flatten(2).transpose(1, 2)) / weight[..., None].clamp(min=1e-3)
    pooled = F.normalize(pooled - ranks.mean(pooled.mean(dim=(0, 1))), dim=-1)
    prototype = F.normalize(ranks.mean((pooled * weight[..., None].clamp(max=1)).mean(dim=0)), dim=-1)
    logits = pooled @ prototype.T / temperature
    truth = torch.arange(masks.shape[1], device=masks.device).expand(masks.shape[0], -1)
    losses = F.cross_entropy(logits.flatten(0, 1), truth.flatten(), reduction="none")
    present = weight.detach().clamp(max=1).flatten()
    return (losses * present).sum() / ranks.mean(present.sum()).clamp(min=1)


def smooth_depth(depth: Tensor, face: Tensor) -> Tensor:
    """Surfaces bend little, and where they must, in one place: mean absolute second difference of depth
    (B, S, S), over the relief of the `face` (B, S, S) in [0, 1], rounded off where it is small (squares would
    forbid the steep rim of a head).

    Over the relief, since pictures hardly tell a flat face that turns much from a deep one that turns little
    (the bas-relief ambiguity): a price on the bending itself would pull every face flat (ours)."""
    face = face.detach() / face.detach().sum(dim=(1, 2), keepdim=True).clamp(min=1)
    depth = depth - (face * depth).sum(dim=(1, 2), keepdim=True)
    relief = (face * depth.abs()).sum(dim=(1, 2), keepdim=True).clamp(min=1e-4)
    shape = depth / relief * (depth.shape[-1] / 64) ** 2
    bends = [shape.diff(n=2, dim=dim) for dim in (-1, -2)]
    return sum(((bend.square() + 1e-6).sqrt() - 1e-3).mean() for bend in bends)


def deformation(*departures: Tensor | None) -> Tensor:
    """Faces have nearly the same shape: mean squared departures from the mean face, of the surface in units
    of the depth range, of the support, or of the parts' places (ours; without it the shape and the outline of
    each face explain what a turn should explain)."""
    return sum(departure.square().mean() for departure in departures if departure is not None)
