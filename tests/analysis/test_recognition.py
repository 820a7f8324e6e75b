"""Recognition within and across views."""

import numpy as np
import pytest

from igc.analysis import chance, halves, joined, linear_probe, rank_one, split_views, verification
from igc.errors import UserError
from tests.analysis.made import faces


def test_a_linear_probe_and_verification_tell_people_from_noise():
    made, who = faces(24, planted={(0, "shape"): (0, 4)})
    telling, noise = made[0, "shape"], made[1, "albedo"]
    assert linear_probe(telling, who)[1] > 0.4 and linear_probe(noise, who)[2] < 0.2
    good, bad = verification(telling, who), verification(noise, who)
    assert good.area[1] > 0.8 and good.equal_error < 0.2
    assert bad.area[1] < 0.5 < bad.area[2] and bad.equal_error == pytest.approx(0.5, abs=0.08)
    assert (np.diff(good.false) >= 0).all() and good.true[-1] == 1


def test_across_views_the_gallery_looks_ahead_and_the_probes_aside():
    who = np.repeat(np.arange(4), 4)
    yaw = np.radians(np.tile([2.0, -9, 20, -35], 4))
    yaw[who == 3] = 0.5
    split = split_views(who, yaw)
    assert set(who[split.gallery]) == {0, 1, 2} == set(who[split.probes])
    assert (np.abs(np.degrees(yaw[split.gallery])) < 10).all()
    assert (np.abs(np.degrees(yaw[split.probes])) >= 30).all()
    assert chance(who, split) == pytest.approx(1 / 3)
    features = np.eye(4)[who] + 0.01 * np.random.default_rng(0).normal(size=(16, 4))
    assert rank_one(features, who, split=split)[0] == 1


def test_without_turned_faces_there_is_nothing_across_views():
    with pytest.raises(UserError, match="turned further"):
        split_views(np.repeat(np.arange(5), 3), np.zeros(15))


def test_halves_take_every_second_image_of_a_person():
    who = np.array([5, 3, 5, 3, 5, 9])
    split = halves(who)
    assert split.gallery.tolist() == [0, 1, 4, 5] and split.probes.tolist() == [2, 3]


def test_features_are_joined_by_cue():
    made, _ = faces(8)
    assert joined(made).shape[1] == 16 and joined(made, "shape").shape[1] == 8
