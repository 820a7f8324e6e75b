"""What training minimises: the terms of `losses`, weighted by the configuration, on a model's output."""

import torch
from torch import Tensor

from igc import losses
from igc.config import TrainConfig
from igc.model import IGCNet
from igc.outputs import Output


def objective(model: IGCNet, out: Output, target: Tensor, config: TrainConfig) -> dict[str, Tensor]:
    """All terms by name, already weighted; their sum is what training minimises."""
    scale = out.confidence if config.confidence else torch.full_like(out.confidence, 0.2)
    terms = {"reconstruct": losses.reconstruct(out.image, target, scale[:, :1], config.gradient)}
    if config.mirror:
        mirrored = losses.reconstruct(model.mirrored(out), target, scale[:, 1:], config.gradient)
        terms["mirror"] = config.mirror * mirrored
    optional = {
        "silhouette": lambda: losses.cover_foreground(out.view_alpha, target, out.background),
        "contrast": lambda: losses.consistent_parts(out.features, out.view_parts),
        "balance": lambda: losses.keep_alive(out.soft_visibility),
        "centre_pose": lambda: losses.centred_pose(out.pose),
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
