"""Recognising people by features: nearest neighbour, a linear probe, and verification, also across views.

Every figure has a 95 % interval over people. Nothing here may be used to identify real people.
"""

from typing import NamedTuple

import numpy as np
from numpy import ndarray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from igc.analysis.statistics import interval
from igc.errors import UserError

FRONT, SIDE = 10.0, (30.0, 45.0)
"""Across views, in degrees of yaw: the gallery is nearer to the front, the probes lie between these."""


class Split(NamedTuple):
    """Which images a person is known by, and which are to be recognised: indices."""

    gallery: ndarray
    probes: ndarray


class Verification(NamedTuple):
    """Whether two images show the same person, by the cosine of their features."""

    false: ndarray
    """false accept rate at every threshold"""
    true: ndarray
    """true accept rate at every threshold"""
    area: tuple[float, float, float]
    """under the ROC curve: value, low, high"""
    equal_error: float
    """where as many are falsely accepted as falsely rejected"""


def split_gallery(identity: ndarray) -> Split:
    """Indices of a gallery, the first image of each person, and of the probes, all others.

    UserError if there are fewer than two people, or one image a person.
    """
    people, first = np.unique(identity, return_index=True)
    if len(people) < 2:
        raise UserError("recognition needs at least two people: bring images of more than one.")
    if len(people) == len(identity):
        raise UserError("recognition needs at least two images of a person: every label occurs once only.")
    return Split(first, np.setdiff1d(np.arange(len(identity)), first))


def split_views(identity: ndarray, yaw: ndarray) -> Split:
    """Gallery and probes across views, from the people who have both.

    `yaw` (N,) in radians, true or as the model sees it. UserError if fewer than two people have both.
    """
    degrees = np.abs(np.degrees(yaw))
    front, side = degrees < FRONT, (degrees >= SIDE[0]) & (degrees <= SIDE[1])
    both = np.intersect1d(identity[front], identity[side])
    if len(both) < 2:
        raise UserError(
            f"recognition across views needs two people seen both within {FRONT:g} degrees of the front and "
            f"at {SIDE[0]:g} to {SIDE[1]:g} degrees: bring images that are turned further."
        )
    known = np.isin(identity, both)
    return Split(np.flatnonzero(front & known), np.flatnonzero(side & known))


def recognise(features: ndarray, identity: ndarray, split: Split | None = None) -> ndarray:
    """Whether each probe's nearest neighbour in the gallery, by cosine, is the same person: (P,) bool.

    `features` (N, F), `identity` (N,); see `split_gallery`, which is the split unless told.
    """
    gallery, probes = split or split_gallery(identity)
    near = _scaled(features, gallery)
    nearest = (near[probes] @ near[gallery].T).argmax(axis=1)
    return identity[gallery][nearest] == identity[probes]


def rank_one(
    features: ndarray, identity: ndarray, seed: int = 0, split: Split | None = None
) -> tuple[float, float, float]:
    """Share of probes recognised, with its 95 % interval over people."""
    split = split or split_gallery(identity)
    return interval(recognise(features, identity, split).astype(float), identity[split.probes], seed)


def chance(identity: ndarray, split: Split | None = None) -> float:
    """The share that guessing would recognise: one over the number of people in the gallery."""
    return 1 / len(np.unique(identity[(split or split_gallery(identity)).gallery]))


def linear_probe(
    features: ndarray, identity: ndarray, seed: int = 0, split: Split | None = None
) -> tuple[float, float, float]:
    """Share of images that a logistic regression puts down to the right person, with its interval.

    It learns from the gallery of `split`; unless told, from every second image of each person. Weight decay
    is scikit-learn's default, on standardised features.
    """
    gallery, probes = split or halves(identity)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    probe.fit(features[gallery], identity[gallery])
    return interval(probe.predict(features[probes]) == identity[probes], identity[probes], seed)


def halves(identity: ndarray) -> Split:
    """Every second image of each person as the gallery, beginning with the first; UserErrors as above."""
    split_gallery(identity)
    order = np.argsort(identity, kind="stable")
    _, start, count = np.unique(identity[order], return_index=True, return_counts=True)
    place = np.empty(len(identity), int)
    place[order] = np.arange(len(identity)) - np.repeat(start, count)
    return Split(np.flatnonzero(place % 2 == 0), np.flatnonzero(place % 2 == 1))


def verification(
    features: ndarray, identity: ndarray, seed: int = 0, split: Split | None = None, draws: int = 200
) -> Verification:
    """All pairs of a probe with a gallery image: ROC curve, its area, and the equal error rate.

    Unless told, each person's first image is the gallery, see `split_gallery`. The area's interval is a
    bootstrap over people: one drawn twice counts twice, and is never held against himself as a stranger.
    """
    gallery, probes = split or split_gallery(identity)
    near = _scaled(features, gallery)
    score = (near[probes] @ near[gallery].T).ravel()
    people, index = np.unique(identity, return_inverse=True)
    a, b = (side.ravel() for side in np.meshgrid(index[probes], index[gallery], indexing="ij"))
    same = a == b
    false, true, _ = roc_curve(same, score)
    generator, areas = np.random.default_rng(seed), []
    for _ in range(draws):
        drawn = generator.multinomial(len(people), np.full(len(people), 1 / len(people)))
        weight = np.where(same, drawn[a], drawn[a] * drawn[b])
        areas.append(roc_auc_score(same, score, sample_weight=weight))
    low, high = np.quantile(areas, (0.025, 0.975))
    crossing = np.abs(false - (1 - true)).argmin()
    area = (float(roc_auc_score(same, score)), float(low), float(high))
    return Verification(false, true, area, float((false + 1 - true)[crossing] / 2))


def _scaled(features: ndarray, gallery: ndarray) -> ndarray:
    """Features standardised as the gallery is, at unit length."""
    scaled = StandardScaler().fit(features[gallery]).transform(features)
    return scaled / (np.linalg.norm(scaled, axis=1, keepdims=True) + 1e-12)
