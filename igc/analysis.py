"""Which part, and its shape or its albedo, tells people apart (paper, section 4.3; the statistics are ours).

A face is described by 2 x M components: for each of M parts the share of the shape embedding and the share of
the albedo embedding that the decomposition deals out to it. Two faces are compared by the cosine of
their standardised components. Nothing here may be used to identify real people.
"""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from igc.errors import UserError
from igc.model import IGCNet

CUES = ("shape", "albedo")


class Importance(NamedTuple):
    """What one component does for recognition; each figure with a 95 % interval over people."""

    part: int
    """0..M-1"""
    cue: str
    """shape or albedo"""
    alone: tuple[float, float, float]
    """rank-1 with this component only: value, low, high"""
    without: tuple[float, float, float]
    """rank-1 lost when it is left out: value, low, high"""


@torch.no_grad()
def components(model: IGCNet, images: Tensor, chunk: int = 64) -> dict[tuple[int, str], np.ndarray]:
    """Features by (part, cue) for images (N, 3, S, S): each (N, number of the part's channels)."""
    model.eval()
    device = next(model.parameters()).device
    outs = [model(part.to(device)).parts for part in images.split(chunk)]
    owned = model.decomposition.attention().bool().cpu()
    codes = {
        "shape": torch.cat([out.shape_code for out in outs]).cpu(),
        "albedo": torch.cat([out.albedo_code for out in outs]).cpu(),
    }
    parts = range(model.config.parts)
    return {(m, cue): codes[cue][:, m, owned[m]].numpy() for m in parts for cue in CUES}


def split_gallery(identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a gallery, the first image of each person, and of the probes, all others.

    UserError if there are fewer than two people, or one image a person.
    """
    people, first = np.unique(identity, return_index=True)
    if len(people) < 2:
        raise UserError("recognition needs at least two people: bring images of more than one.")
    if len(people) == len(identity):
        raise UserError("recognition needs at least two images of a person: every label occurs once only.")
    return first, np.setdiff1d(np.arange(len(identity)), first)


def recognise(features: np.ndarray, identity: np.ndarray) -> np.ndarray:
    """Whether each probe's nearest neighbour in the gallery, by cosine, is the same person: (P,) bool.

    `features` (N, F), `identity` (N,); see `split_gallery`.
    """
    gallery, probes = split_gallery(identity)
    scaled = StandardScaler().fit(features[gallery]).transform(features)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True) + 1e-12
    nearest = (scaled[probes] @ scaled[gallery].T).argmax(axis=1)
    return identity[gallery][nearest] == identity[probes]


def interval(values: np.ndarray, people: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean of `values` (P,) with a 95 % bootstrap interval over people, not over images."""
    _, index = np.unique(people, return_inverse=True)
    count = np.bincount(index)
    means = np.bincount(index, weights=values.astype(float))
    drawn = np.random.default_rng(seed).integers(len(count), size=(1000, len(count)))
    resampled = means[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def importance(
    parts: dict[tuple[int, str], np.ndarray], identity: np.ndarray, seed: int = 0
) -> list[Importance]:
    """Each component alone, and what is lost without it, over (part, cue) as `components` gives them."""
    probes = split_gallery(identity)[1]
    everything = recognise(np.concatenate(list(parts.values()), axis=1), identity).astype(float)
    rows = []
    for key, features in parts.items():
        if features.shape[1]:
            alone = recognise(features, identity).astype(float)
        else:
            alone = np.zeros(len(probes))
        others = np.concatenate([other for name, other in parts.items() if name != key], axis=1)
        lost = everything - recognise(others, identity)
        people = identity[probes]
        rows.append(Importance(*key, interval(alone, people, seed), interval(lost, people, seed)))
    return rows


def rank_one(features: np.ndarray, identity: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Share of probes recognised, with its 95 % interval over people."""
    probes = split_gallery(identity)[1]
    return interval(recognise(features, identity).astype(float), identity[probes], seed)
