"""Lambert's law."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from igc import geometry
from igc.shading import lambert, light_direction


def light(ambient, diffuse, direction):
    unit = torch.nn.functional.normalize(torch.tensor(direction).double(), dim=0)
    return torch.cat((torch.tensor([ambient, diffuse]).double(), unit))[None]


def surface(direction, size=4):
    unit = torch.nn.functional.normalize(torch.tensor(direction).double(), dim=0)
    return unit[None, :, None, None].expand(1, 3, size, size)


def test_a_surface_that_faces_the_light_gets_all_of_it():
    shading = lambert(surface((0.0, 0.0, -1.0)), light(0.3, 0.6, (0.0, 0.0, -1.0)))
    assert shading.shape == (1, 1, 4, 4)
    torch.testing.assert_close(shading, torch.full((1, 1, 4, 4), 0.9).double())


def test_the_cosine_counts_and_the_far_side_gets_the_ambient_light_only():
    slanted = lambert(surface((1.0, 0.0, -1.0)), light(0.2, 0.8, (0.0, 0.0, -1.0)))
    torch.testing.assert_close(slanted, torch.full((1, 1, 4, 4), 0.2 + 0.8 * 0.5**0.5).double())
    behind = lambert(surface((0.0, 0.0, -1.0)), light(0.2, 0.8, (0.0, 0.0, 1.0)))
    torch.testing.assert_close(behind, torch.full((1, 1, 4, 4), 0.2).double())


def test_light_from_the_left_brightens_what_looks_left():
    normals = torch.cat((surface((-1.0, 0.0, -1.0)), surface((1.0, 0.0, -1.0))))
    shading = lambert(normals, light(0.2, 0.8, (-1.0, 0.0, -1.0)).expand(2, -1))
    assert shading[0].min() > shading[1].max() + 0.5


def test_every_image_has_its_own_light():
    lights = torch.cat((light(0.1, 0.5, (0.0, 0.0, -1.0)), light(0.7, 0.1, (0.0, 0.0, -1.0))))
    shading = lambert(surface((0.0, 0.0, -1.0)).expand(2, -1, -1, -1), lights)
    torch.testing.assert_close(shading[:, 0, 0, 0], torch.tensor([0.6, 0.8]).double())


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-3, 3, allow_subnormal=False)] * 3), st.integers(0, 2**31))
def test_shading_is_the_same_in_either_frame(angles, seed):
    """Normals and light that are turned together give the same cosine."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize(torch.randn(1, 3, 4, 4, generator=generator).double(), dim=1)
    canonical = light(0.2, 0.7, torch.randn(3, generator=generator).tolist())
    pose = torch.tensor([(*angles, 0, 0, 0)], dtype=torch.float64)
    turned = torch.cat((canonical[:, :2], geometry.rotate(canonical[:, 2:], pose[:, :3])), dim=1)
    seen = lambert(geometry.rotate_normals(normal, pose), turned)
    torch.testing.assert_close(seen, lambert(normal, canonical))


def test_where_there_is_no_normal_there_is_ambient_light():
    shading = lambert(torch.zeros(1, 3, 2, 2).double(), light(0.3, 0.6, (0.0, 0.0, -1.0)))
    torch.testing.assert_close(shading, torch.full((1, 1, 2, 2), 0.3).double())


@pytest.mark.parametrize(
    ("place", "direction"),
    [((0, 0), (0, 0, -1)), ((90, 0), (1, 0, 0)), ((-90, 0), (-1, 0, 0)), ((0, 90), (0, 1, 0)),
     ((45, 0), (math.sqrt(0.5), 0, -math.sqrt(0.5))), ((0, -45), (0, -math.sqrt(0.5), -math.sqrt(0.5)))],
)  # fmt: skip
def test_lights_stand_to_the_right_and_below(place, direction):
    torch.testing.assert_close(light_direction(*place), torch.tensor(direction).float(), atol=1e-6, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.floats(-180, 180), st.floats(-90, 90))
def test_directions_of_lights_are_units(right, down):
    assert light_direction(right, down).norm() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("normal", "given_light"),
    [((2, 3, 4, 4), (3, 5)), ((2, 3, 4, 4), (2, 3)), ((2, 4, 4, 3), (2, 5)), ((3, 4, 4), (1, 5))],
)
def test_shapes_that_do_not_fit_are_refused(normal, given_light):
    with pytest.raises(ValueError, match=r"must be \(B, 3, H, W\) and \(B, 5\)"):
        lambert(torch.zeros(normal), torch.zeros(given_light))


def test_gradients():
    normal = torch.nn.functional.normalize(torch.randn(2, 3, 3, 3).double(), dim=1).requires_grad_()
    assert gradcheck(lambert, (normal, torch.randn(2, 5).double().requires_grad_()))
