"""Blended outlines: the covered area and its gradient, against the exact area of the projected polygons."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from igc import geometry
from igc.data import SyntheticFaces
from igc.raster import grid, interpolate, rasterize
from igc.raster.outlines import blend_outlines

FOV = math.radians(10)
SIZE, PIXELS, LINES = 64, 128, 1024


def exact_area(triangles):
    """Area (square pixels) of the union of triangles (T, 3, 2): exact along 1,024 scan lines."""
    y = (np.arange(LINES) + 0.5) * PIXELS / LINES
    low, high = triangles[..., 1].min(1), triangles[..., 1].max(1)
    first = np.ceil(low * LINES / PIXELS - 0.5).astype(int).clip(0)
    count = (np.floor(high * LINES / PIXELS - 0.5).astype(int).clip(max=LINES - 1) - first + 1).clip(0)
    which = np.repeat(np.arange(len(triangles)), count)
    line = first[which] + np.arange(len(which)) - np.repeat(count.cumsum() - count, count)
    left, right = np.full(len(which), np.inf), np.full(len(which), -np.inf)
    for i in range(3):
        p, q = triangles[which, i], triangles[which, (i + 1) % 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (y[line] - p[:, 1]) / (q[:, 1] - p[:, 1])
        x = np.where((share >= 0) & (share <= 1), p[:, 0] + share * (q[:, 0] - p[:, 0]), np.nan)
        left, right = np.fmin(left, x), np.fmax(right, x)
    order = np.lexsort((left, line))
    left, right = left[order] + 1e4 * line[order], right[order] + 1e4 * line[order]
    reached = np.maximum.accumulate(right)
    return (reached - np.maximum(left, np.r_[-np.inf, reached[:-1]])).clip(0).sum() * PIXELS / LINES


def head(index):
    """Depth map (1, S, S), face mask and pose of a drawn head, a little farther away: all in the image."""
    item = SyntheticFaces("test", 8 * 800, SIZE).batch([8 * index])
    face = item["canonical_depth"] > 0
    pose = item["pose"].double() + torch.tensor([0, 0, 0, 0, 0, 0.25], dtype=torch.float64)
    return torch.where(face, item["canonical_depth"].double(), 1.08), face, pose


def project(depth, pose, relief):
    points = geometry.transform(geometry.depth_to_points(1 + (depth - 1) * relief, FOV), pose)
    return geometry.points_to_pixels(points, PIXELS, FOV)


def areas(index, step=1e-3):
    """(exact area, blended area), and gradients of both with respect to yaw, distance and relief."""
    depth, face, pose = head(index)
    start = torch.tensor([float(pose[0, 1]), float(pose[0, 5]), 1.0], dtype=torch.float64)

    def vertices(values):
        column = torch.zeros(6, dtype=torch.float64)
        change = column.index_fill(0, torch.tensor([1]), 1) * values[0]
        change = change + column.index_fill(0, torch.tensor([5]), 1) * values[1]
        rest = pose * torch.tensor([1, 0, 1, 1, 1, 0], dtype=torch.float64)
        return project(depth, rest + change, values[2])

    at = start.clone().requires_grad_()
    placed = vertices(at)
    fragments = rasterize(placed, PIXELS, face)
    blended = blend_outlines(fragments.coverage[:, None].double(), fragments, placed, face).sum()
    (gradient,) = torch.autograd.grad(blended, at)
    triangles = grid.triangle_corners(torch.arange(2 * (SIZE - 1) ** 2), SIZE)
    triangles = triangles[grid.drawn_triangles(face)[:, 0].movedim(0, -1).flatten()]

    def area(values):
        return exact_area(vertices(values).detach().reshape(-1, 3)[:, :2][triangles].numpy())

    exact = [(area(start + step * unit) - area(start - step * unit)) / (2 * step) for unit in torch.eye(3)]
    return (area(start), float(blended.detach())), (np.array(exact), gradient.numpy())


def test_the_covered_area_and_its_gradient_are_those_of_the_polygons():
    """100 heads at 100 poses; the hard z-buffer has no such gradient at all."""
    results = [areas(i) for i in range(100)]
    exact, blended = np.array([area for area, _ in results]).T
    assert (np.abs(blended / exact - 1) < 4e-3).all()
    exact, found = np.array([gradient for _, gradient in results]).transpose(1, 0, 2)
    error = np.abs(found - exact) / np.abs(exact)
    for name, median in zip(("yaw", "distance", "relief"), np.median(error, axis=0)):
        assert median < 0.05, f"{name}: {median:.3f}"
    for k in range(3):
        assert np.corrcoef(found[:, k], exact[:, k])[0, 1] > 0.97


def square(left, right, depth=1.0, cells=4):
    """A flat grid of `cells` cells between two columns, from row 2.3 to row 12.6 of a 16-pixel image."""
    x = torch.linspace(left, right, cells + 1, dtype=torch.float64)
    y = torch.linspace(2.3, 12.6, cells + 1, dtype=torch.float64)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((columns, rows, torch.full_like(rows, depth)), dim=-1)[None]


@pytest.mark.parametrize("diagonal", grid.DIAGONALS)
@pytest.mark.parametrize("right", [9.5, 9.6, 10.0, 10.2, 10.4999])
def test_a_straight_edge_covers_its_share_of_a_pixel(right, diagonal):
    vertices = square(3.5, right).requires_grad_()
    fragments = rasterize(vertices, 16, diagonal=diagonal)
    alpha = blend_outlines(fragments.coverage[:, None].double(), fragments, vertices, diagonal=diagonal)
    row = alpha[0, 0, 7]
    covered = row.detach()
    assert float(covered[:9].sum()) == pytest.approx(9 - 3.5, abs=1e-9)
    assert float(covered.sum()) == pytest.approx(right - 3.5, abs=1e-9)
    row.sum().backward()
    assert float(vertices.grad[0, :, -1, 0].sum()) == pytest.approx(1.0)
    assert float(vertices.grad[0, :, 0, 0].sum()) == pytest.approx(-1.0)


def test_colours_are_mixed_at_the_outline_and_nowhere_else():
    vertices = square(3.5, 10.2)
    fragments = rasterize(vertices, 16)
    colour = torch.tensor([1.0, 0.5, 0.0]).double()[None, :, None, None]
    image = interpolate(fragments, colour.expand(1, 3, 5, 5))
    behind = torch.tensor([0.0, 0.5, 1.0]).double()[None, :, None, None]
    image = torch.where(fragments.coverage[:, None], image, behind)
    mixed = blend_outlines(image, fragments, vertices)[0, :, 7]
    torch.testing.assert_close(mixed[:, 10], torch.tensor([0.2, 0.5, 0.8]).double())
    assert torch.equal(mixed[:, 5], image[0, :, 7, 5]) and torch.equal(mixed[:, 13], image[0, :, 7, 13])


def test_an_outline_in_front_of_a_surface_is_blended_and_one_behind_it_is_not():
    near, far = square(3.5, 10.2, depth=0.9), square(0.5, 15.5, depth=1.1)
    both = torch.cat((near, near[:, :, -1:] + 0, far[:, :, :1], far), dim=2)
    mask = torch.ones(1, 5, both.shape[2], dtype=torch.bool)
    colour = torch.zeros(1, 1, 5, both.shape[2], dtype=torch.float64)
    colour[..., :6] = 1
    fragments = rasterize(both, 16, mask)
    row = blend_outlines(interpolate(fragments, colour), fragments, both, mask)[0, 0, 7]
    assert 0.05 < float(row[10]) < 0.95, "the near square's edge"
    behind = rasterize(far, 16)
    assert float(row[4:9].min()) > 0.9, "the far square's edges lie behind the near one"
    assert behind.coverage.any()


def test_gradcheck_of_blended_images():
    torch.manual_seed(0)
    depth = 1 + 0.05 * torch.rand(1, 5, 5, dtype=torch.float64)
    pose = torch.tensor([[0.1, 0.5, 0.2, 0.0, 0.0, 0.2]], dtype=torch.float64)
    points = geometry.transform(geometry.depth_to_points(depth, FOV), pose)
    vertices = geometry.points_to_pixels(points, 10, FOV).requires_grad_()
    colour = torch.rand(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)

    def render(v, c):
        fragments = rasterize(v, 10)
        return blend_outlines(interpolate(fragments, c), fragments, v)

    assert gradcheck(render, (vertices, colour))


def test_nothing_drawn_is_left_as_it_is():
    vertices = square(3.5, 10.2)
    mask = torch.zeros(1, 5, 5, dtype=torch.bool)
    fragments = rasterize(vertices, 16, mask)
    image = torch.rand(1, 3, 16, 16).double()
    assert torch.equal(blend_outlines(image, fragments, vertices, mask), image)
