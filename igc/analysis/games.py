"""What a set of components is worth: the value of every subset, cheap enough to ask for all of them.

A game is played by K components on held-out people. Everything fitted is fitted on other people. For
people and for labels a component gives every row (an image to be recognised) a log-likelihood ratio for
every column (a person or a label); a subset's ratio is the sum over its components, which takes these as
independent given the column (ours). For numbers a component is boiled down to its best linear prediction
of the target, and a subset is the least-squares fit on its components' predictions.
"""

from typing import NamedTuple

import numpy as np
from numpy import ndarray
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

WIDEST = 48
"""Components with more features than this are first projected on so many principal axes."""
CHUNK = 2**23
"""Numbers that are held at once."""


class Discriminant(NamedTuple):
    """Two-covariance discriminant analysis (PLDA: Ioffe 2006): within a class the features vary by 1, between
    classes by `between`, along independent axes."""

    centre: ndarray
    axes: ndarray
    between: ndarray

    def project(self, features: ndarray) -> ndarray:
        return (features - self.centre) @ self.axes

    def ratios(self, probes: ndarray, means: ndarray, counts: ndarray) -> ndarray:
        """Log-likelihood ratios (R, C) that `probes` (R, D) are of the classes whose images, `counts` (C,) of
        them, have these `means` (C, D); against being of a class never seen. All projected."""
        between = self.between
        share = between / (between + 1 / counts[:, None])
        spread = 1 + between - share * between
        expected = share * means
        fit = -0.5 * probes**2 @ (1 / spread).T + probes @ (expected / spread).T
        fit -= 0.5 * (expected**2 / spread + np.log(spread)).sum(axis=1)
        other = 0.5 * (probes**2 / (1 + between) + np.log1p(between)).sum(axis=1)
        return fit + other[:, None]


def fit_discriminant(features: ndarray, classes: ndarray) -> Discriminant:
    """The discriminant of `features` (N, F) and `classes` (N,); F may be 0, and features may be constant.

    The covariance within classes is shrunk (Ledoit and Wolf 2004). What the class means vary by beyond
    the most that their images' scatter explains in so many features and classes, the edge of Marchenko and
    Pastur (1967), is between classes; it may be 0, and then nothing is told, and noise does no harm (ours).
    """
    centre = features.mean(axis=0)
    scale = features.std(axis=0)
    axes = np.diag(1 / np.where(scale > 1e-9, scale, np.inf))
    if features.shape[1] > WIDEST:
        _, _, right = np.linalg.svd((features - centre) @ axes, full_matrices=False)
        axes = axes @ right[:WIDEST].T
    _, index, count = np.unique(classes, return_inverse=True, return_counts=True)
    projected = (features - centre) @ axes
    means = _group_mean(projected, index, count)
    if not axes.size or len(count) < 2 or len(index) <= len(count):
        return Discriminant(centre, np.zeros((features.shape[1], 0)), np.zeros(0))
    within, _ = ledoit_wolf(projected - means[index], assume_centered=True)
    size, turn = np.linalg.eigh(within * len(index) / (len(index) - len(count)))
    keep = size > 1e-9
    axes = axes @ (turn[:, keep] / np.sqrt(size[keep]))
    means = _group_mean((features - centre) @ axes, index, count)
    spread, turn = np.linalg.eigh(np.cov(means.T, ddof=1).reshape(means.shape[1], -1))
    edge = np.mean(1 / count) * (1 + np.sqrt(len(spread) / len(count))) ** 2
    between = (spread - edge).clip(min=0)
    keep = between > 0
    return Discriminant(centre, axes @ turn[:, keep], between[keep])


class Choice:
    """A game of telling the right column from the others.

    `terms` (K, R, C) as `ratios` gives them, `own` (R,) the right column of each row, `people` (R,) who the
    row shows. The value is the chance that the right column is put above another one, less 1/2: 0 is
    guessing, 1/2 is perfect; ties count half. `paired`: columns are people too, given by `columns` (C,); a
    unit is a pair of people then, else a person.
    """

    def __init__(self, terms, own, people, columns=None):
        order = np.argsort(people, kind="stable")
        self.terms, self.own = terms[:, order].astype(np.float32), own[order]
        persons, self._start, count = np.unique(people[order], return_index=True, return_counts=True)
        self.paired, self._count = columns is not None, count
        if self.paired:
            self._other = persons[:, None] != columns[None]
            self.members = np.stack(np.broadcast_arrays(persons[:, None], columns[None]), -1)[self._other]
            self.weight = np.ones(len(self.members))
        else:
            self.members, self.weight = persons[:, None], count.astype(float)

    def gains(self, masks: ndarray) -> ndarray:
        """What each unit adds for each subset `masks` (A, K) bool: (A, U)."""
        number, rows, columns = self.terms.shape
        flat, step = self.terms.reshape(number, -1), max(1, CHUNK // (rows * columns))
        chunks = [masks[i : i + step].astype(np.float32) @ flat for i in range(0, len(masks), step)]
        return np.concatenate([self._outcome(total.reshape(-1, rows, columns)) for total in chunks])

    def shuffled(self, component: int, order: ndarray) -> ndarray:
        """The gains (U,) of all components, where one has the rows of others."""
        total = self.terms.sum(axis=0) - self.terms[component] + self.terms[component][order]
        return self._outcome(total[None])[0]

    def _outcome(self, total: ndarray) -> ndarray:
        """Who comes out above whom for `total` (A, R, C), by unit (A, U)."""
        right = np.take_along_axis(total, self.own[None, :, None], axis=2)
        won = 0.5 * np.sign(np.where(np.abs(right - total) < 1e-5, 0, right - total))
        if self.paired:
            mean = np.add.reduceat(won, self._start, axis=1) / self._count[:, None]
            return mean[:, self._other]
        return np.add.reduceat(won.sum(axis=2) / max(1, won.shape[2] - 1), self._start, axis=1)


class Line:
    """A game of predicting a number: the value is R^2 against guessing the mean of those fitted on.

    `fitted` and `terms` (K, R) are the components' own predictions for the rows fitted on and tested on,
    `known` and `truth` (R,) the numbers, `people` (R,) who the tested rows show. A unit is a person.
    """

    def __init__(self, fitted, known, terms, truth, people):
        order = np.argsort(people, kind="stable")
        self.terms, self._truth = terms[:, order], truth[order] - known.mean()
        centre = fitted.mean(axis=1, keepdims=True)
        self._gram, self._aim = (fitted - centre) @ (fitted - centre).T, (fitted - centre) @ known
        self.terms = self.terms - centre
        persons, self._start = np.unique(people[order], return_index=True)
        self.members = persons[:, None]
        self.weight = np.add.reduceat(self._truth**2, self._start)

    def gains(self, masks: ndarray) -> ndarray:
        return self._outcome(self._slopes(masks) @ self.terms)

    def shuffled(self, component: int, order: ndarray) -> ndarray:
        terms = self.terms.copy()
        terms[component] = terms[component][order]
        return self._outcome(self._slopes(np.ones((1, len(terms)), bool)) @ terms)[0]

    def _slopes(self, masks: ndarray) -> ndarray:
        """Least squares on the components of each subset; the others have slope 0: (A, K)."""
        both = masks[:, :, None] & masks[:, None]
        ridge = np.eye(len(self._gram)) * (1e-6 * np.trace(self._gram) + 1e-12)
        system = np.where(both, self._gram + ridge, 0) + np.eye(len(self._gram)) * ~masks[:, None]
        return np.linalg.solve(system, np.where(masks, self._aim, 0)[..., None])[..., 0]

    def _outcome(self, predicted: ndarray) -> ndarray:
        better = self._truth**2 - (predicted - self._truth) ** 2
        return np.add.reduceat(better, self._start, axis=1)


def people_game(parts: list, identity: ndarray, fit: ndarray, gallery: ndarray, probes: ndarray) -> Choice:
    """Recognising the people of `probes` among those of `gallery`, of whom none is in `fit` (indices)."""
    columns, index, count = np.unique(identity[gallery], return_inverse=True, return_counts=True)
    terms = []
    for features in parts:
        found = fit_discriminant(features[fit], identity[fit])
        means = _group_mean(found.project(features[gallery]), index, count)
        terms.append(found.ratios(found.project(features[probes]), means, count))
    own = np.searchsorted(columns, identity[probes])
    return Choice(np.stack(terms), own, identity[probes], columns)


def label_game(parts: list, labels: ndarray, people: ndarray, fit: ndarray, test: ndarray) -> Choice:
    """Telling the label of people who are not in `fit`; a label that `fit` lacks is left out."""
    columns, index, count = np.unique(labels[fit], return_inverse=True, return_counts=True)
    test = test[np.isin(labels[test], columns)]
    terms = []
    for features in parts:
        found = fit_discriminant(features[fit], labels[fit])
        means = _group_mean(found.project(features[fit]), index, count)
        terms.append(found.ratios(found.project(features[test]), means, count))
    return Choice(np.stack(terms), np.searchsorted(columns, labels[test]), people[test])


def number_game(parts: list, numbers: ndarray, people: ndarray, fit: ndarray, test: ndarray) -> Line:
    """Predicting a number for people who are not in `fit`; for those in it, each is left to a fifth."""
    fitted, terms = [], []
    folds = GroupKFold(min(5, len(np.unique(people[fit]))))
    for features in parts:
        if not features.shape[1]:
            fitted.append(np.zeros(len(fit))), terms.append(np.zeros(len(test)))
            continue
        line = make_pipeline(StandardScaler(), Ridge(alpha=0.1 * len(fit)))
        fitted.append(cross_val_predict(line, features[fit], numbers[fit], groups=people[fit], cv=folds))
        terms.append(line.fit(features[fit], numbers[fit]).predict(features[test]))
    return Line(np.stack(fitted), numbers[fit], np.stack(terms), numbers[test], people[test])


def _group_mean(values: ndarray, index: ndarray, count: ndarray) -> ndarray:
    out = np.zeros((len(count), values.shape[1]))
    np.add.at(out, index, values)
    return out / count[:, None]
