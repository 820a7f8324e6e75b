"""Every method finds what was planted, and they differ where theory says so."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.inspection import permutation_importance

from igc.analysis import LIGHT, METHODS, allow_for, analyse
from igc.analysis.importance import _sampled, folds, plan, play
from igc.errors import UserError
from tests.analysis.made import faces

SHAPE, ALBEDO = (0, "shape"), (1, "albedo")


def value(effects, component):
    return dict(zip(effects.names, effects.estimate().value, strict=True))[component]


@pytest.mark.parametrize("planted", [SHAPE, ALBEDO])
def test_every_method_puts_the_planted_component_first(planted):
    made, who = faces(planted={planted: (0, 2)})
    found = analyse(made, who)
    assert tuple(found) == METHODS
    for method, effects in found.items():
        first, *others = effects.table()
        assert (first["part"], first["cue"]) == planted, method
        assert first["low"] > max(row["high"] for row in others), method
        assert first["holm"] < 1e-3 and all(row["holm"] > 0.01 or row["value"] < 0.05 for row in others)
        assert (effects.ahead(planted).low > 0).all()


def test_of_two_that_say_the_same_neither_is_missed_but_both_share():
    """Leave one out says next to nothing, only one shows both in full, Shapley splits."""
    made, who = faces(planted={SHAPE: (0, 4), ALBEDO: (0, 4)})
    found = analyse(made, who, fit=who < 24)
    for component in (SHAPE, ALBEDO):
        assert value(found["only one"], component) > 0.47
        assert abs(value(found["leave one out"], component)) < 0.02
        assert value(found["shapley"], component) == pytest.approx(0.25, abs=0.03)


def test_of_two_that_say_different_things_the_stronger_comes_first():
    made, who = faces(planted={SHAPE: (0, 1.4), ALBEDO: (1, 0.7)})
    for method, effects in analyse(made, who, fit=who < 24).items():
        order = [(row["part"], row["cue"]) for row in effects.table()]
        assert order[:2] == [SHAPE, ALBEDO], method


def test_shapley_values_add_up_to_what_all_are_worth():
    made, who = faces(planted={SHAPE: (0, 1), ALBEDO: (1, 1)})
    effects = analyse(made, who, fit=who < 24)["shapley"]
    (fit, test) = np.flatnonzero(who < 24), np.flatnonzero(who >= 24)
    every = play(list(made.values()), who, None, "people", fit, test).gains(np.ones((1, 4), bool))
    np.testing.assert_allclose(effects.gains.sum(axis=0), every[0], atol=1e-6)


def test_shapley_by_random_orders_is_close_to_exact():
    masks, share = plan(4)
    assert len(masks) == 16 and not masks[0].any() and masks[-1].all()
    worth = np.random.default_rng(0).random(16)
    by_subset = {mask.tobytes(): w for mask, w in zip(masks, worth, strict=True)}
    some, weights = _sampled(4, 0)
    guessed = weights @ np.array([by_subset[mask.tobytes()] for mask in some])
    np.testing.assert_allclose(guessed, share @ worth, atol=0.06)
    assert guessed.sum() == pytest.approx(worth[-1] - worth[0]) and some[-1].all()


def test_many_components_go_by_random_orders():
    masks, share = plan(16)
    assert len(masks) < 2**13 and share.shape == (16, len(masks))
    np.testing.assert_allclose(share[:, -1].sum(), 1)


def test_permutation_agrees_with_scikit_learn():
    """Its permutation importance, where a column stands for all features of a component."""
    made, who = faces(planted={SHAPE: (0, 1), ALBEDO: (1, 1)})
    fit, test = np.flatnonzero(who < 24), np.flatnonzero(who >= 24)
    game = play(list(made.values()), who, None, "people", fit, test)

    class Scored(BaseEstimator):
        def fit(self, X, y):
            return self

        def score(self, X, y):
            total = sum(game.terms[k][X[:, k].astype(int)] for k in range(4))
            return game._outcome(total[None])[0].mean()

    rows = np.repeat(np.arange(game.terms.shape[1])[:, None], 4, axis=1)
    theirs = permutation_importance(Scored(), rows, game.own, n_repeats=10, random_state=0).importances_mean
    ours = analyse(made, who, fit=who < 24)["permutation"].estimate().value
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_light_is_not_credited_to_a_component_that_repeats_it():
    """The people differ in their light only, and the albedo follows the light."""
    made, who = faces(96)
    draw = np.random.default_rng(1)
    light = draw.normal(size=(96, 3))[who] + 0.1 * draw.normal(size=(len(who), 3))
    made[ALBEDO][:, :3] += 3 * light
    bare = analyse(made, who, fit=who < 64)["only one"]
    assert bare.table()[0]["cue"] == "albedo" and bare.table()[0]["low"] > 0.2
    for method, effects in analyse(made | {LIGHT: light}, who, circumstances=light, fit=who < 64).items():
        first, *others = effects.table()
        assert first["cue"] == "light" and first["low"] > 0.2, method
        assert all(row["value"] < 0.1 for row in others), method


def test_what_is_allowed_for_is_learned_from_the_people_fitted_on():
    draw = np.random.default_rng(0)
    how = draw.normal(size=(100, 2))
    features = how @ draw.normal(size=(2, 3)) + 0.1 * draw.normal(size=(100, 3))
    left = allow_for(features, how, np.arange(60))
    assert left[60:].std() < 0.5 * features.std()
    features[60:] += 1e6
    np.testing.assert_allclose(allow_for(features, how, np.arange(60))[:60], left[:60])
    assert allow_for(np.zeros((100, 0)), how, np.arange(60)).shape == (100, 0)
    alone = allow_for(features[:, :1], how, np.arange(60))
    assert alone.shape == (100, 1), "a single column stays one"
    np.testing.assert_allclose(alone[:60], left[:60, :1], atol=1e-9)


def test_labels_and_numbers_are_targets_too():
    made, who = faces(40)
    draw = np.random.default_rng(3)
    smile = np.where(draw.random(len(who)) < 0.4, "smile", "neutral")
    angle = draw.normal(size=len(who))
    made[SHAPE][:, 0] += 3 * (smile == "smile")
    made[ALBEDO][:, 1] += 2 * angle
    for target, kind, planted in ((smile, "labels", SHAPE), (angle, "numbers", ALBEDO)):
        for method, effects in analyse(made, who, target, kind).items():
            first, *others = effects.table()
            assert (first["part"], first["cue"]) == planted, (kind, method)
            assert first["low"] > max(row["high"] for row in others), (kind, method)
    assert value(analyse(made, who, angle, "numbers")["only one"], ALBEDO) > 0.5


def test_a_component_without_features_is_worth_nothing():
    made, who = faces(planted={SHAPE: (0, 2)})
    made[ALBEDO] = np.zeros((len(who), 0))
    for kind, target in (("people", None), ("numbers", made[SHAPE][:, 0])):
        for effects in analyse(made, who, target, kind).values():
            assert value(effects, ALBEDO) == pytest.approx(0, abs=1e-6)


def test_more_features_than_images_do():
    made, who = faces(20, planted={SHAPE: (0, 3)}, width=4)
    made[ALBEDO] = np.random.default_rng(0).normal(size=(len(who), 200))
    assert analyse(made, who)["shapley"].table()[0]["cue"] == "shape"


def test_the_people_measured_are_never_fitted_on():
    people = np.repeat(np.arange(11), 3)
    (a, b), (c, d) = folds(people)
    assert not set(people[a]) & set(people[b]) and set(people[a]) | set(people[b]) == set(range(11))
    assert (a == d).all() and (b == c).all()


@pytest.mark.parametrize(
    ("people", "target", "kind", "said"),
    [
        (np.repeat(np.arange(3), 4), None, "people", "at least 4 people"),
        (np.arange(12), None, "people", "two images of a person"),
        (np.repeat(np.arange(6), 2), np.full(12, "a"), "labels", "two labels"),
        (np.repeat(np.arange(6), 2), np.ones(12), "numbers", "same number"),
        (np.repeat(np.arange(6), 2), np.ones(12), "words", "unknown"),
    ],
)
def test_what_cannot_be_analysed_is_said_in_a_sentence(people, target, kind, said):
    with pytest.raises(UserError, match=said):
        analyse({SHAPE: np.random.default_rng(0).normal(size=(12, 2))}, people, target, kind)
