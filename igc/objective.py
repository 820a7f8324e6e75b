"""What training minimises: the terms of `losses`, weighted by the configuration, on a model's output."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc import geometry, losses, shading
from igc.background import foreground
from igc.config import TrainConfig
from igc.model import IGCNet
from igc.outputs import Output

DARK = 0.2
"""The least shading that colours are freed from."""


class Judged(NamedTuple):
    """What one batch gives."""

    terms: dict[str, Tensor]
    """All terms by name, already weighted; their sum is what training minimises."""
    area: Tensor
    """(M+1,): the share of the canonical frame that each part has, and last the background; no gradient."""


class Objective(nn.Module):
    """A model and what is asked of it, as one module: images (B, 3, S, S) to `Judged`. Accelerate wraps this
    module, so that everything that is computed in a step passes through one `forward`."""

    def __init__(self, model: IGCNet, config: TrainConfig):
        super().__init__()
        self.model, self.config = model, config

    def forward(self, images: Tensor) -> Judged:
        out = self.model(images, normals=False)
        area = out.parts.visibility.detach().mean(dim=(0, 2, 3))
        if self.model.training and torch.is_grad_enabled():
            divide(self.model, out, images)
        return Judged(objective(self.model, out, images, self.config), area)


def objective(model: IGCNet, out: Output, target: Tensor, config: TrainConfig) -> dict[str, Tensor]:
    """All terms by name, already weighted; their sum is what training minimises."""
    scale = out.confidence if config.confidence else 0 * out.confidence + 0.2
    terms = {"reconstruct": losses.reconstruct(out.image, target, scale[:, :1], config.gradient)}
    if config.mirror:
        half = len(target) - len(target) // 2  # drawing the mirrored faces is a fifth of a step
        mirrored = model.mirrored(out.first(half))
        term = losses.reconstruct(mirrored, target[:half], scale[:half, 1:], config.gradient)
        terms["mirror"] = config.mirror * term
    optional = {
        "contrast": lambda: losses.consistent_parts(out.features, out.view_parts),
        "smooth": lambda: losses.smooth_depth(out.depth, 1 - out.soft_visibility[:, -1]),
        "deformation": lambda: losses.deformation(out.departure, out.own_support, out.place),
    }
    if model.config.background == "border":
        cue = foreground(target, out.background).detach()
        optional |= {
            "silhouette": lambda: losses.cover_foreground(out.view_alpha, cue),
            "fill": lambda: filled(model, out, cue),
        }
    for name, term in optional.items():
        weight = getattr(config, name)
        if weight:
            terms[name] = weight * term()
    return terms


def filled(model: IGCNet, out: Output, cue: Tensor) -> Tensor:
    """The term of that name."""
    seen = at_points(model, out, cue)
    cue = seen.maps[:, 0].masked_fill(seen.outside, torch.nan)
    inside = 1 - out.soft_visibility[:, -1]
    return losses.fill_foreground(inside, cue, seen.covered.clamp(0, 1), seen.hidden)


@torch.no_grad()
def divide(model: IGCNet, out: Output, target: Tensor) -> None:
    """The parts learn where they are: from albedo and surface at the points that are seen, and from how far
    the drawing is off there."""
    there = at_points(model, out, target - out.image)
    seen = (there.covered > 0.5) & ~there.hidden & ~there.outside & (out.soft_visibility[:, -1] < 0.5)
    seen = seen.to(target)[:, None]
    lit = shading.lambert(out.normal, out.light).clamp(min=DARK)
    bright = (out.albedo + there.maps / lit).mean(dim=1, keepdim=True)
    fine = len(model.layout.seen)
    share = F.adaptive_avg_pool2d(seen, fine)
    colour, normal, error, bright = (
        F.adaptive_avg_pool2d(each * seen, fine) / share.clamp(min=1e-3)
        for each in (out.albedo, out.normal, there.maps.abs().mean(dim=1, keepdim=True), bright)
    )
    model.layout.update(colour, normal, error[:, 0], bright[:, 0], share[:, 0])


class There(NamedTuple):
    """What the image shows where the canonical points (B, S, S) are seen, face or not."""

    maps: Tensor
    """(B, C, S, S): the maps that were asked for"""
    covered: Tensor
    """(B, S, S): how much of that place the face covers"""
    hidden: Tensor
    """(B, S, S) bool: whether the point lies behind what is seen there"""
    outside: Tensor
    """(B, S, S) bool: whether it falls outside of the image"""


@torch.no_grad()
def at_points(model: IGCNet, out: Output, maps: Tensor) -> There:
    """Reads `maps` (B, C, S, S), which are in the frame of the image, at the canonical points."""
    size = maps.shape[-1]
    points = geometry.transform(model.points(out.depth, out.shift), out.pose)
    pixels = geometry.points_to_pixels(points, size, model.fov)
    place = pixels[..., :2] * (2 / size) - 1
    maps = torch.cat((maps, out.view_alpha, out.view_depth[:, None]), dim=1)
    found = F.grid_sample(maps, place, padding_mode="border", align_corners=False)
    hidden = (found[:, -2] > 0.999) & (pixels[..., 2] > found[:, -1] + 0.01)
    return There(found[:, :-2], found[:, -2], hidden, (place.abs() > 1).any(dim=-1))
