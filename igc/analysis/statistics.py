"""Intervals over people, correction for many questions, and a simulation of how often an interval covers.

Images of one person resemble one another, so every interval here is over people (ours). A figure is a ratio
of sums over *units*: a unit is a person, or a pair of people that are told apart. Pairs that share a person
depend on one another, and the interval allows for it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from scipy.stats import t as student

LEVEL = 0.95
"""The nominal rate of every interval."""


class Estimate(NamedTuple):
    """Figures with their intervals, all (K,)."""

    value: ndarray
    low: ndarray
    high: ndarray
    p: ndarray
    """probability of a value at least as far from 0 if the truth were 0; two-sided, not corrected"""
    error: ndarray
    """standard error"""


def interval(values: ndarray, people: ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean of `values` (P,) with a 95 % bootstrap interval over people, not over images."""
    _, index = np.unique(people, return_inverse=True)
    count = np.bincount(index)
    means = np.bincount(index, weights=values.astype(float))
    drawn = np.random.default_rng(seed).integers(len(count), size=(1000, len(count)))
    resampled = means[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def estimate(gains: ndarray, members: ndarray, weight: ndarray | None = None) -> Estimate:
    """The ratios sum(gains) / sum(weight) (K,), with 95 % intervals over people.

    `gains` (K, U): what each unit adds to each of K figures. `members` (U, 1) or (U, 2): the person, or the
    two people, of each unit. `weight` (U,): what each unit counts, 1 by default. The variance is the sum of
    products of residuals over all units that share a person (dyadic-robust: Aronow, Samii and Assenova 2015),
    freed of what the estimated mean takes from it where pairs are independent (ours). Student's t has as many
    degrees of freedom as people, or as pairs without a common person, less one; with all people's it would
    cover too rarely (simulated). Two people or more; a figure that is the same for every unit has an interval
    without width.
    """
    gains = np.asarray(gains, dtype=float)
    weight = np.ones(gains.shape[1]) if weight is None else np.asarray(weight, dtype=float)
    people, member = np.unique(members, return_inverse=True)
    member, n, sides = member.reshape(members.shape), len(people), members.shape[1]
    value = gains.sum(axis=1) / weight.sum()
    rest = gains - value[:, None] * weight
    touching = sum(_sum_by(rest, member[:, side], n) for side in range(sides))
    variance = (touching**2).sum(axis=1) * n / max(1, n - sides)
    if sides == 2:
        ordered = np.sort(member, axis=1)
        pairs, pair = np.unique(ordered[:, 0] * n + ordered[:, 1], return_inverse=True)
        alone = (_sum_by(rest, pair, len(pairs)) ** 2).sum(axis=1) * len(pairs) / max(1, len(pairs) - 1)
        variance = np.maximum(variance - alone, alone)
    return _estimate(value, np.sqrt(variance) / abs(weight.sum()), n // sides - 1)


def pooled(estimates: list[Estimate], freedom: int) -> Estimate:
    """The mean of estimates of the same figures from several groups of people, with so much `freedom`.

    Where each group is measured by what was fitted on the others they are not independent; this takes
    them as if they always erred together, and so the interval is on the wide side (ours).
    """
    value = np.mean([each.value for each in estimates], axis=0)
    error = np.mean([each.error for each in estimates], axis=0)
    return _estimate(value, error, freedom)


def _estimate(value: ndarray, error: ndarray, freedom: int) -> Estimate:
    value, error = (np.where(np.abs(each) < 1e-9, 0.0, each) for each in (value, error))
    freedom = max(1, freedom)
    half = student.ppf(0.5 + LEVEL / 2, freedom) * error
    ratio = np.divide(np.abs(value), error, out=np.full(len(value), np.inf), where=error > 0)
    ratio[value == 0] = 0
    return Estimate(value, value - half, value + half, 2 * student.sf(ratio, freedom), error)


def holm(p: ndarray) -> ndarray:
    """Holm's correction of probabilities (K,): the chance of even one false finding among all K stays below
    the level at which these are read (Holm 1979)."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    out = np.empty(len(p))
    out[order] = stepped
    return out


def simulate_coverage(
    draw: Callable[[np.random.Generator], tuple[float, float]], truth: float = 0.0, repeats: int = 200,
    seed: int = 0,
) -> tuple[float, float, float]:  # fmt: skip
    """How often an interval contains the `truth`, with the 95 % interval of that share.

    `draw(generator)` makes new data and returns the interval (low, high). The share's interval is Wilson's.
    """
    generator = np.random.default_rng(seed)
    hits = sum(low <= truth <= high for low, high in (draw(generator) for _ in range(repeats)))
    return wilson(hits, repeats)


def wilson(hits: int, tries: int, z: float = 1.96) -> tuple[float, float, float]:
    """A share of independent tries with Wilson's 95 % interval."""
    share, spread = hits / tries, z * z / tries
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return share, max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _sum_by(values: ndarray, index: ndarray, count: int) -> ndarray:
    """(K, U) summed over the units with the same `index` (U,): (K, count)."""
    out = np.zeros((count, len(values)))
    np.add.at(out, index, values.T)
    return out.T
