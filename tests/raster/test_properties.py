"""What must hold for every surface and pose, whatever the numbers: mirrors, turns, scales, watertightness."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from igc import geometry
from igc.raster import grid, interpolate, rasterize

FOV = math.radians(10)
ANGLES = st.tuples(st.floats(-80, 80), st.floats(-80, 80), st.floats(-180, 180))
SEEDS = st.integers(0, 2**31 - 1)
FEW = settings(max_examples=25, deadline=None, derandomize=True)


def surface(seed, size=24, relief=0.1, dtype=torch.float64):
    """A smooth random depth map (1, size, size) around 1."""
    coarse = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    rough = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")[:, 0]
    return 1 + relief * (rough - 0.5)


def posed(depth, angles=(0.0, 0.0, 0.0), image=None):
    """Vertices of a depth map turned by pitch, yaw and roll in degrees, in pixels of an image."""
    pose = torch.tensor([[*np.radians(angles), 0.0, 0.0, 0.0]], dtype=depth.dtype)
    points = geometry.transform(geometry.depth_to_points(depth, FOV), pose)
    return geometry.points_to_pixels(points, image or depth.shape[-1], FOV)


@given(SEEDS, ANGLES)
@FEW
def test_rendering_commutes_with_mirroring_diagonals_mirrored_too(seed, angles):
    vertices = posed(surface(seed), angles)
    mirrored = vertices.flip(2) * torch.tensor([-1.0, 1.0, 1.0]) + torch.tensor([24.0, 0.0, 0.0])
    straight, other = rasterize(vertices, 24), rasterize(mirrored, 24, diagonal="falling")
    assert torch.equal(straight.coverage, other.coverage.flip(-1))
    torch.testing.assert_close(straight.depth, other.depth.flip(-1), atol=1e-9, rtol=0)
    attribute = torch.rand(1, 2, 24, 24, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    flipped = interpolate(other, attribute.flip(-1)).flip(-1)
    torch.testing.assert_close(interpolate(straight, attribute), flipped, atol=1e-6, rtol=0)


@given(SEEDS)
@FEW
def test_a_turn_by_zero_gives_the_depth_map_back(seed):
    depth = surface(seed, dtype=torch.float32)
    fragments = rasterize(posed(depth), 24)
    assert fragments.coverage.all()
    torch.testing.assert_close(fragments.depth, depth, atol=1e-6, rtol=0)


@given(SEEDS, st.floats(-40, 40), st.floats(-25, 25))
@FEW
def test_turning_there_and_back_restores_what_was_seen(seed, yaw, pitch):
    depth = surface(seed, size=48, relief=0.02)
    vertices = posed(depth, (pitch, yaw, 0.0), image=96)
    there = rasterize(vertices, 96)
    ray = geometry.depth_to_points(torch.ones(1, 96, 96, dtype=torch.float64), FOV)
    points = ray * there.depth[..., None]
    pose = torch.tensor([[*np.radians((pitch, yaw, 0.0)), 0.0, 0.0, 0.0]], dtype=torch.float64)
    back = geometry.inverse_transform(points, pose)[there.coverage]
    pixels = geometry.points_to_pixels(back, 48, FOV)
    inside = ((pixels[:, :2] > 1) & (pixels[:, :2] < 47)).all(dim=-1)
    assert inside.sum() > 500
    grid_places = (pixels[inside, :2] / 48 * 2 - 1)[None, None]
    known = torch.nn.functional.grid_sample(depth[None], grid_places, align_corners=False)[0, 0, 0]
    torch.testing.assert_close(pixels[inside, 2], known, atol=2e-4, rtol=0)


@given(SEEDS, ANGLES, st.sampled_from((2, 3)))
@FEW
def test_scaling_the_image_scales_coverage(seed, angles, factor):
    vertices = posed(surface(seed), angles, image=32)
    small = rasterize(vertices, 32).coverage.sum()
    scale = torch.tensor([factor, factor, 1.0], dtype=torch.float64)
    large = rasterize(vertices * scale, 32 * factor).coverage.sum()
    assert abs(int(large) - factor**2 * int(small)) <= factor**2 * 4 * 32


@given(SEEDS, ANGLES)
@FEW
def test_neighbours_leave_no_gap_on_their_common_edge(seed, angles):
    """Single precision, vertices rounded to halves so that many centres lie exactly on edges: the surface
    covers what the two triangles of its hull's polygon cover, that is, no hole inside."""
    vertices = posed(surface(seed, relief=0.0), (0.4 * angles[0], 0.4 * angles[1], 0.0), image=24).float()
    vertices[..., :2] = (vertices[..., :2] * 2).round() / 2
    seen = rasterize(vertices, 24).coverage[0].numpy()
    for line in (*seen, *seen.T):
        where = np.flatnonzero(line)
        assert len(where) == 0 or len(where) == where[-1] - where[0] + 1, "a hole"


@given(SEEDS, ANGLES)
@FEW
def test_single_precision_differs_only_within_a_millionth_of_an_edge(seed, angles):
    vertices = posed(surface(seed), angles, image=32).float()
    coarse, fine = rasterize(vertices, 32), rasterize(vertices.double(), 32)
    differs = (coarse.coverage != fine.coverage).nonzero()
    corners = vertices.double().reshape(-1, 3)[grid.triangle_corners(torch.arange(2 * 23 * 23), 24)]
    for _, row, column in differs.tolist():
        centre = torch.tensor([column + 0.5, row + 0.5], dtype=torch.float64)
        a, b = corners[..., :2], corners.roll(-1, 1)[..., :2]
        run, to = b - a, centre - a
        share = ((to * run).sum(-1) / run.square().sum(-1).clamp(min=1e-30)).clamp(0, 1)
        nearest = (to - share[..., None] * run).norm(dim=-1).min()
        assert nearest < 1e-6 * 16


def bad_inputs():
    good = torch.rand(2, 4, 4, 3) + 0.5
    nan, infinite, behind = good.clone(), good.clone(), good.clone()
    nan[0, 1, 1, 2], infinite[1, 0, 0, 0], behind[0, 2, 2, 2] = float("nan"), float("inf"), -0.1
    mask = torch.ones(2, 4, 4, dtype=torch.bool)
    return {
        "NaN": (nan, None), "infinite": (infinite, None), "behind the camera": (behind, None),
        "empty batch": (good[:0], None), "float32 or float64": (good.half(), None),
        "mask must be bool": (good, mask[:1]), "mask must be bool and": (good, mask.float()),
        "mask is on meta": (good, mask.to("meta")),
    }  # fmt: skip


@pytest.mark.parametrize("word", bad_inputs())
def test_bad_input_is_named_before_any_work(word, monkeypatch):
    monkeypatch.setattr(grid, "visible_triangles", lambda *a: pytest.fail("work was done"))
    vertices, mask = bad_inputs()[word]
    with pytest.raises(ValueError, match=word):
        rasterize(vertices, 8, mask)


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        (torch.rand(1, 3, 24, 24), "float32"),
        (torch.rand(2, 3, 24, 24).double(), "shape"),
        (torch.rand(3, 24, 24).double(), "shape"),
    ],
)
def test_attributes_that_do_not_fit_are_named(attributes, word):
    fragments = rasterize(posed(surface(0)), 24)
    with pytest.raises(ValueError, match=word):
        interpolate(fragments, attributes)


def test_an_unknown_diagonal_is_named():
    with pytest.raises(ValueError, match="rising"):
        rasterize(posed(surface(0)), 24, diagonal="upside down")
