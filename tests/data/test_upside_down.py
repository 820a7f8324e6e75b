"""Faces upside down: the truth must be that of a picture of a head that stands on its head."""

import math

import pytest
import torch

from igc import geometry
from igc.data import SyntheticFaces
from igc.errors import UserError
from igc.shading import lambert

FOV, SIZE = math.radians(10), 64


@pytest.fixture(scope="module", params=["head", "face"])
def pair(request):
    options = {"per_identity": 1, "frame": request.param, "yaw": 40.0}
    return [SyntheticFaces("test", **options, upside_down=on).batch(range(10)) for on in (False, True)]


def test_the_picture_is_turned_and_not_mirrored(pair):
    upright, turned = pair
    assert set(upright) == set(turned)
    for name in ("image", "depth", "labels", "albedo", "canonical_depth", "canonical_labels"):
        assert torch.equal(torch.rot90(upright[name], 2, (-2, -1)), turned[name]), name
        assert not torch.equal(upright[name], turned[name])
    for name in ("identity", "landmarks_visible"):
        assert torch.equal(upright[name], turned[name])


def test_the_pose_takes_canonical_points_to_those_of_the_view(pair):
    """Canonical landmarks, upright, turned by hand, posed: they must be the landmarks of the turned view."""
    upright, turned = pair
    canonical = geometry.inverse_transform(upright["landmarks_3d"], upright["pose"])
    canonical = canonical @ geometry.rotation_matrix(torch.tensor((0.0, 0.0, math.pi))).T
    seen = geometry.transform(canonical, turned["pose"])
    assert torch.allclose(seen, turned["landmarks_3d"], atol=1e-6)
    pixels = geometry.points_to_pixels(seen, SIZE, FOV)[..., :2]
    assert torch.allclose(pixels, turned["landmarks"], atol=1e-2)


def test_view_and_canonical_depth_are_one_surface(pair):
    turned = pair[1]
    points = geometry.inverse_transform(geometry.depth_to_points(turned["depth"], FOV), turned["pose"])
    where = geometry.points_to_pixels(points, SIZE, FOV)[..., :2] / (0.5 * SIZE) - 1
    maps = torch.stack((turned["canonical_depth"], (turned["canonical_depth"] > 0).float()), dim=1)
    there = torch.nn.functional.grid_sample(maps, where, align_corners=False)
    gap = there[:, 0] - points[..., 2]
    both = (turned["depth"] > 0) & (there[:, 1] > 0.999) & (gap > -0.008)
    assert both.float().mean() > 0.2 and gap[both].abs().median() < 4e-4


def test_normals_fit_the_depth_and_the_light_explains_the_image(pair):
    turned = pair[1]
    covered = turned["depth"] > 0
    for prefix in ("", "canonical_"):
        slopes = geometry.depth_to_normals(turned[prefix + "depth"], FOV)
        cosine = (turned[prefix + "normal"] * slopes).sum(dim=1)[turned[prefix + "depth"] > 0]
        assert torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).median() < 3
    toward = geometry.rotate(turned["light"][:, None, 2:], turned["pose"][:, :3])[:, 0]
    light = torch.cat((turned["light"][:, :2], toward), dim=1)
    shaded = (turned["albedo"] * lambert(turned["normal"], light)).clamp(0, 1)
    assert (shaded - turned["image"]).abs().mean(dim=1)[covered].median() < 0.005


def test_it_is_off_by_default_and_stands_in_the_name():
    upright, turned = SyntheticFaces(count=4, size=32), SyntheticFaces(count=4, size=32, upside_down=True)
    assert turned.fingerprint() == upright.fingerprint() + "/upside-down"
    quick = turned.batch([1], truth=False)
    assert set(quick) == {"image", "identity"} and torch.equal(quick["image"][0], turned[1]["image"])
    with pytest.raises(UserError, match=r"upside_down='yes'.*True or False"):
        SyntheticFaces(upside_down="yes")
