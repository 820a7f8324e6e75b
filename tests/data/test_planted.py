"""Planted people differ where they are said to, as much as they are said to, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from igc.data import LABELS, PLANTED, SyntheticFaces, heads, paint, synthetic
from igc.data.planted import CUES, IDENTITY
from igc.data.scene import Head


def drawn(name, count=400, per_identity=2):
    """Identity parameters (people, images of each) by name, and the lights (people, images of each, 5)."""
    data = SyntheticFaces(count=count, per_identity=per_identity, planted=name)
    draws = [data._draw(index) for index in range(count)]
    values = {key: np.reshape([vars(d.p)[key] for d in draws], (-1, per_identity)) for key in IDENTITY}
    return values, torch.stack([d.light for d in draws]).unflatten(0, (-1, per_identity)).numpy()


def moved(name):
    return [key for cue in PLANTED[name] for key in CUES[cue.region, cue.kind]]


@pytest.mark.parametrize("name", PLANTED)
def test_only_the_cues_vary_and_within_their_ranges(name):
    values, _ = drawn(name, 40)
    assert {key for key, value in values.items() if np.ptp(value) > 0} == set(moved(name))
    for key, value in values.items():
        low, high = IDENTITY[key]
        assert low <= value.min() and value.max() <= high
        if key not in moved(name):
            assert value[0, 0] == pytest.approx(0.5 * (low + high))


@pytest.mark.parametrize("name", PLANTED)
def test_the_share_of_variance_between_people_is_the_weight(name):
    values, _ = drawn(name, 1600)
    for cue in PLANTED[name]:
        for key in CUES[cue.region, cue.kind]:
            first, second = values[key].T
            assert np.corrcoef(first, second)[0, 1] == pytest.approx(cue.weight, abs=0.08), key


def test_brows_and_chin_are_planted_two_to_one_and_say_different_things():
    brows, chin = PLANTED["brows and chin"]
    assert brows.weight == pytest.approx(2 * chin.weight)
    values, _ = drawn("brows and chin", 1600)
    spread = {key: values[key].std() / np.ptp(IDENTITY[key]) for key in moved("brows and chin")}
    assert max(spread.values()) < 1.1 * min(spread.values()), "as visible as each other, in all"
    mean = {key: values[key].mean(axis=1) for key in ("brow_thick", "chin_width")}
    assert abs(np.corrcoef(mean["brow_thick"], mean["chin_width"])[0, 1]) < 0.1


def test_redundant_cues_say_the_same():
    values, _ = drawn("redundant", 400)
    for nose, lips in zip(("nose_w", "nose_out", "nose_y"), ("lip_red", "lip_dark", "lip_hue"), strict=True):
        assert np.corrcoef(values[nose].ravel(), values[lips].ravel())[0, 1] > 0.999


def test_light_goes_with_identity_in_one_set_only():
    for name in PLANTED:
        _, light = drawn(name, 60, 3)
        same = bool((light == light[:, :1]).all())
        assert same == (name == "light")
        assert light[:, 0].std(axis=0).min() > 0.01


@pytest.mark.parametrize("name", PLANTED)
def test_expression_pose_and_background_vary_in_every_set(name):
    data = SyntheticFaces(planted=name)
    one, two = data._draw(0), data._draw(1)
    assert all(vars(one.p)[key] != vars(two.p)[key] for key in heads.EXPRESSION)
    assert (one.pose != two.pose).all() and (one.backdrop != two.backdrop).all()


@pytest.mark.parametrize("name", ["nose shape", "mouth albedo", "brows and chin", "redundant", "nothing"])
def test_canonical_truth_differs_between_people_in_the_planted_regions_only(name):
    data = SyntheticFaces("test", 40, planted=name)
    one, two = data._draw(0), data._draw(8)
    for key in heads.EXPRESSION:
        setattr(two.p, key, vars(one.p)[key])
    first, second = (Head(d.p).maps(torch.zeros(6), 64) for d in (one, two))
    colour = (first["albedo"] - second["albedo"]).abs().amax(dim=0)
    depth = (first["depth"] - second["depth"]).abs()
    both = (first["labels"] == second["labels"]) & (first["labels"] > 0)
    kinds = {cue.region: cue.kind for cue in PLANTED[name]}
    for label, region in enumerate(LABELS[1:], 1):
        here = both & (first["labels"] == label)
        if kinds.get(region) == "shape":
            assert depth[here].max() > 1e-3, region
        if kinds.get(region) == "albedo":
            assert colour[here].max() > 0.03, region
    if not kinds:
        assert torch.equal(first["albedo"], second["albedo"]) and torch.equal(first["depth"], second["depth"])
    elif "shape" not in kinds.values():
        assert torch.equal(first["depth"], second["depth"])


def test_every_cue_names_regions_and_parameters_that_exist():
    for (region, kind), names in CUES.items():
        assert region in (*LABELS, "whole picture")
        assert all(key in (heads.SHAPE if kind == "shape" else paint.COLOUR) for key in names)
    assert {(c.region, c.kind) for cues in PLANTED.values() for c in cues} == set(CUES)
    assert all(0 < c.weight <= 1 for cues in PLANTED.values() for c in cues)


def test_the_data_card_states_every_range_the_checksums_and_the_sets():
    card = (Path(__file__).parents[2] / "book" / "data_card.md").read_text(encoding="utf-8")
    for name, (low, high) in {**IDENTITY, **heads.EXPRESSION}.items():
        assert f"`{name}` {low:g} to {high:g}" in card
    for words in (synthetic.VERSION, *synthetic.CHECKSUMS.values(), *(f"| {name} |" for name in PLANTED)):
        assert words in card
    assert ", ".join(f"{number} {label}" for number, label in enumerate(LABELS)) in " ".join(card.split())
