"""Swapping a component between two people in the image, and asking a recogniser that knows images alone.

By how much the observed features of two people differ in one component is drawn on the canonical face, turned
to where the photograph of A was taken from, and added to that photograph (in logarithms). So A gets this one
component of B, and all else stays as it was, also what the model cannot draw. The recogniser has seen
photographs only, no capsule. How much nearer to B, and further from A, it then puts the face is the
component's effect, as a share of what the same recogniser sees between A and B (ours).
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from torch import Tensor

from igc.analysis.features import Component
from igc.analysis.importance import Effects
from igc.analysis.observed import DARK, Atlas
from igc.analysis.recognition import halves
from igc.analysis.statistics import interval
from igc.errors import UserError
from igc.model import IGCNet

AXES, PARTNERS = 64, 3
"""Principal axes of the recogniser; how many others each person takes components from."""


class Recogniser:
    """Linear discriminant analysis on the principal axes of pixels (Belhumeur et al. 1997, "Fisherfaces").

    Fitted on images (N, 3, S, S) and who they show (N,); a second for 500 images on one core.
    """

    def __init__(self, images: Tensor, identity: ndarray, seed: int = 0):
        people = len(np.unique(identity))
        if people < 2:
            raise UserError("a recogniser needs at least two people: bring images of more than one.")
        axes = max(1, min(AXES, len(images) - people - 1))
        self._pixels = PCA(axes, whiten=True, svd_solver="randomized", random_state=seed)
        line = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)
        self._line = make_pipeline(self._pixels, line).fit(_flat(images), identity)
        self.people = self._line[-1].classes_

    def scores(self, images: Tensor) -> ndarray:
        """Log-odds (N, people) of images, in the order of `people`; only differences count."""
        scores = self._line.decision_function(_flat(images))
        return np.stack([-scores, scores], axis=1) / 2 if scores.ndim == 1 else scores

    def right(self, images: Tensor, identity: ndarray) -> ndarray:
        """Whether it names the people of images, (N,) bool."""
        return self.people[self.scores(images).argmax(axis=1)] == identity


class Swaps(NamedTuple):
    """What swapping did, and how far the recogniser can be trusted."""

    effects: Effects
    """share of the way from A to B, by component; a unit is a pair of people"""
    everything: float
    """the same for all components at once"""
    accuracy: float
    """of the recogniser, on photographs that it was not fitted on"""
    knows: bool
    """whether that is above chance with its whole 95 % interval over people; if not, believe no effect"""


@torch.no_grad()
def swap(
    model: IGCNet, images: Tensor, identity: ndarray, parts: dict[Component, ndarray], atlas: Atlas,
    seed: int = 0, partners: int = PARTNERS,
) -> Swaps:  # fmt: skip
    """Every component of every person swapped for that of `partners` others.

    `images` (N, 3, S, S), `identity` (N,), two images of a person or more: every second one is for the
    recogniser; the rest tell a person's components, and of these the one nearest to the front is edited.
    `parts`: observed features (N, K) of these images by component, and their `atlas` (see
    `features.describe`); they may have been freed of light and pose. UserError as `split_gallery`.
    """
    split = halves(identity)
    recogniser = Recogniser(images[split.gallery], identity[split.gallery], seed)
    faces, givers = _pairs(model, images, identity, split.probes, partners, seed)
    first, second = (np.searchsorted(recogniser.people, identity[side]) for side in (faces, givers))
    names = [name for name in parts if name in atlas.patterns]
    means = {name: person_means(parts[name], identity, split.probes) for name in names}
    differences = {name: mean[second] - mean[first] for name, mean in means.items()}
    changes = drawn_changes(model, images[faces], atlas, differences)

    def towards(pictures):
        """How far the recogniser puts pictures of A on the side of B."""
        scores, rows = recogniser.scores(pictures), np.arange(len(faces))
        return scores[rows, second] - scores[rows, first]

    start = towards(images[faces])
    way = towards(images[givers]) - start
    moved = np.stack([towards(changed(images[faces], each)) - start for each in changes])
    test = split.probes
    accuracy, low, _ = interval(recogniser.right(images[test], identity[test]), identity[test], seed)
    return Swaps(
        Effects(
            names, moved, np.stack([first, second], axis=1), np.full(len(faces), way.mean()),
            np.zeros(len(faces), int),
        ),
        float((towards(changed(images[faces], changes.sum(dim=0))) - start).mean() / way.mean()),
        accuracy,
        low > 1 / len(recogniser.people),
    )  # fmt: skip


def person_means(features: ndarray, identity: ndarray, rows: ndarray) -> ndarray:
    """The mean feature of each person (P, K) over the `rows`, in the order of np.unique."""
    who = np.unique(identity, return_inverse=True)[1][rows]
    return np.stack([features[rows][who == person].mean(axis=0) for person in range(who.max() + 1)])


@torch.no_grad()
def drawn_changes(
    model: IGCNet, images: Tensor, atlas: Atlas, differences: dict[Component, ndarray]
) -> Tensor:  # fmt: skip
    """What `differences` (N, K) of features, by component, do to the logarithms of the colours of `images`
    (N, 3, S, S): (components, N, 3, S, S)."""
    size, found = model.config.size, []
    for rows in torch.arange(len(images)).split(64):
        out = model(images[rows])
        whole, light = out.whole(), out.light.numpy()
        drawn = [atlas.draw(name, each[rows], light) for name, each in differences.items()]
        maps = torch.from_numpy(np.concatenate(drawn, axis=1)).float()
        maps = F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)
        found.append(model.draw(whole, maps, out.pose, size)[0])
    return torch.cat(found).unflatten(1, (len(differences), 3)).movedim(1, 0)


def changed(images: Tensor, change: Tensor) -> Tensor:
    """Images with their logarithms changed as `drawn_changes` says: (N, 3, S, S) in [0, 1]."""
    return ((images + DARK) * change.clamp(-3, 3).exp() - DARK).clamp(0, 1)


def _pairs(model, images, identity, probes, partners, seed) -> tuple[ndarray, ndarray]:
    """Indices of the faces to edit and of those that give: each person with `partners` others."""
    yaw = torch.cat([model(part).pose[:, 1] for part in images[probes].split(64)]).abs().numpy()
    people = np.unique(identity[probes])
    nearest = np.array(
        [probes[identity[probes] == who][yaw[identity[probes] == who].argmin()] for who in people]
    )
    order = np.random.default_rng(seed).permutation(len(people))
    faces, givers = [], []
    for place, who in enumerate(order):
        for step in range(1, min(partners, len(people) - 1) + 1):
            faces.append(nearest[who]), givers.append(nearest[order[(place + step) % len(people)]])
    return np.array(faces), np.array(givers)


def _flat(images: Tensor) -> ndarray:
    return images.clamp(0, 1).flatten(1).numpy()
