"""Measures of depth and normals, against cases whose answer is known."""

import math

import pytest
import torch

from igc import geometry, surfaces


@pytest.fixture
def truth():
    """Four curved surfaces, their normals, and labels 3 and 4 above one another."""
    grid = geometry.pixel_centres(24) / 24 - 0.5
    depth = torch.stack([1 + 0.05 * k * grid.square().sum(dim=-1) for k in range(1, 5)])
    labels = torch.zeros(4, 24, 24, dtype=torch.int64)
    labels[:, 4:12, 6:18], labels[:, 12:20, 6:18] = 3, 4
    normal = geometry.depth_to_normals(depth, math.radians(10))
    return {"depth": depth, "normal": normal, "labels": labels, "face": labels > 0}


def scores(depth, normal, truth):
    return surfaces.surface_scores(depth, normal, truth, truth["face"], {"nose": 3, "lips": 4})


def test_the_truth_has_no_error(truth):
    found = scores(truth["depth"], truth["normal"], truth)
    assert found == pytest.approx(
        {"side_without_plane": 0, "mad_nose": 0, "mad_lips": 0, "covered": 1}, abs=0.05
    )


def test_a_tilt_and_another_distance_cost_nothing(truth):
    x, y = geometry.pixel_centres(24).unbind(-1)
    tilted = truth["depth"] * torch.exp(0.3 + 0.004 * x - 0.002 * y)
    assert scores(tilted, truth["normal"], truth)["side_without_plane"] == pytest.approx(0, abs=1e-4)


def test_what_no_plane_explains_is_its_spread(truth):
    """A wave along x that is orthogonal to every plane over a face of whole waves."""
    everywhere = torch.ones(4, 24, 24, dtype=torch.bool)
    wave = torch.tensor([1.0, -1.0, -1.0, 1.0]).repeat(6).expand(24, 24)
    depth = truth["depth"] * (0.02 * wave).exp()
    error = surfaces.side_without_plane(depth, truth["depth"], everywhere)
    assert error == pytest.approx(2, rel=1e-4)


def test_each_picture_has_a_plane_of_its_own(truth):
    x = geometry.pixel_centres(24)[..., 0]
    slopes = torch.tensor([0.001, -0.002, 0.003, 0.0])[:, None, None]
    found = surfaces.side_without_plane(truth["depth"] * (slopes * x).exp(), truth["depth"], truth["face"])
    assert found == pytest.approx(0, abs=1e-4)


def test_normals_are_looked_at_region_by_region(truth):
    pose = torch.zeros(4, 6)
    pose[:, 0] = math.radians(7)
    turned = geometry.rotate_normals(truth["normal"], pose)
    normal = torch.where((truth["labels"] == 4)[:, None], turned, truth["normal"])
    found = scores(truth["depth"], normal, truth)
    assert found["mad_nose"] == pytest.approx(0, abs=0.05) and found["mad_lips"] == pytest.approx(7, abs=0.2)


def test_pictures_count_alike_and_those_without_the_region_do_not():
    values, where = torch.zeros(3, 2, 2), torch.zeros(3, 2, 2, dtype=torch.bool)
    values[0], values[1] = 1.0, 4.0
    where[0], where[1, 0, 0] = True, True
    assert surfaces.mean_by_image(values, where) == pytest.approx(2.5)
    with pytest.raises(ValueError, match="no image"):
        surfaces.mean_by_image(values, where & False)


def test_what_is_left_out_is_not_covered(truth):
    depth = truth["depth"].clone()
    depth[:, 4:12] = 0
    found = scores(depth, truth["normal"], truth)
    assert found["covered"] == pytest.approx(0.5) and found["mad_nose"] > found["mad_lips"]
    depth[:, :4] = 0
    assert scores(depth, truth["normal"], truth)["covered"] == pytest.approx(0.5), "only the face counts"
