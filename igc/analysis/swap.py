"""Swapping a component between two people in the image, and asking a recogniser that knows images alone.

The model gives face A one component of face B and draws it anew; what that changes is added to the
photograph of A, so that what the model cannot draw stays as it was. The recogniser has seen photographs
only, no capsule. How much nearer to B, and further from A, it then puts the face is the component's
effect, as a share of what the same recogniser sees between A and B (ours).
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from torch import Tensor

from igc.analysis.features import CUES
from igc.analysis.importance import Effects
from igc.analysis.recognition import halves
from igc.editing import rebuild
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

    def accuracy(self, images: Tensor, identity: ndarray) -> float:
        return float((self.people[self.scores(images).argmax(axis=1)] == identity).mean())


class Swaps(NamedTuple):
    """What swapping did, and how far the recogniser can be trusted."""

    effects: Effects
    """share of the way from A to B, by component; a unit is a pair of people"""
    everything: float
    """the same for all components at once"""
    accuracy: float
    """of the recogniser, on photographs that it was not fitted on"""
    redrawn: float
    """of the recogniser, on the model's drawings of the same"""


@torch.no_grad()
def swap(model: IGCNet, images: Tensor, identity: ndarray, seed: int = 0, partners: int = PARTNERS) -> Swaps:
    """Every component of every person swapped for that of `partners` others.

    `images` (N, 3, S, S), `identity` (N,), two images of a person or more: every second one is for the
    recogniser, and of the rest the one nearest to the front is edited. UserError as `split_gallery`.
    """
    model.eval()
    split = halves(identity)
    recogniser = Recogniser(images[split.gallery], identity[split.gallery], seed)
    faces, givers = _pairs(model, images, identity, split.probes, partners, seed)
    photographs = images[faces]
    names = [(m, cue) for m in range(model.config.parts) for cue in CUES]
    drawn = _edited(model, photographs, images[givers], [*([name] for name in names), names])
    first, second = (np.searchsorted(recogniser.people, identity[side]) for side in (faces, givers))

    def towards(pictures):
        """How far the recogniser puts pictures of A on the side of B."""
        scores, rows = recogniser.scores(pictures), np.arange(len(faces))
        return scores[rows, second] - scores[rows, first]

    start = towards(photographs)
    way = recogniser.scores(images[givers])[np.arange(len(faces)), second]
    way = way - recogniser.scores(images[givers])[np.arange(len(faces)), first] - start
    weight = np.full(len(faces), way.mean())
    moved = np.stack([towards(photographs + change) - start for change in drawn[1:]])
    members = np.stack([first, second], axis=1)
    test = split.probes
    return Swaps(
        Effects(names, moved[:-1], members, weight, np.zeros(len(faces), int)),
        float(moved[-1].sum() / weight.sum()),
        recogniser.accuracy(images[test], identity[test]),
        recogniser.accuracy(drawn[0][:: partners or 1], identity[faces][:: partners or 1]),
    )


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


def _edited(model, receivers: Tensor, givers: Tensor, choices: list) -> list[Tensor]:
    """The drawings of the receivers, then for each choice of components what swapping them changes."""
    rows = []
    for mine, theirs in zip(receivers.split(64), givers.split(64)):
        out, other = model(mine), model(theirs)
        before, found = out.image, []
        for choice in choices:
            codes = {"shape": out.parts.shape_code.clone(), "albedo": out.parts.albedo_code.clone()}
            for part, cue in choice:
                codes[cue][:, part] = (other.parts.shape_code if cue == "shape" else other.parts.albedo_code)[
                    :, part
                ]
            found.append(rebuild(model, out, codes["shape"], codes["albedo"]).image - before)
        rows.append([before, *found])
    return [torch.cat(column) for column in zip(*rows)]


def _flat(images: Tensor) -> ndarray:
    return images.clamp(0, 1).flatten(1).numpy()
