"""The 3D views: what is drawn, how it is oriented, and how large it gets."""

import itertools
import json

import numpy as np
import plotly.io as pio
import pytest
import torch

from igc import views3d
from igc.errors import UserError


def grid(size=16, depth=None):
    """A tilted plane about (0, 0, 1): points (size, size, 3) and colours (size, size, 3)."""
    y, x = np.meshgrid(*[np.linspace(-0.1, 0.1, size)] * 2, indexing="ij")
    z = 1 + 0.2 * x if depth is None else depth
    colours = np.stack((x, y, z * 0), -1) * 5 + 0.5
    return np.stack((x, y, z), -1), colours


def parts(size=16):
    points, colours = grid(size)
    masks = np.zeros((3, size, size), bool)
    masks[0, :, : size // 2], masks[1, : size // 2, size // 2 :], masks[2, size // 2 :, size // 2 :] = 1, 1, 1
    return np.stack([points] * 3), np.stack([colours] * 3), masks, ["left", "up", "down"]


def test_every_cell_of_the_grid_gives_two_triangles():
    mesh = views3d.surface_view(*grid(16)).data[0]
    assert len(mesh.i) == len(mesh.j) == len(mesh.k) == 2 * 15 * 15
    assert len(mesh.x) == len(mesh.vertexcolor) == 256


def test_head_is_upright_and_faces_the_viewer():
    points, colours = grid()
    figure = views3d.surface_view(points, colours)
    mesh, eye = figure.data[0], figure.layout.scene.camera.eye
    np.testing.assert_allclose(np.array(mesh.x) * views3d.UNIT, points[..., 0].ravel(), atol=views3d.UNIT)
    np.testing.assert_allclose(np.array(mesh.y) * views3d.UNIT, points[..., 2].ravel() - 1, atol=views3d.UNIT)
    np.testing.assert_allclose(np.array(mesh.z) * views3d.UNIT, -points[..., 1].ravel(), atol=views3d.UNIT)
    assert eye.y < -1 and abs(eye.x) < 0.5, "the viewer stands where the camera stood, at small depth"


def test_triangles_face_the_camera():
    points, colours = grid()
    mesh = views3d.surface_view(points, colours).data[0]
    vertices = np.stack((mesh.x, mesh.y, mesh.z), -1).astype(float)
    a, b, c = (vertices[np.array(index)] for index in (mesh.i, mesh.j, mesh.k))
    assert (np.cross(b - a, c - a)[:, 1] < 0).all()


def test_masked_vertices_are_left_out():
    mask = np.zeros((16, 16), bool)
    mask[:4, :5] = True
    mesh = views3d.surface_view(*grid(), mask).data[0]
    assert len(mesh.x) == 20 and len(mesh.i) == 2 * 3 * 4


def test_triangles_across_a_jump_in_depth_are_left_out():
    depth = np.ones((16, 16))
    depth[:, 8:] = 2.0
    points, colours = grid(depth=depth)
    assert len(views3d.surface_view(points, colours).data[0].i) == 2 * 15 * 14


def test_tensors_and_colours_out_of_range_are_taken():
    points, colours = (torch.tensor(a, requires_grad=True) for a in grid())
    mesh = views3d.surface_view(points, colours * 3 - 1, torch.ones(16, 16)).data[0]
    assert mesh.vertexcolor[0] == "#000080"
    assert all(len(colour) == 7 for colour in mesh.vertexcolor)


def test_several_surfaces_have_a_legend_and_one_has_none():
    points, colours = grid()
    several = views3d.surface_view(np.stack([points] * 2), np.stack([colours] * 2), names=["truth", "ours"])
    assert [mesh.name for mesh in several.data] == ["truth", "ours"]
    assert all(mesh.showlegend for mesh in several.data)
    assert not views3d.surface_view(points, colours).data[0].showlegend


def test_slider_pulls_parts_apart_and_puts_them_back():
    figure = views3d.parts_view(*parts())
    steps = figure.layout.sliders[0].steps
    assert len(steps) == len(views3d.PULLS) and len(figure.data) == 3

    def gap(step):
        """Distance in x between the right edge of the left part and the left edge of the upper one."""
        left, up = step.args[0]["x"][:2]
        return (up.min() - left.max()) * views3d.UNIT

    gaps = [gap(step) for step in steps]
    assert gaps[0] == pytest.approx(0, abs=2 * views3d.UNIT), "no seam while the head is assembled"
    assert all(near < far for near, far in itertools.pairwise(gaps)) and gaps[-1] > 0.08
    assert np.array_equal(steps[0].args[0]["x"][0], figure.data[0].x)


def test_assembled_parts_leave_no_cell_of_the_grid_out():
    triangles = sum(len(mesh.i) for mesh in views3d.parts_view(*parts()).data)
    assert triangles >= 2 * 15 * 15


def test_axes_hold_the_parts_when_they_are_pulled_apart():
    figure = views3d.parts_view(*parts())
    for axis in "xyz":
        low, high = figure.layout.scene[f"{axis}axis"].range
        for step in figure.layout.sliders[0].steps:
            values = np.concatenate(step.args[0][axis])
            assert low - 1 <= values.min() and values.max() <= high + 1


def test_part_without_triangles_is_left_out():
    points, colours, masks, names = parts()
    masks[1] = False
    assert [mesh.name for mesh in views3d.parts_view(points, colours, masks, names).data] == ["left", "down"]


def test_nothing_to_show_is_a_user_error():
    points, colours, masks, names = parts()
    with pytest.raises(UserError, match="no triangle to show in left, up, down"):
        views3d.parts_view(points, colours, masks & False, names)
    with pytest.raises(UserError, match="mask"):
        views3d.surface_view(*grid(), np.zeros((16, 16)))


@pytest.mark.parametrize("wrong", ["points", "colours", "masks", "names"])
def test_shapes_that_do_not_fit_are_refused(wrong):
    arguments = dict(zip(("points", "colours", "masks", "names"), parts()))
    arguments[wrong] = arguments[wrong][:-1] if wrong != "points" else arguments[wrong][..., :2]
    with pytest.raises(ValueError):
        views3d.parts_view(**arguments)


def test_renderer_emits_both_forms_and_small_html():
    before = pio.renderers.default
    try:
        views3d.register_renderer()
        assert pio.renderers.default == "igc"
        renderer = pio.renderers["igc"]
    finally:
        pio.renderers.default = before
    bundle = renderer.to_mimebundle(views3d.surface_view(*grid(64)).to_dict())
    html = bundle["text/html"]
    assert "Plotly.newPlot" in html and "http" not in html.replace("https://plot.ly", "")
    assert len(html) < 400_000
    assert json.dumps(bundle["application/vnd.plotly.v1+json"])
