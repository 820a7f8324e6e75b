"""What training minimises: the terms of `losses`, weighted by the configuration, on a model's output."""

from typing import NamedTuple

from torch import Tensor, nn

from igc import losses
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
        out = self.model(images)
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
        "silhouette": lambda: losses.cover_foreground(out.view_alpha, target, out.background),
        "contrast": lambda: losses.consistent_parts(out.features, out.view_parts),
        "balance": lambda: losses.keep_alive(out.soft_visibility),
        "centre_pose": lambda: centred_pose(model, out.pose),
        "translation": lambda: losses.small_translation(out.pose),
        "centre_depth": lambda: losses.centred_depth(out.depth, out.parts.visibility),
        "smooth": lambda: losses.smooth_depth(out.parts.depth, model.fov),
        "seamless": lambda: losses.smooth_depth(out.depth[:, None], model.fov),
        "own_outline": lambda: losses.alike(out.own_support),
        "smooth_outline": lambda: losses.smooth_support(out.support),
        "alike": lambda: losses.alike(out.departure),
        "detail": lambda: losses.plain_albedo(out.detail),
        "compact": lambda: losses.compact_parts(out.soft_visibility),
    }
    for name, term in optional.items():
        weight = getattr(config, name)
        if weight:
            terms[name] = weight * term()
    return terms


def centred_pose(model: IGCNet, pose: Tensor) -> Tensor:
    """The term of that name; the running mean is the model's, so that a checkpoint holds it."""
    term, mean = losses.centred_pose(pose, model.mean_angles)
    model.mean_angles.copy_(mean)
    return term
