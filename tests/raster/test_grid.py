"""The rasterisers, against a plain loop over all triangles and pixel centres in double precision."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from igc import geometry
from igc.raster import grid, interpolate, rasterize
from tests.raster.conftest import posed_grid


def naive_triangles(height, width):
    """Corners of all triangles in the documented order, as (row, column)."""
    for i in range(height - 1):
        for j in range(width - 1):
            yield (i, j), (i, j + 1), (i + 1, j)
            yield (i + 1, j + 1), (i + 1, j), (i, j + 1)


def naive(vertices, image, attributes, mask, slack):
    """Depth and attributes (C, S, S) of the nearest triangle; inside means all weights >= -slack.

    The weights w of a point seen at (x, y) solve sum of w_i z_i (x_i, y_i, 1) = z (x, y, 1), sum of w_i = 1.
    """
    depth = np.full((image, image), np.inf)
    values = np.zeros((len(attributes), image, image))
    y, x = np.meshgrid(np.arange(image) + 0.5, np.arange(image) + 0.5, indexing="ij")
    seen = np.stack((x, y, np.ones_like(x))).reshape(3, -1)
    for corners in naive_triangles(*vertices.shape[:2]):
        if mask is not None and not any(mask[c] for c in corners):
            continue
        a = np.stack([vertices[c] for c in corners])
        system = np.stack((a[:, 0] * a[:, 2], a[:, 1] * a[:, 2], a[:, 2]))
        if abs(np.linalg.det(system)) < 1e-12:
            continue
        weights = np.linalg.solve(system, seen)
        inverse = weights.sum(axis=0)
        weights = weights / np.where(inverse == 0, 1, inverse)
        z = np.where(inverse > 0, 1 / np.where(inverse == 0, 1, inverse), np.inf).reshape(image, image)
        nearer = (weights.min(axis=0) >= -slack).reshape(image, image) & (z < depth)
        depth[nearer] = z[nearer]
        mixed = np.stack([attributes[(slice(None), *c)] for c in corners], axis=1) @ weights
        values[:, nearer] = mixed.reshape(-1, image, image)[:, nearer]
    return depth, values


def compare(draw, vertices, image, mask=None):
    """Checks every image of a batch; pixels whose centre lies on an edge may belong to either side."""
    attributes = torch.randn(len(vertices), 2, *vertices.shape[1:3], dtype=torch.float64)
    fragments = draw(vertices, image, mask)
    mixed = interpolate(fragments, attributes.to(fragments.depth.dtype))
    close = 1e-6 if fragments.depth.dtype == torch.float64 else 1e-3
    covered = 0
    for b in range(len(vertices)):
        inputs = vertices[b].numpy(), image, attributes[b].numpy(), None if mask is None else mask[b].numpy()
        narrow, wide = naive(*inputs, slack=-1e-4), naive(*inputs, slack=1e-4)
        sure = (narrow[0] == wide[0]) | (np.isinf(narrow[0]) & np.isinf(wide[0]))
        assert sure.mean() > 0.9, "only few centres are expected to lie near an edge"
        there = np.isfinite(wide[0])
        assert (fragments.coverage[b].numpy() == there)[sure].all()
        both = sure & there
        np.testing.assert_allclose(fragments.depth[b].numpy()[both], wide[0][both], atol=min(close, 1e-5))
        np.testing.assert_allclose(mixed[b].numpy()[:, both], wide[1][:, both], atol=close)
        assert (fragments.depth[b].numpy()[~there & sure] == 0).all()
        assert (mixed[b].numpy()[:, ~there & sure] == 0).all()
        covered += both.sum()
    return covered


@pytest.mark.parametrize("yaw", [0, 25, -25, 60, -80, 80, 100, -130, 180])
def test_every_pixel_agrees_with_the_naive_loop(draw, yaw):
    assert compare(draw, posed_grid(12, 16, yaw, pitch=7, roll=-11), 16) > 10


@pytest.mark.parametrize(("size", "image"), [(2, 16), (3, 24), (12, 24), (20, 16), (12, 5)])
def test_grids_and_images_of_different_sizes(draw, size, image):
    assert compare(draw, posed_grid(size, image, yaw=33, pitch=-20, rough=0.3), image) > 8


def test_folded_surfaces_show_their_nearest_side(draw):
    assert compare(draw, posed_grid(12, 20, yaw=50, roll=20, rough=0.8), 20) > 40


@pytest.mark.parametrize("shift", [(0.25, 0.1, 0.0), (-0.3, -0.2, -0.4), (0.0, 0.0, -0.6), (5.0, 0.0, 0.0)])
def test_vertices_outside_of_the_image(draw, shift):
    vertices = posed_grid(12, 16, yaw=20, shift=shift)
    assert (vertices[..., :2] < 0).any() or (vertices[..., :2] > 16).any()
    covered = compare(draw, vertices, 16)
    assert covered == 0 if shift[0] == 5 else covered > 10


def test_triangles_without_a_corner_in_the_mask_are_left_out(draw):
    mask = torch.rand(2, 12, 12) > 0.85
    vertices = posed_grid(12, 16, yaw=30, batch=2)
    covered = compare(draw, vertices, 16, mask)
    assert 10 < covered < compare(draw, vertices, 16)


def test_at_zero_pose_a_depth_map_is_returned_as_it_is():
    depth = 1 + 0.1 * torch.rand(3, 32, 32)
    pixels = geometry.points_to_pixels(geometry.depth_to_points(depth, 0.17), 32, 0.17)
    fragments = rasterize(pixels, 32)
    assert fragments.coverage.all()
    torch.testing.assert_close(fragments.depth, depth, atol=1e-6, rtol=0)
    attributes = torch.rand(3, 4, 32, 32)
    torch.testing.assert_close(interpolate(fragments, attributes), attributes, atol=1e-3, rtol=0)


def test_triangle_corners_follow_the_documented_order():
    height, width = 3, 4
    found = grid.triangle_corners(torch.arange(2 * (height - 1) * (width - 1)), width)
    wanted = [[i * width + j for i, j in corners] for corners in naive_triangles(height, width)]
    assert found.tolist() == wanted


def test_weights_sum_to_one_and_shapes_are_as_documented():
    fragments = rasterize(posed_grid(6, 10, yaw=40, batch=3), 10)
    count = int(fragments.coverage.sum())
    assert fragments.triangle.shape == fragments.depth.shape == (3, 10, 10)
    assert fragments.weights.shape == fragments.corners.shape == (count, 3)
    assert fragments.barycentric.shape == (3, 10, 10, 3)
    torch.testing.assert_close(fragments.weights.sum(-1), torch.ones(count).double())
    torch.testing.assert_close(fragments.barycentric.sum(-1), fragments.coverage.double())
    assert int(fragments.triangle.max()) < 2 * 5 * 5 and fragments.triangle.dtype == torch.int64


def test_images_of_a_batch_do_not_influence_each_other():
    first, second = posed_grid(9, 12, yaw=30), posed_grid(9, 12, yaw=-70, rough=0.5)
    attributes = torch.rand(2, 3, 9, 9).double()
    together = rasterize(torch.cat((first, second)), 12)
    mixed = interpolate(together, attributes)
    for i, vertices in enumerate((first, second)):
        alone = rasterize(vertices, 12)
        assert torch.equal(together.triangle[i], alone.triangle[0])
        assert torch.equal(together.depth[i], alone.depth[0])
        assert torch.equal(mixed[i], interpolate(alone, attributes[i : i + 1])[0])


def test_no_gradient_leaks_between_images_of_a_batch():
    vertices = posed_grid(6, 8, yaw=20, batch=2).requires_grad_()
    rasterize(vertices, 8).depth[0].sum().backward()
    assert vertices.grad[0].abs().sum() > 0 and (vertices.grad[1] == 0).all()


@pytest.mark.parametrize("empty", ["outside", "mask"])
def test_nothing_to_see_is_an_empty_image_with_a_gradient(empty):
    vertices = posed_grid(5, 8, shift=(9.0, 0.0, 0.0) if empty == "outside" else (0.0, 0.0, 0.0))
    vertices.requires_grad_()
    mask = torch.zeros(1, 5, 5, dtype=torch.bool) if empty == "mask" else None
    fragments = rasterize(vertices, 8, mask)
    image = interpolate(fragments, torch.ones(1, 3, 5, 5).double())
    assert not fragments.coverage.any() and (image == 0).all() and image.shape == (1, 3, 8, 8)
    (image.sum() + fragments.depth.sum()).backward()
    assert (vertices.grad == 0).all()


def test_single_precision_agrees_with_double():
    vertices = posed_grid(12, 16, yaw=35)
    fine, coarse = rasterize(vertices, 16), rasterize(vertices.float(), 16)
    same = fine.coverage & coarse.coverage
    assert same.sum() >= fine.coverage.sum() - 2
    torch.testing.assert_close(coarse.depth[same], fine.depth[same].float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 4, 4, 2), (1, 4, 4, 4), (4, 3)])
def test_wrong_shapes_raise(shape):
    with pytest.raises(ValueError, match="shape"):
        rasterize(torch.rand(shape), 8)


def test_an_unknown_backend_raises_and_names_the_known_ones():
    with pytest.raises(ValueError, match="grid"):
        rasterize(posed_grid(3, 8), 8, backend="teapot")


@pytest.mark.parametrize("yaw", [0, 35, -75])
def test_gradients_of_depth_and_of_attributes(yaw):
    vertices = posed_grid(4, 6, yaw, pitch=13, roll=5, rough=0.2).requires_grad_()
    attributes = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert rasterize(vertices, 6).coverage.sum() > 3
    assert gradcheck(lambda v: rasterize(v, 6).depth, (vertices,))
    assert gradcheck(lambda v, a: interpolate(rasterize(v, 6), a), (vertices, attributes))
