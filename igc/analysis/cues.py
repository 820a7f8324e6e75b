"""Shape and albedo, told apart by the light (ours).

How a photograph differs from the mean face at a point is, in logarithms, its albedo, which is the same in any
light, or its normal, by which brightness changes the more the farther to the side the light stands. So all
photographs of a part are explained together: photograph i differs from the mean by

    sum over k of  z_ik (a_k + u_i b_k + v_i c_k)

with K numbers z of its own, the slopes u and v of its light to the right and down, and patterns that all
photographs share: a of brightness and hue, b and c of brightness. Numbers and patterns are found in turn,
each by least squares where the part is seen. Then the axes are turned so that those come first whose patterns
depend most on the light. An axis that depends on it noticeably, and more than it would if the lights were
dealt out at random, is shape: what goes with it, such as a mark that a wider nose moves, is shape too. The
rest is albedo. A bump that moves no mark at all may pass for paint, and so may any shape in a part of few
cells: what it does in each light can also be had by several axes of paint. (With a third of the axes small
parts do better at this, but tell people apart less well.)
"""

from typing import NamedTuple

import numpy as np
from numpy import ndarray
from sklearn.preprocessing import PolynomialFeatures

AXES, TURNS, EACH = 32, 5, 8
"""Axes of a part at most, and no more than it has cells; how often numbers and patterns take turns; the least
photographs for an axis."""
STEADY, TURNING, CALM = 5.0, 15.0, 3.0
"""Ridges that keep patterns and numbers calm: of a, of b and c, of z (in photographs, and in variances)."""
SHARE, SURE, DEALS = 0.025, 2.0, 3
"""How much of an axis of shape depends on the light, beside what does not and beyond chance; how many times
as much as by chance; how often lights are dealt out to know chance. Tried on people who are in no record:
with 0.02 what counts as shape tells more of the colours of ordinary faces (R^2 .041 in place of .025), with
0.03 more of the nose is albedo."""


class Patterns(NamedTuple):
    """What a unit of each of K features does to the n cells of a part, in logarithms."""

    steady: ndarray
    """(3, n, K): to brightness, and to red and blue over green"""
    turning: ndarray
    """(2, n, K): and to brightness, for each unit of the light's slopes"""

    def drawn(self, features: ndarray, slopes: ndarray) -> ndarray:
        """Changes (N, 3, n) that features (N, K) stand for in lights with `slopes` (N, 2)."""
        found = np.einsum("nk,hck->nhc", features, self.steady)
        found[:, 0] += np.einsum("nk,na,ack->nc", features, slopes, self.turning, optimize=True)
        return found


def slopes(light: ndarray) -> ndarray:
    """How fast brightness changes with a normal to the right and down, (N, 2), in lights (N, 5)."""
    ambient, diffuse, direction = light[:, :1], light[:, 1:2], light[:, 2:]
    return diffuse * direction[:, :2] / (ambient + diffuse * np.abs(direction[:, 2:]))


def freed_of_light(maps: ndarray, seen: ndarray, light: ndarray, fit: ndarray) -> ndarray:
    """`maps` (N, 3, n) without what the lights (N, 5) do to them in the mean over the rows `fit`: a cubic in
    direction and contrast, fitted at every cell where it is `seen` (N, n). What is not seen becomes 0."""
    numbers = np.column_stack([light[:, 2:4], light[:, 1] / (light[:, 0] + light[:, 1])])
    numbers = (numbers - numbers[fit].mean(axis=0)) / numbers[fit].std(axis=0).clip(min=1e-6)
    powers = PolynomialFeatures(3).fit_transform(numbers).astype(maps.dtype)
    maps = maps * seen[:, None]
    products, count = powers[fit][:, :, None] * powers[fit][:, None], powers.shape[1]
    normal = (seen[fit].T @ products.reshape(len(fit), -1)).reshape(-1, count, count)
    right = np.einsum("ni,nhc->cih", powers[fit], maps[fit], optimize=True)
    line = np.linalg.solve(normal + np.eye(count, dtype=maps.dtype), right)
    return (maps - np.einsum("ni,cih->nhc", powers, line, optimize=True)) * seen[:, None]


def separate(maps: ndarray, seen: ndarray, light: ndarray, fit: ndarray) -> dict[str, tuple]:
    """Shape and albedo of one part: by cue its `Patterns`, and its features (N, K).

    `maps` (N, 3, n): differences of brightness and of two hues from the mean face; `seen` (N, n) bool;
    `light` (N, 5). Patterns are fitted on the rows `fit`. A feature of 1 changes the part by 1, the
    root of the sum of squares over its cells, in the mean over the lights of `fit`.
    """
    maps, seen = maps.astype(np.float32), seen.astype(np.float32)
    maps = freed_of_light(maps, seen, light, fit)
    unit = max(float(maps[fit].std()), 1e-9)
    maps, turns = maps / unit, slopes(light)
    middle, spread = turns[fit].mean(axis=0), turns[fit].std(axis=0).clip(min=1e-6)
    turns = np.column_stack([np.ones(len(turns)), (turns - middle) / spread]).astype(np.float32)
    begin = _begin(maps, fit, min(AXES, maps.shape[2], max(1, len(fit) // EACH)))
    patterns, numbers = _explained(begin, maps, seen, turns, fit)
    share, axes = np.linalg.eigh(_light_share(patterns))
    steady = ((patterns.steady @ axes) ** 2).sum(axis=(0, 1))
    chance = _chance(numbers @ axes, maps, seen, turns, fit)
    shape = (share > SURE * chance) & (share - chance > SHARE * steady)
    return {
        "shape": _in_logarithms(patterns, numbers, axes[:, shape][:, ::-1], unit, middle, spread),
        "albedo": _in_logarithms(patterns, numbers, axes[:, ~shape][:, ::-1], unit, middle, spread),
    }


def _chance(numbers, maps, seen, turns, fit) -> ndarray:
    """How much the patterns of each axis depend on the light if the lights are dealt out at random, (K,)."""
    found, generator = [], np.random.default_rng(0)
    for _ in range(DEALS):
        dealt = turns.copy()
        dealt[fit] = turns[fit][generator.permutation(len(fit))]
        found.append(np.diag(_light_share(_patterns(numbers, maps, seen, dealt, fit))))
    return np.mean(found, axis=0)


def _explained(numbers, maps, seen, turns, fit) -> tuple[Patterns, ndarray]:
    """Patterns and numbers, found in turn from the `numbers` to begin with. `turns` (N, 3): 1, and the
    slopes of the light with mean 0 and variance 1."""
    for _ in range(TURNS):
        numbers = _numbers(_patterns(numbers, maps, seen, turns, fit), maps, seen, turns, fit)
    return _patterns(numbers, maps, seen, turns, fit), numbers


def _begin(maps: ndarray, fit: ndarray, count: int) -> ndarray:
    """Principal components of the maps, each with variance 1."""
    rows = maps.reshape(len(maps), -1)
    axes = np.linalg.eigh(rows[fit].T @ rows[fit])[1][:, : -count - 1 : -1]
    numbers = rows @ axes
    return numbers / numbers[fit].std(axis=0).clip(min=1e-9)


def _patterns(numbers, maps, seen, turns, fit) -> Patterns:
    """The patterns that explain the rows `fit` best, given everybody's numbers (N, K)."""
    count, cells = numbers.shape[1], maps.shape[2]
    terms = (turns[fit][:, :, None] * numbers[fit][:, None]).reshape(len(fit), 3 * count)
    products = (terms[:, :, None] * terms[:, None]).reshape(len(fit), -1)
    normal = (seen[fit].T @ products).reshape(cells, 3 * count, 3 * count)
    right = np.einsum("nk,nhc->hck", terms, maps[fit], optimize=True)
    calm = np.diag(np.repeat([STEADY, TURNING, TURNING], count)).astype(maps.dtype)
    bright = np.linalg.solve(normal + calm, right[0][..., None])[..., 0].reshape(cells, 3, count)
    steady = (normal + calm)[:, :count, :count]
    hues = np.linalg.solve(steady, right[1:, :, :count].transpose(1, 2, 0)).transpose(2, 0, 1)
    return Patterns(np.concatenate([bright[None, :, 0], hues]), bright[:, 1:].transpose(1, 0, 2))


def _numbers(patterns: Patterns, maps, seen, turns, fit) -> ndarray:
    """The numbers (N, K) that explain every photograph best, uncorrelated and with variance 1 over `fit`."""
    steady, turning = patterns
    count = steady.shape[2]
    terms = [steady[0], *turning]

    def seen_products(one: ndarray, other: ndarray) -> ndarray:
        return seen @ (one[:, :, None] * other[:, None]).reshape(len(one), -1)

    normal = seen_products(steady[1], steady[1]) + seen_products(steady[2], steady[2])
    right = maps[:, 1] @ steady[1] + maps[:, 2] @ steady[2]
    for i, one in enumerate(terms):
        right = right + turns[:, i, None] * (maps[:, 0] @ one)
        for j, other in enumerate(terms):
            normal += (turns[:, i] * turns[:, j])[:, None] * seen_products(one, other)
    normal = normal.reshape(-1, count, count) + CALM * np.eye(count, dtype=maps.dtype)
    numbers = np.linalg.solve(normal, right[..., None])[..., 0]
    numbers = numbers - numbers[fit].mean(axis=0)
    spread = np.atleast_2d(np.cov(numbers[fit].T)) + 1e-6 * np.eye(count)
    return np.linalg.solve(np.linalg.cholesky(spread), numbers.T).T.astype(maps.dtype)


def _light_share(patterns: Patterns) -> ndarray:
    """How much the axes' patterns depend on the light, (K, K)."""
    return np.einsum("ack,acl->kl", patterns.turning, patterns.turning)


def _in_logarithms(patterns: Patterns, numbers, axes, unit, middle, spread) -> tuple[Patterns, ndarray]:
    """Patterns and features along the columns of `axes`, for slopes as `slopes` gives them."""
    steady, turning = patterns.steady @ axes, patterns.turning @ axes
    size = np.sqrt((steady**2).sum(axis=(0, 1)) + (turning**2).sum(axis=(0, 1))).clip(min=1e-9)
    turning = turning / spread[:, None, None]
    steady[0] -= np.einsum("a,ack->ck", middle, turning)
    features = (numbers @ axes) * size * unit
    return Patterns(steady / size, turning / size), features.astype(float)
