"""Which component carries a target: four methods that look at the same games from different sides.

- "only one": the value of a component by itself. Generous: components that repeat one another all count.
- "leave one out": what is lost without it. Strict: of two that say the same, neither is missed.
- "permutation": what is lost when its features are exchanged among the images, all columns of a component
  together (grouped permutation); the others stay as they are, trust included.
- "shapley": the mean of what it adds over all orders in which components could come (Shapley 1953), exact by
  the values of all 2^K subsets. Components that say the same share; the shares add up to the whole.

Swapping a component between two people in the image is the fifth method, in `swap`. Fitted on one half of the
people and measured on the other, then the other way round; intervals are over people.
"""

import itertools
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from igc.analysis.features import Component, allow_for
from igc.analysis.games import label_game, number_game, people_game
from igc.analysis.recognition import halves
from igc.analysis.statistics import Estimate, estimate, holm, pooled
from igc.errors import UserError

METHODS = ("only one", "leave one out", "permutation", "shapley")
KINDS = ("people", "labels", "numbers")
"""What a target can be: who it is, one of several labels, or a number."""
EXACT = 13
"""Up to so many components all subsets are counted; beyond, 200 random orders."""
ORDERS, SHUFFLES = 200, 10
FEWEST = 4
"""People: two to fit on and two to test on."""


class Effects(NamedTuple):
    """What one method says of K components, unit by unit; see `statistics.estimate`."""

    names: list[Component]
    gains: ndarray
    """(K, U)"""
    members: ndarray
    weight: ndarray
    group: ndarray
    """(U,): which group of people was measured; 0 unless the people took turns"""

    def estimate(self) -> Estimate:
        """The importance of each component with its interval over people."""
        return self._over(self.gains)

    def ahead(self, component: Component) -> Estimate:
        """How far one component is ahead of each of the others, in their order, by the same units."""
        first = self.names.index(component)
        others = [k for k in range(len(self.names)) if k != first]
        return self._over(self.gains[first] - self.gains[others])

    def table(self) -> list[dict]:
        """A row a component, the most important first, with Holm's correction over all of them."""
        found = self.estimate()
        corrected = holm(found.p)
        rows = [
            {"part": name[0], "cue": name[1], "value": float(found.value[k]), "low": float(found.low[k]),
             "high": float(found.high[k]), "p": float(found.p[k]), "holm": float(corrected[k])}
            for k, name in enumerate(self.names)
        ]  # fmt: skip
        return sorted(rows, key=lambda row: -row["value"])

    def _over(self, gains: ndarray) -> Estimate:
        groups = [self.group == number for number in np.unique(self.group)]
        each = [estimate(gains[:, mine], self.members[mine], self.weight[mine]) for mine in groups]
        return (
            each[0]
            if len(each) == 1
            else pooled(each, len(np.unique(self.members)) // self.members.shape[1] - 2)
        )


def analyse(
    parts: dict[Component, ndarray], people: ndarray, target: ndarray | None = None, kind: str = "people",
    circumstances: ndarray | None = None, fit: ndarray | None = None, seed: int = 0,
) -> dict[str, Effects]:  # fmt: skip
    """What each component does for telling the target, by method.

    `parts`: features (N, F) by component. `people` (N,): who is seen. `kind`: "people" (the target is who it
    is), "labels" or "numbers", with `target` (N,). `circumstances` (N, C), such as light and pose, are
    allowed for in every (part, cue), not in other components. `fit` (N,) bool: the images of the people to
    fit on; the others are measured. Without it each half of the people has its turn, and the intervals are
    wider than need be (see `statistics.pooled`). Units: the chance above 1/2 to put the right person or label
    above another, or R^2. UserError where there are too few people, images or labels.
    """
    people = np.unique(people, return_inverse=True)[1]
    turns = folds(people, seed) if fit is None else [(np.flatnonzero(fit), np.flatnonzero(~fit))]
    generator, names = np.random.default_rng(seed), list(parts)
    games = [play(_prepared(parts, circumstances, a), people, target, kind, a, b) for a, b in turns]
    found = [_measure(game, generator) for game in games]
    members, weight = (np.concatenate([getattr(g, n) for g in games]) for n in ("members", "weight"))
    group = np.repeat(np.arange(len(games)), [len(game.weight) for game in games])
    return {
        method: Effects(
            names, np.concatenate([each[method] for each in found], axis=1), members, weight, group
        )
        for method in METHODS
    }


def play(parts: list[ndarray], people, target, kind, fit, test):
    """The game of held-out people `test`, its components fitted on `fit` (indices)."""
    if kind not in KINDS:
        raise UserError(f"the kind of target {kind!r} is unknown: choose one of {', '.join(KINDS)}.")
    if kind == "people":
        split = halves(people[test])
        return people_game(parts, people, fit, test[split.gallery], test[split.probes])
    if kind == "numbers":
        if np.ptp(target[test]) == 0 or np.ptp(target[fit]) == 0:
            raise UserError("the target is the same number for all: nothing can be said of it.")
        return number_game(parts, target.astype(float), people, fit, test)
    if len(np.unique(target[fit])) < 2:
        raise UserError("the target needs at least two labels, each with several people: bring more.")
    return label_game(parts, target, people, fit, test)


def folds(people: ndarray, seed: int = 0) -> list[tuple[ndarray, ndarray]]:
    """Two halves of the people, each once to fit on and once to test on: pairs of indices of images."""
    everybody = np.unique(people)
    if len(everybody) < FEWEST:
        raise UserError(
            f"the analysis needs at least {FEWEST} people, two to fit on and two to test on, not "
            f"{len(everybody)}: bring images of more people."
        )
    drawn = np.random.default_rng(seed).permutation(everybody)[: len(everybody) // 2]
    first = np.isin(people, drawn)
    sides = np.flatnonzero(first), np.flatnonzero(~first)
    return [sides, sides[::-1]]


def plan(count: int, seed: int = 0) -> tuple[ndarray, ndarray]:
    """Subsets (A, K) bool, first none and last all, and how each counts for each component's Shapley value
    (K, A)."""
    if count > EXACT:
        return _sampled(count, seed)
    masks = np.array(list(itertools.product((False, True), repeat=count)))
    size = masks.sum(axis=1)
    share = np.array([factorial(s) * factorial(max(0, count - s - 1)) for s in range(count + 1)], float)
    share /= factorial(count)
    return masks, np.where(masks.T, share[size - 1], -share[size])


def _sampled(count: int, seed: int) -> tuple[ndarray, ndarray]:
    """The same for random orders, each with its reverse: an unbiased estimate."""
    generator = np.random.default_rng(seed)
    orders = [order for _ in range(ORDERS // 2) for order in _both_ways(generator.permutation(count))]
    place: dict[bytes, int] = {}
    masks, steps = [], []
    for order in orders:
        chosen, before = np.zeros(count, bool), None
        for k in (None, *order):
            if k is not None:
                chosen[k] = True
            now = place.setdefault(chosen.tobytes(), len(place))
            if now == len(masks):
                masks.append(chosen.copy())
            if k is not None:
                steps.append((k, before, now))
            before = now
    last = place[np.ones(count, bool).tobytes()]
    share = np.zeros((count, len(masks)))
    for k, before, now in steps:
        share[k, now] += 1 / len(orders)
        share[k, before] -= 1 / len(orders)
    order = [i for i in range(len(masks)) if i != last] + [last]
    return np.array(masks)[order], share[:, order]


def _both_ways(order: ndarray) -> tuple[ndarray, ndarray]:
    return order, order[::-1]


def _measure(game, generator: np.random.Generator) -> dict[str, ndarray]:
    """Each method's gains (K, U) of one game."""
    count = len(game.terms)
    masks, share = plan(count)
    shapley, step = np.zeros((count, len(game.weight))), max(1, 2**24 // max(1, len(game.weight)))
    for i in range(0, len(masks), step):
        shapley += share[:, i : i + step] @ game.gains(masks[i : i + step])
    every = game.gains(np.ones((1, count), bool))
    rows = game.terms.shape[1]
    shuffled = [
        np.mean([game.shuffled(k, generator.permutation(rows)) for _ in range(SHUFFLES)], axis=0)
        for k in range(count)
    ]
    return {
        "only one": game.gains(np.eye(count, dtype=bool)),
        "leave one out": every - game.gains(~np.eye(count, dtype=bool)),
        "permutation": every - np.stack(shuffled),
        "shapley": shapley,
    }


def _prepared(parts: dict, circumstances: ndarray | None, fit: ndarray) -> list[ndarray]:
    if circumstances is None:
        return list(parts.values())
    return [v if part < 0 else allow_for(v, circumstances, fit) for (part, _), v in parts.items()]
