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

TIED = 8.0
"""How much the product of two angles counts beside the angles (ours)."""

KEPT = 0.98
"""Share of a running mean that a step keeps: it goes over some 50 steps."""


def reconstruct(image: Tensor, target: Tensor, scale: Tensor, gradient: float) -> Tensor:
    """The rendering looks like the photograph: Laplacian likelihood of its colours (Unsup3D); beside it,
    unweighed, colours at two coarser resolutions and differences between neighbours at all three (ours, in
    place of VGG features).

    `image`, `target` (B, 3, S, S); `scale` (B, 1, S, S) > 0, the expected residual.
    """
    residual = image - target
    total = (math.sqrt(2) * residual.abs().mean(dim=1, keepdim=True) / scale + scale.log()).mean()
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


def keep_alive(soft: Tensor, least: float = 0.2) -> Tensor:
    """Every part owns at least `least` of an equal share of the face, on average over the batch (ours).

    `soft` (B, M+1, S, S).
    """
    area = ranks.mean(soft[:, :-1].mean(dim=(0, 2, 3)))
    share = area / area.sum().clamp(min=1e-6)
    fair = least / max(1, soft.shape[1] - 1)
    return (F.relu(fair - share) / fair).square().sum() - 0.05 * (share + 1e-6).log().clamp(
        max=math.log(fair)
    ).mean()


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


def compact_parts(soft: Tensor) -> Tensor:
    """A part lies in one place: mean squared distance to its centroid (the 'concentration' of SCOPS), in
    units of the half image. `soft` (B, M+1, S, S)."""
    mask = F.avg_pool2d(soft[:, :-1], 4)
    axis = torch.linspace(-1, 1, mask.shape[-1], device=soft.device)
    area = mask.sum(dim=(2, 3)).clamp(min=1e-3)
    spread = 0.0
    for place in (axis[None, :], axis[:, None]):
        mean = (mask * place).sum(dim=(2, 3)) / area
        spread = spread + (mask * (place - mean[..., None, None]).square()).sum(dim=(2, 3)) / area
    return spread.mean()


def smooth_depth(depth: Tensor, fov: float) -> Tensor:
    """Surfaces bend little, and where they must, in one place: mean absolute second difference of depth
    (B, M, S, S), in pixel units, rounded off below 0.01 (squares would forbid the steep rim of a head)."""
    pixel = 2 * math.tan(0.5 * fov) / depth.shape[-1]
    bends = [(depth * (1 / pixel)).diff(n=2, dim=dim) for dim in (-1, -2)]  # far faster than a division
    return sum(((bend.square() + 1e-4).sqrt() - 1e-2).mean() for bend in bends)


def smooth_support(support: Tensor) -> Tensor:
    """Outlines are simple and have no holes: mean absolute second difference of the support (B, 1, S, S)."""
    return sum(support.diff(n=2, dim=dim).abs().mean() for dim in (-1, -2))


def alike(departure: Tensor) -> Tensor:
    """Faces have nearly the same shape: mean squared departure from the mean face, of the surface in units of
    the depth range or of the support (ours; without it the shape and the outline of each face explain what a
    turn should explain)."""
    return departure.square().mean()


def plain_albedo(detail: Tensor) -> Tensor:
    """Fine detail has its price, what all faces share and a face's own alike: mean absolute detail
    (B, M, 3, h, h), in logits (ours)."""
    return detail.abs().mean()


def centred_pose(pose: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Photographs are taken from all sides evenly, and a head that turns does not lean over as it does: the
    running means of the angles of `pose` (B, 6), and of the product of yaw and roll, are zero. They were
    `before` (4,). Returns the term and the means as they are now, without gradient (ours).

    The mean of one small batch would not do: it is never zero, and asking for that makes all angles smaller.
    Without the product a face may lie back too far: as it turns, its features then rise on one side, and a
    roll that goes with the yaw takes that away again.
    """
    angles = torch.cat((pose[:, :3], TIED * pose[:, 1:2] * pose[:, 2:3]), dim=1)
    mean = KEPT * before + (1 - KEPT) * ranks.mean(angles.mean(dim=0))
    return mean.square().sum() / (1 - KEPT), mean.detach()


def small_translation(pose: Tensor) -> Tensor:
    """The face is in the middle: squared translation."""
    return pose[:, 3:].square().sum(dim=1).mean()


def centred_depth(depth: Tensor, visibility: Tensor) -> Tensor:
    """The face lies about the point that it turns about: squared mean of depth - 1 over its pixels."""
    face = 1 - visibility[:, -1].detach()
    mean = ((depth - 1) * face).sum(dim=(1, 2)) / face.sum(dim=(1, 2)).clamp(min=1)
    return mean.square().mean()
