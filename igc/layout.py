"""Measures of where parts lie on the face seen from the front: do they follow a person's features, and how
much do faces have in common?"""

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from igc.metrics import correlation

FEATURES = {"eyes": 2, "nose": 3, "lips": 4}
"""What parts should follow, and the true labels of it."""


def following(fit_labels: Tensor, fit: dict, labels: Tensor, test: dict, parts: int) -> float:
    """Whether parts sit lower in people whose features do: Pearson's r, the mean over `FEATURES`.

    Heights are mean rows in pixels: of the features in the true `canonical_labels` of `fit` and `test`, and
    of the parts 1..`parts` in the canonical labels (N, S, S) predicted for them; averaged over a person's
    pictures (`identity`), and then less the mean of that person's features, or parts. The part of each
    feature is the one with the largest r over the validation people `fit`; r is taken over the test people.
    0 for parts that lie in one place in all faces. (Ours.)
    """
    numbers = list(FEATURES.values())
    known, found = (
        (
            relative_heights(truth["canonical_labels"], truth["identity"], numbers),
            relative_heights(predicted, truth["identity"], range(1, parts + 1)),
        )
        for predicted, truth in ((fit_labels, fit), (labels, test))
    )
    scores = []
    for feature in range(len(numbers)):
        fitted = [_alike(known[0][:, feature], known[1][:, part]) for part in range(parts)]
        scores.append(_alike(found[0][:, feature], found[1][:, int(np.argmax(fitted))]))
    return float(np.mean(scores))


def relative_heights(labels: Tensor, identity: Tensor, numbers) -> ndarray:
    """Heights (people, len(numbers)) in pixels of the labels `numbers` in `labels` (N, S, S), averaged over a
    person's pictures, less the person's mean. What a person's pictures never show is at its mean height over
    the pictures; what nobody's show has no say in the means, and 0."""
    rows = torch.arange(labels.shape[-2]).double() + 0.5
    area = torch.stack([(labels == number).sum(dim=2) for number in numbers], dim=1).double()
    height = (area * rows).sum(dim=2) / area.sum(dim=2)
    who, index = identity.unique(return_inverse=True)
    seen = ~height.isnan()
    total = torch.zeros(len(who), height.shape[1]).double().index_add_(0, index, height.nan_to_num(0))
    count = torch.zeros_like(total).index_add_(0, index, seen.double())
    mean = torch.where(seen, height, 0).sum(dim=0) / seen.sum(dim=0).clamp(min=1)
    person = torch.where(count > 0, total / count, mean)
    shown = seen.any(dim=0)
    return ((person - person[:, shown].mean(dim=1, keepdim=True)) * shown).nan_to_num(0).numpy()


def _alike(a: ndarray, b: ndarray) -> float:
    return correlation(torch.from_numpy(a), torch.from_numpy(b))


def layout_agreement(fit_labels: Tensor, labels: Tensor) -> float:
    """Share of pixels at which a face has the part that most faces have there: canonical labels (N, S, S) of
    the validation people, whose commonest label at every pixel is the common layout, and of the test people.
    Over all test faces and the pixels where the face and the common layout both have a part; 0 if there are
    none. 1 where one layout lies over all faces: neither good nor bad by itself. (Ours.)"""
    common = fit_labels.mode(dim=0).values
    both = (labels > 0) & (common > 0)
    return float(((labels == common) & both).sum() / both.sum().clamp(min=1))
