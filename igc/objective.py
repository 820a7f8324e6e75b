"""What training minimises: the terms of `losses`, weighted by the configuration, on a model's output."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc import geometry, losses
from igc.background import foreground
from igc.config import TrainConfig
from igc.model import IGCNet
from igc.outputs import Output


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
        "balance": lambda: losses.keep_alive(out.parts.visibility),
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
    """The term of that name, as far as faces may differ yet: one outline for all is drawn too wide by it."""
    inside = 1 - out.soft_visibility[:, -1]
    return model.freedom * losses.fill_foreground(inside, *seen_from_here(model, out, cue))


@torch.no_grad()
def seen_from_here(model: IGCNet, out: Output, cue: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `losses.fill_foreground` needs to know at the canonical points, face or not: `cue` and the cover
    where they fall in the image, and whether they lie behind what is seen there, all (B, S, S)."""
    size = cue.shape[-1]
    points = geometry.transform(model.points(out.depth, out.shift), out.pose)
    pixels = geometry.points_to_pixels(points, size, model.fov)
    place = pixels[..., :2] * (2 / size) - 1
    maps = torch.cat((cue, out.view_alpha, out.view_depth[:, None]), dim=1)
    cue, covered, depth = F.grid_sample(maps, place, padding_mode="border", align_corners=False).unbind(1)
    hidden = (covered > 0.999) & (pixels[..., 2] > depth + 0.01)
    return cue.masked_fill((place.abs() > 1).any(dim=-1), torch.nan), covered.clamp(0, 1), hidden
