"""Intervals cover as often as they say, and corrections correct."""

import numpy as np
import pytest

from igc.analysis import analyse, estimate, holm, interval, simulate_coverage
from igc.analysis.statistics import pooled, wilson
from tests.analysis.made import faces


def pairs(n):
    return np.array([(i, j) for i in range(n) for j in range(n) if i != j])


def test_the_interval_of_people_is_that_of_a_mean():
    values = np.random.default_rng(0).normal(1, 1, size=(1, 30))
    found = estimate(values, np.arange(30)[:, None])
    assert found.value[0] == pytest.approx(values.mean())
    assert found.error[0] == pytest.approx(values.std(ddof=1) / np.sqrt(30))
    assert found.low[0] < values.mean() < found.high[0] and found.p[0] < 0.01


def test_weights_make_a_ratio():
    found = estimate(np.array([[1.0, 6.0, 2.0]]), np.arange(3)[:, None], np.array([1.0, 3.0, 1.0]))
    assert found.value[0] == pytest.approx(9 / 5)
    turned = estimate(np.array([[1.0, 6.0, 2.0]]), np.arange(3)[:, None], np.array([-1.0, -3.0, -1.0]))
    assert turned.value[0] == pytest.approx(-9 / 5) and turned.error[0] == pytest.approx(found.error[0])
    assert turned.low[0] < turned.value[0] < turned.high[0]


@pytest.mark.parametrize("shared", [0, 1])
def test_pairs_cover_whether_people_matter_or_not(shared):
    """Where pairs share a person's luck, and where each pair has its own."""

    def draw(generator):
        members, luck = pairs(16), generator.normal(size=16)
        values = shared * luck[members].sum(axis=1) + generator.normal(size=len(members))
        found = estimate(values[None], members)
        return found.low[0], found.high[0]

    assert 0.92 < simulate_coverage(draw, repeats=400)[0] < 0.99


def test_pairs_are_not_taken_as_independent():
    members = pairs(16)
    luck = np.random.default_rng(0).normal(size=16)
    found = estimate(luck[members].sum(axis=1)[None], members)
    assert found.error[0] > 3 * luck[members].sum(axis=1).std() / np.sqrt(len(members))


def test_a_bootstrap_over_people_says_about_the_same():
    members, luck = pairs(40), np.random.default_rng(0).normal(size=40)
    values = luck[members[:, 0]]
    found, (_, low, high) = estimate(values[None], members), interval(values, members[:, 0])
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), abs=0.1)


def test_nothing_planted_gives_intervals_that_contain_zero_at_the_nominal_rate():
    """All four methods, over new people every time; 2 x 32 of them."""
    inside = []
    for seed in range(60):
        made, who = faces(64, 4, seed=seed, parts=1)
        found = [each.estimate() for each in analyse(made, who, fit=who < 32).values()]
        inside.append([(each.low <= 0) & (each.high >= 0) for each in found])
    rates = np.mean(inside, axis=(0, 2))
    assert ((rates > 0.88) & (rates <= 1)).all(), rates
    assert 0.9 < np.mean(inside) < 0.99


def test_taking_turns_is_on_the_safe_side():
    def draw(generator):
        made, who = faces(32, 4, seed=int(generator.integers(2**31)), parts=1)
        found = analyse(made, who)["only one"].estimate()
        return found.low[0], found.high[0]

    assert simulate_coverage(draw, repeats=60)[0] >= 0.93


def test_holm_is_the_textbook_s():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    assert (holm(np.full(50, 0.3)) == 1).all()


def test_holm_keeps_false_findings_rare():
    draws = np.random.default_rng(0).random((2000, 12))
    assert np.mean([holm(p).min() < 0.05 for p in draws]) == pytest.approx(0.05, abs=0.015)


def test_a_share_s_interval_stays_within_bounds():
    assert wilson(0, 20)[1] == 0 and 0 < wilson(0, 20)[2] < 0.2 and wilson(20, 20)[2] == pytest.approx(1)


def test_a_figure_without_scatter_has_no_width():
    found = estimate(np.array([[0.5] * 6, [0.0] * 6]), np.arange(6)[:, None])
    assert found.low[0] == found.high[0] == 0.5 and found.p.tolist() == [0, 1]


def test_pooling_takes_groups_as_dependent():
    one = estimate(np.random.default_rng(0).normal(size=(1, 20)), np.arange(20)[:, None])
    both = pooled([one, one], 38)
    assert both.value == one.value and both.error == one.error and both.high < one.high
