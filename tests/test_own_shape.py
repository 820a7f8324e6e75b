"""Own shape, against cases whose answer is known."""

import pytest
import torch

from igc import geometry
from igc.own_shape import common_pixels, own_shape

FACE = (1, 2)
SIZE = 24


def faces(count):
    """Canonical depth: a bowl and a bump of everybody's own; labels with the face in the middle."""
    x, y = (geometry.pixel_centres(SIZE) / SIZE - 0.5).unbind(-1)
    own = torch.randn(count, 1, 1) * torch.cos(9 * x) * torch.cos(7 * y)
    own = own + torch.randn(count, 1, 1) * torch.sin(8 * x * y)
    labels = torch.zeros(count, SIZE, SIZE, dtype=torch.int64)
    labels[:, 4:20, 4:20], labels[:, 4:8] = 1, 3
    return {"canonical_depth": 1 + 0.2 * (x**2 + y**2) + 0.01 * own, "canonical_labels": labels}


def score(change, fit=None, test=None):
    fit, test = fit or faces(40), test or faces(30)
    return own_shape(change(fit["canonical_depth"]), fit, change(test["canonical_depth"]), test, FACE)


def test_the_truth_scores_one():
    assert score(lambda depth: depth) == pytest.approx(1)


def test_scale_distance_and_tilt_change_nothing():
    tilt = geometry.pixel_centres(SIZE) @ torch.tensor([0.002, -0.004])
    assert score(lambda depth: 0.3 * depth + tilt + 0.6 * torch.rand(len(depth), 1, 1)) == pytest.approx(1)


def test_one_shape_for_all_scores_nothing():
    assert score(lambda depth: depth[:1].expand_as(depth)) == 0
    flat = score(lambda depth: 1 + 0.01 * geometry.pixel_centres(SIZE)[..., 0].expand_as(depth))
    assert flat == 0


def test_the_shapes_of_others_score_nothing():
    assert abs(score(lambda depth: depth.roll(1, dims=0))) < 0.35
    assert abs(score(lambda depth: depth.mean(dim=0) + 0.01 * torch.randn_like(depth))) < 0.1


def test_half_of_ones_own_and_half_of_a_stranger_s_scores_as_its_share_of_the_variance():
    mixed = score(lambda depth: depth + depth.roll(1, dims=0) - depth.mean(dim=0), faces(400), faces(400))
    assert mixed == pytest.approx(0.5**0.5, abs=0.06)


def test_faces_against_the_mean_face_score_below_nothing():
    """They have everybody's bowl, so that the scale is above 0, and departures of the wrong sign."""
    assert score(lambda depth: 2 * depth.mean(dim=0) - depth) == pytest.approx(-1)


def test_faces_inside_out_are_turned_back_by_the_scale():
    assert score(lambda depth: 2 - depth) == pytest.approx(1)


def test_only_pixels_of_nearly_all_faces_count():
    fit = faces(40)
    fit["canonical_labels"][:3, 12:20] = 3
    fit["canonical_labels"][:5, 8:12] = 0
    where = common_pixels(fit["canonical_labels"], FACE)
    assert where[12:20, 4:20].all() and not where[8:12].any() and where.sum() == 8 * 16
    test = faces(30)

    def elsewhere(depth):
        return torch.where(where, depth, 5.0)

    assert score(elsewhere, fit, test) == pytest.approx(1)
    with pytest.raises(ValueError, match="front"):
        common_pixels(torch.full((4, 8, 8), 3), FACE)


def test_gaps_take_the_mean_and_spoil_little():
    fit, test = faces(40), faces(30)
    fit["canonical_depth"][3, 10, 10], test["canonical_depth"][:2, 18, 4:8] = 0, 0
    found = own_shape(*(x for data in (fit, test) for x in (data["canonical_depth"], data)), FACE)
    assert found == pytest.approx(1)

    def gap(depth):
        return torch.where(torch.arange(SIZE) == 10, 0.0, depth)

    assert 0.5 < score(gap) < 1
