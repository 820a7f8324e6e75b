"""Figures: what they show where that can be told, and that each of them is drawn."""

import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from igc import IGCNet, ModelConfig, figures, geometry, views
from igc.data import LABELS
from igc.data.label_images import PART_COLOURS

M = 3


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def explained():
    torch.manual_seed(0)
    model, images = (
        IGCNet(ModelConfig(size=32, width=8, channels=12, parts=M)).eval(),
        torch.rand(2, 3, 32, 32),
    )
    with torch.no_grad():
        return model, images, model(images)


def test_parts_have_colours_of_their_own():
    colours = [tuple(figures.part_colour(m)) for m in range(6)]
    assert len(set(colours)) == 6 and tuple(figures.part_colour(6)) == colours[0]


def test_pictures_have_their_channels_last_and_are_clipped():
    image = torch.rand(3, 4, 5) * 3 - 1
    shown = figures.picture(image)
    assert shown.shape == (4, 5, 3) and shown.min() == 0 and shown.max() == 1
    np.testing.assert_allclose(shown, image.clamp(0, 1).permute(1, 2, 0))


@pytest.mark.parametrize(
    ("normal", "colour"),
    [
        ((1, 0, 0), (1, 0.5, 0.5)),
        ((0, -1, 0), (0.5, 1, 0.5)),
        ((0, 0, -1), (0.5, 0.5, 1)),
        ((0, 0, 0), (1, 1, 1)),
    ],
)
def test_colours_of_normals(normal, colour):
    """Right is red, up is green, towards the camera is blue, nothing is white."""
    shown = figures.normal_picture(torch.tensor(normal).float()[:, None, None].expand(3, 2, 2))
    np.testing.assert_allclose(shown[0, 0], colour, atol=1e-6)


def test_near_is_light_and_outside_is_white():
    depth, face = torch.tensor([[0.9, 1.0], [1.1, 5.0]]), torch.tensor([[True, True], [True, False]])
    shown = figures.depth_picture(depth, face)[..., 0]
    assert 1 > shown[0, 0] > shown[0, 1] > shown[1, 0] >= 0 and shown[1, 1] == 1
    assert (figures.depth_picture(depth, torch.zeros(2, 2)) == 1).all()


def test_labels_are_drawn_in_the_colours_of_the_parts():
    labels = torch.tensor([[0, 1], [2, 0]])
    shown = figures.label_picture(labels)
    np.testing.assert_allclose(shown[0, 1], figures.part_colour(0))
    np.testing.assert_allclose(shown[1, 0], figures.part_colour(1))
    assert (shown[0, 0] == 1).all()
    over = figures.label_picture(labels, torch.full((3, 2, 2), 0.5), strength=0.6)
    np.testing.assert_allclose(over[0, 1], 0.2 + 0.6 * figures.part_colour(0), atol=1e-6)
    np.testing.assert_allclose(over[0, 0], 0.5, atol=1e-6)
    assert (figures.label_picture(torch.zeros(2, 2, dtype=torch.int64)) == 1).all()


def test_a_grid_has_a_cell_for_every_picture():
    pictures = [[np.zeros((4, 4, 3))] * 3, [np.zeros((4, 4, 3))] * 2]
    figure = figures.grid(pictures, ["one", "two", "three"])
    assert len(figure.axes) == 6
    assert [axis.get_title() for axis in figure.axes] == ["one", "two", "three", "", "", ""]
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 1, 1, 0]


def test_turned_faces_are_views_from_those_angles(explained):
    model, _, out = explained
    with torch.no_grad():
        seen = figures.turned(model, out, (30, -30))
        assert len(seen) == 2 and torch.equal(seen[0], views.view(model, out, yaw=30).image)
        assert not torch.equal(*seen)


def test_figures_of_faces_are_drawn(explained):
    model, images, out = explained
    with torch.no_grad():
        drawn = {
            "explanation": (figures.explanation(images, out), 2 * 7),
            "turning": (figures.turning(model, images, out), 2 * 6),
            "turning parts": (figures.turning_parts(model, out, (-20, 0, 20)), 2 * 6),
            "relighting": (figures.relighting(model, images, out), 2 * 5),
            "gallery": (figures.part_gallery(images, out), 2 * (M + 1)),
        }
    for name, (figure, count) in drawn.items():
        assert isinstance(figure, Figure) and sum(len(a.images) for a in figure.axes) == count, name
        figure.canvas.draw()


def test_figures_of_numbers_are_drawn(explained):
    model, _, out = explained
    history = [{"epoch": 1, "loss": 2.0, "mirror": 1.0}, {"epoch": 2, "loss": 1.0, "mirror": 0.5}]
    attention = model.decomposition.attention().detach()
    profile = figures.depth_profile(out.parts.depth[0], out.depth[0], out.parts.visibility[0])
    for figure in (figures.curves(history, ["loss", "mirror"]),
                   figures.curves(history, ["loss"]), figures.attention_map(attention), profile):  # fmt: skip
        figure.canvas.draw()
    line = figures.curves(history, ["loss"]).axes[0].lines[0]
    assert line.get_xdata().tolist() == [1, 2] and line.get_ydata().tolist() == [2.0, 1.0]


def test_true_labels_have_colours_and_the_background_is_white():
    names = ("background", "skin", "nose", "mouth")
    shown = figures.truth_picture(torch.tensor([[0, 1], [2, 3]]), names)
    assert shown.shape == (2, 2, 3) and (shown[0, 0] == 1).all()
    assert len({tuple(colour) for colour in shown.reshape(-1, 3)}) == 4
    assert figures.label_colours(names).N == 4


def test_meshes_of_parts_lie_where_their_points_were_moved(moved):
    model, out = moved
    mesh, fov = figures.part_meshes(model, out, 1), model.canonical_fov
    for m in range(M):
        plain = geometry.depth_to_points(out.depth[1], fov)
        apart = (mesh["points"][m] - plain)[..., :2].movedim(-1, 0)
        torch.testing.assert_close(apart, out.shift[1], atol=1e-6, rtol=0)
    ring = torch.ones(32, 32, dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    left_out = not mesh["masks"].any(dim=0)[ring].any()
    assert left_out or model.config.background == "border"


def test_all_figures_are_drawn_without_a_background(moved, tmp_path):
    model, out = moved
    with torch.no_grad():
        assert len(figures.save_run_pictures(tmp_path, model, out.image, out)) == 3
        figures.turning_parts(model, out).canvas.draw()
        figures.relighting(model, out.image, out).canvas.draw()
    figures.depth_profile(out.parts.depth[0], out.depth[0], out.parts.visibility[0]).canvas.draw()


def test_meshes_of_parts_fit_the_3d_view(explained):
    model, _, out = explained
    mesh = figures.part_meshes(model, out, 1)
    assert mesh["points"].shape == mesh["colours"].shape == (M, 32, 32, 3)
    assert mesh["masks"].shape == (M, 32, 32) and mesh["masks"].dtype == torch.bool
    torch.testing.assert_close(mesh["points"][..., 2], out.depth[1].expand(M, -1, -1))
    assert mesh["names"] == ["part 1", "part 2", "part 3"] and (mesh["masks"].sum(dim=0) <= 1).all()


def test_pictures_of_a_run_are_files(explained, tmp_path):
    model, images, out = explained
    with torch.no_grad():
        paths = figures.save_run_pictures(tmp_path, model, images, out)
    assert sorted(path.name for path in paths) == ["explanation.png", "parts.png", "turning.png"]
    for path in paths:
        with Image.open(path) as image:
            assert min(image.size) > 100
    assert not plt.get_fignums(), "figures are closed"


def test_pictures_on_a_page_are_small_and_lose_nothing():
    plain = Image.fromarray(
        np.repeat(np.arange(200, dtype=np.uint8)[:, None, None], 3, axis=2).repeat(50, axis=1)
    )
    rich = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    for image, mode in ((plain, "P"), (rich, "RGB")):
        with Image.open(io.BytesIO(figures.small_png(image))) as kept:
            assert kept.mode == mode and np.array_equal(np.asarray(kept.convert("RGB")), np.asarray(image))


def test_lines_have_the_colours_of_the_parts_and_truth_has_others():
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    assert cycle == list(PART_COLOURS)
    assert not set(figures.TRUTH_COLOURS) & set(PART_COLOURS) and figures.TRUTH_COLOURS[0] == "#FFFFFF"
    assert len(set(figures.TRUTH_COLOURS)) == len(LABELS)
