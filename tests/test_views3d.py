"""The 3D views: what is stored of a face, where it lies, and how large it gets."""

import base64
import io
import json
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image

from igc import geometry, views, views3d
from igc.data.label_images import PART_COLOURS
from igc.errors import UserError

FOV = math.radians(10)


def head(size=16, tilt=0.1):
    """A tilted plane about (0, 0, 1): points (size, size, 3) and colours (size, size, 3)."""
    x = torch.linspace(-0.08, 0.08, size)
    points = geometry.depth_to_points((1 + tilt * x).expand(size, size), FOV)
    return points, points / points.amax(dim=(0, 1))


def parts(size=16):
    points, colours = head(size)
    masks = torch.zeros(3, size, size)
    masks[0, :, : size // 2], masks[1, : size // 2, size // 2 :], masks[2, size // 2 :, size // 2 :] = 1, 1, 1
    return points.expand(3, -1, -1, -1), colours.expand(3, -1, -1, -1), masks, ["left", "up", "down"]


def maps(face):
    """The maps of a stored face, as `viewer.js` reads them."""
    kinds = {"depth": "<u2", "colours": "u1", "parts": "u1", "outline": "u1"}
    read = {name: np.frombuffer(base64.b64decode(face[name]), kind) for name, kind in kinds.items()}
    rows, columns = face["shape"]
    return {name: values.astype(float).reshape(rows, columns, -1).squeeze() for name, values in read.items()}


def places(face):
    """The vertices (h, w, 3) of a stored face in the camera frame."""
    depth = face["near"] + face["span"] * maps(face)["depth"] / 65535.0
    rows, columns = np.indices(face["shape"])
    rays = [(face["corner"][k] + place) / face["focal"] for k, place in enumerate((columns, rows))]
    return np.stack((rays[0] * depth, rays[1] * depth, depth), axis=-1)


def middle(values):
    return values[views3d.MARGIN : -views3d.MARGIN, views3d.MARGIN : -views3d.MARGIN]


def pixels(view):
    with Image.open(io.BytesIO(view.still)) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


def test_the_points_come_back_where_they_were():
    points, colours = head()
    face = views3d.surface_view(points, colours).face
    assert face["focal"] == pytest.approx(geometry.focal_length(16, FOV), rel=1e-5)
    np.testing.assert_allclose(middle(places(face)), points, atol=1e-6)
    np.testing.assert_allclose(
        middle(maps(face)["colours"]) / 255, colours.clamp(0, 1), atol=0.5 / 255 + 1e-6
    )


def test_a_face_is_cut_to_what_is_seen_and_keeps_its_place():
    points, colours = head()
    mask = torch.zeros(16, 16)
    mask[3:9, 5:11] = 1
    face = views3d.surface_view(points, colours, mask).face
    assert face["shape"] == [6 + 2 * views3d.MARGIN] * 2
    np.testing.assert_allclose(middle(places(face)), points[3:9, 5:11], atol=1e-6)


def test_around_a_surface_it_goes_on_as_it_went():
    points, colours = head(tilt=0.5)
    nonsense = points.clone()
    mask = torch.zeros(16, 16)
    mask[3:9, 5:11] = 1
    nonsense[mask == 0] = torch.nan
    found = places(views3d.surface_view(nonsense, colours, mask).face)
    np.testing.assert_allclose(found[1:-1, 1:-1], points[2:10, 4:12], atol=0.001)


def test_the_outline_of_a_mask_is_smooth_and_that_of_a_support_exact():
    points, colours = head(32)
    rows, columns = np.indices((32, 32))
    inside = 9.3 - np.hypot(rows - 15.5, columns - 15.5)
    for support, error in ((None, 0.35), (torch.tensor(inside).float(), 0.05)):
        view = views3d.parts_view(
            points[None], colours[None], torch.tensor(inside > 0)[None], ["disc"], support=support
        )
        stored = (middle(maps(view.face)["outline"]) - 128) / 60
        wanted = inside[(inside > 0).any(axis=1)][:, (inside > 0).any(axis=0)]
        near = np.abs(wanted) < 1.2
        assert np.abs(stored - wanted)[near].max() < error


def test_a_face_ends_at_the_frame():
    points, colours = head()
    edges = maps(views3d.surface_view(points, colours).face)["outline"]
    assert (middle(edges) > 128).all() and (edges[:2] < 128).all() and (edges[:, -2:] < 128).all()


def test_parts_keep_their_number_names_and_colours():
    face = views3d.parts_view(*parts()).face
    assert face["names"] == ["left", "up", "down"] and face["tints"] == list(PART_COLOURS[:3])
    stored = middle(maps(face)["parts"])
    assert (stored[:, :8] == 1).all() and (stored[:8, 8:] == 2).all() and (stored[8:, 8:] == 3).all()
    points, colours, masks, names = parts()
    masks[1] = 0
    face = views3d.parts_view(points, colours, masks, names).face
    assert face["names"] == ["left", "down"] and face["tints"] == [PART_COLOURS[0], PART_COLOURS[2]]


def test_every_part_is_its_own_surface_and_where_two_claim_a_place_the_first_has_it():
    points, colours, masks, names = parts()
    moved = points * torch.tensor([1.0, 1.01, 1.02])[:, None, None, None]
    masks[1] = 1
    face = views3d.parts_view(moved, colours, masks, names, smooth=0).face
    found = middle(places(face))
    np.testing.assert_allclose(found[:, :8], moved[0][:, :8], atol=1e-5)
    np.testing.assert_allclose(found[:, 8:], moved[1][:, 8:], atol=1e-5)
    assert face["names"] == ["left", "up"]


def test_parts_move_away_from_the_middle_and_the_nearest_forward():
    points, colours, masks, names = parts()
    nearer = points - torch.tensor([0.0, 0.01, 0.02])[:, None, None, None] * points
    shifts = np.array(views3d.parts_view(nearer, colours, masks, names).face["shifts"])
    assert shifts[0, 0] < -0.03 and (shifts[1:, 0] > 0.03).all(), "left goes left"
    assert shifts[1, 1] < -0.03 and shifts[2, 1] > 0.03, "up is up"
    assert shifts[0, 2] > shifts[1, 2] > shifts[2, 2] and shifts[0, 2] == pytest.approx(-shifts[2, 2])
    assert views3d.surface_view(*head()).face["shifts"] == [[0, 0, 0]]


def test_blur_takes_creases_out_of_a_relief():
    points, colours, masks, names = parts(32)
    crease = points * (1 + 0.01 * (torch.arange(32) % 4 == 0)[:, None, None])
    rough, smooth = (
        np.diff(
            middle(places(views3d.parts_view(crease, colours, masks, names, smooth=s).face))[..., 2],
            axis=0,
        )
        for s in (0, views3d.SMOOTH)
    )
    assert np.abs(smooth).mean() < 0.35 * np.abs(rough).mean()


def test_a_view_of_a_face_is_that_of_its_assembled_parts(explained):
    model, out = explained
    face = views3d.face_view(model, out, 1, yaw=20, colour="part").face
    labels = out.parts.visibility[1].argmax(dim=0) + 1
    labels[out.parts.visibility[1, -1] > 0.5] = 0
    seen = labels > 0
    rows, columns = (torch.where(seen.any(dim=axis))[0] for axis in (1, 0))
    cut = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    stored = maps(face)
    assert face["strengths"] == views.STRENGTHS and face["focal"] == pytest.approx(
        geometry.focal_length(32, model.fov), rel=1e-4
    )
    assert (middle(stored["parts"])[seen[cut]] == labels[cut][seen[cut]].numpy()).all()
    np.testing.assert_allclose(
        middle(stored["colours"])[seen[cut]] / 255, out.albedo[1].movedim(0, -1)[cut][seen[cut]], atol=0.003
    )
    assert ((middle(stored["outline"]) >= 128) == seen[cut].numpy()).mean() > 0.99


def test_a_view_of_a_face_whose_parts_are_moved_shows_them_there(moved):
    """Every vertex of the view lies on the surface of moved points: between four of them, nearly."""
    model, out = moved
    stored = views3d.face_view(model, out, 1, motion="").face
    assert stored["focal"] == pytest.approx(geometry.focal_length(32, model.canonical_fov), rel=1e-4)
    found = middle(places(stored))[2:-2, 2:-2].reshape(-1, 3)
    true = model.points(out.depth[[1]], out.shift[[1]])[0].detach().numpy()
    true = true[views.seen_parts(model, out)[1].any(dim=0).numpy()]
    spacing = 1 / geometry.focal_length(32, model.canonical_fov)
    inside = (middle(maps(stored)["outline"])[2:-2, 2:-2] > 200).reshape(-1)
    apart = np.linalg.norm(found[inside][:, None] - true, axis=-1).min(axis=1)
    assert inside.sum() > 100 and apart.mean() < 0.7 * spacing
    if model.config.background == "none":
        still = views3d.face_view(model, out._replace(shift=0 * out.shift), 1).face
        assert still["shape"] == [30 + 2 * views3d.MARGIN] * 2 and len(still["names"]) == 3


def test_a_view_is_small_and_needs_nothing_from_outside():
    points, colours, masks, names = parts(64)
    html = views3d.parts_view(points * (1 + 0.002 * torch.rand(64, 64, 1)), colours, masks, names).html()
    assert len(html) < 60_000 and "http" not in html
    told = json.loads(re.search(r'<script type="application/json">(.*)</script>', html)[1])
    assert set(told) == {"face", "begin"} and told["begin"]["colour"] == "albedo"


def test_what_is_said_to_those_who_cannot_see_is_escaped():
    html = views3d.surface_view(*head(), says='A "head" <b>').html()
    assert 'alt="A &quot;head&quot; &lt;b&gt;"' in html


def test_the_still_shows_the_state_that_the_view_begins_with():
    points, colours, masks, names = parts(32)
    begins = ({}, {"yaw": 50}, {"apart": 1.0}, {"colour": "part"}, {"hidden": [0]}, {"light_x": 60})
    drawn = [pixels(views3d.parts_view(points, colours, masks, names, **begin)) for begin in begins]
    for other in drawn[1:]:
        assert np.abs(other - drawn[0]).mean() > 1
    whole, turned, apart, coloured, hidden, _ = drawn
    assert whole.shape == (360, 540, 4) and 0.2 < (whole[..., 3] > 128).mean() < 0.6
    width = [(np.ptp(np.where(d[..., 3].max(axis=0) > 128)[0])) for d in (whole, turned)]
    assert width[1] == pytest.approx(width[0] * math.cos(math.radians(50)), rel=0.12), (
        "about the vertical axis"
    )
    rows = [np.where(d[:, 270, 3] > 128)[0] for d in (whole, apart)]
    assert np.diff(rows[0]).max() == 1 and (apart[:, 270, 3] < 10).any()
    top = coloured[100, 320, :3] / np.array([0xEE, 0x66, 0x77])
    assert np.ptp(top) < 0.1, "a shade of the second part's colour"
    assert (hidden[:, :260, 3] == 0).all() and (hidden[:, 290:, 3] > 128).any()


def test_an_unknown_state_is_refused():
    with pytest.raises(ValueError, match="a view has no 'zoom'"):
        views3d.surface_view(*head(), zoom=2)


def test_nothing_to_show_is_a_user_error():
    points, colours, masks, names = parts()
    with pytest.raises(UserError, match="no surface to show in left, up, down"):
        views3d.parts_view(points, colours, masks * 0, names)
    with pytest.raises(UserError, match="mask"):
        views3d.surface_view(*head(), torch.zeros(16, 16))


@pytest.mark.parametrize("wrong", ["points", "colours", "masks", "names"])
def test_shapes_that_do_not_fit_are_refused(wrong):
    arguments = dict(zip(("points", "colours", "masks", "names"), parts()))
    arguments[wrong] = arguments[wrong][:-1] if wrong != "points" else arguments[wrong][..., :2]
    with pytest.raises(ValueError):
        views3d.parts_view(**arguments)


def test_points_that_no_camera_sees_as_a_grid_are_refused():
    points, colours = head()
    with pytest.raises(ValueError, match="rays of a camera"):
        views3d.surface_view(points + torch.tensor([0.01, 0, 0]), colours)
