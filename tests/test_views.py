"""Free views: where things go when a face is turned, zoomed, lit anew or shown in part."""

import math

import pytest
import torch

from igc import geometry, views

M = 3


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("angles", [(30, 0, 0), (0, 20, 0), (-50, 10, 15)])
def test_turning_keeps_the_middle_of_the_face_in_its_place(explained, angles):
    model, out = explained
    yaw, pitch, roll = (torch.tensor(math.radians(angle)) for angle in angles)
    pose = views.turn(model, out, *angles)
    torch.testing.assert_close(pose[:, :3], torch.stack((pitch, yaw, roll)).expand(2, 3))
    face = out.parts.visibility[:, -1] < 0.5
    points = geometry.depth_to_points(out.depth, model.fov)
    for i in range(len(pose)):
        middle = points[i][face[i]].mean(dim=0)
        moved = geometry.transform(middle[None, None], pose[i : i + 1])[0, 0]
        torch.testing.assert_close(moved, middle, atol=1e-5, rtol=0)


def test_turning_keeps_the_middle_of_a_face_whose_points_are_moved(moved):
    model, out = moved
    pose, face = views.turn(model, out, 30, 10), out.parts.visibility[:, -1] < 0.5
    for i, points in enumerate(model.points(out.depth, out.shift)):
        middle = points[face[i]].mean(dim=0)
        found = geometry.transform(middle[None, None], pose[[i]])[0, 0]
        torch.testing.assert_close(found, middle, atol=1e-5, rtol=0)


def test_from_the_front_moved_points_are_seen_on_rays(moved):
    """Whatever a point shows is seen where it has been moved to, and nearer than what it hides."""
    model, out = moved
    place = geometry.pixel_centres(32).movedim(-1, 0).expand(2, -1, -1, -1)
    out = out._replace(depth=1 + 1e-4 * (place - 16).square().sum(dim=1))
    points, found = views.from_front(model, out, place)
    torch.testing.assert_close(points, geometry.depth_to_points(points[..., 2], model.canonical_fov))
    true = model.points(out.depth, out.shift)
    seen = geometry.points_to_pixels(true, 32, model.canonical_fov)[..., :2] / 16 - 1
    assert (seen - place.movedim(1, -1) / 16 + 1).abs().max() > 0.5 / 16, "something is moved"
    depth, x, y = (
        torch.nn.functional.grid_sample(maps, seen, align_corners=False, padding_mode="border")[:, 0]
        for maps in (points[None, ..., 2].movedim(0, 1), found[:, :1], found[:, 1:])
    )
    inside = (slice(None), slice(2, -2), slice(2, -2))
    assert (depth - true[..., 2])[inside].abs().mean() < 1.5e-4, "as far as triangles are flat"
    assert (x - place[:, 0])[inside].abs().mean() < 0.03 and (y - place[:, 1])[inside].abs().mean() < 0.03


def test_from_the_front_a_face_that_is_not_moved_is_as_it_is(explained):
    model, out = explained
    points, albedo = views.from_front(model, out, out.albedo)
    torch.testing.assert_close(points, geometry.depth_to_points(out.depth, model.fov), atol=1e-6, rtol=0)
    torch.testing.assert_close(albedo, out.albedo, atol=1e-5, rtol=0)


def test_a_solid_ends_where_the_face_or_the_frame_does(moved):
    model, out = moved
    seen = views.seen_parts(model, out)
    assert seen.dtype == torch.bool and seen.shape == (2, M, 32, 32)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert torch.equal(seen[inner], out.parts.visibility[:, :-1][inner] > 0.5)
    if model.config.background == "none":
        assert seen.any(dim=1).sum() == 2 * 30 * 30
    else:
        assert torch.equal(seen, out.parts.visibility[:, :-1] > 0.5)


def test_without_a_background_a_face_covers_the_picture_however_it_turns(moved):
    model, out = moved
    alpha = views.view(model, out, yaw=-35, pitch=15, roll=10).alpha
    assert (alpha > 0.99).all() == (model.config.background == "none")
    left = views.view(model, out, yaw=20, parts=[0, 2])
    assert left.parts[:, 1].max() == 0 and 0 < left.alpha.mean() < 0.99


def test_a_view_is_the_models_in_that_pose_and_light(explained):
    model, out = explained
    seen = views.view(model, out, 20, -10, 5)
    assert torch.equal(seen.image, model.view(out, views.turn(model, out, 20, -10, 5)).image), "its own light"
    lit = views.view(model, out, light_x=-45)
    light = torch.tensor([[*views.STRENGTHS, -math.sqrt(0.5), 0, -math.sqrt(0.5)]]).expand(2, 5)
    torch.testing.assert_close(lit.image, model.view(out, torch.zeros(2, 6), light).image)
    above, below = (views.view(model, out, light_y=y).image for y in (-60, 60))
    assert not torch.allclose(above, below, atol=0.02)


def test_positive_yaw_shows_the_left_of_what_stands_out(explained):
    """The nearest point of the face goes to the left of the picture, the farthest to the right."""
    model, out = explained
    pose = views.turn(model, out, 30)
    points = geometry.depth_to_points(out.depth, model.fov)
    x = geometry.points_to_pixels(geometry.transform(points, pose), 32, model.fov)[..., 0]
    face = out.parts.visibility[:, -1] < 0.5
    moved = x - geometry.pixel_centres(32)[..., 0]
    for i in range(2):
        near = out.depth[i] < out.depth[i][face[i]].mean() - 0.005
        assert moved[i][near & face[i]].mean() < moved[i][~near & face[i]].mean()


def test_zoom_scales_the_covered_area_and_keeps_the_middle(explained):
    model, out = explained
    small, own = (views.view(model, out, zoom=zoom, size=128).alpha for zoom in (0.4, 0.8))
    ratio = own.sum() / small.sum()
    assert ratio == pytest.approx(4, rel=0.06)

    def middle(alpha):
        place = geometry.pixel_centres(128) - 64
        return (alpha.movedim(1, -1) * place).sum(dim=(0, 1, 2)) / alpha.sum()

    torch.testing.assert_close(middle(own), 2 * middle(small), atol=0.5, rtol=0)
    with pytest.raises(ValueError, match="zoom"):
        views.view(model, out, zoom=0)


def test_a_view_of_another_size_shows_the_same(explained):
    model, out = explained
    own, large = views.view(model, out, 20), views.view(model, out, 20, size=96)
    assert large.image.shape == (2, 3, 96, 96) and large.depth.shape == (2, 96, 96)
    shrunk = torch.nn.functional.avg_pool2d(large.alpha, 3)
    assert (shrunk - own.alpha).abs().mean() < 0.05
    assert (large.image[(large.alpha == 0).expand_as(large.image)] == 1).all(), "on white"


def test_parts_that_are_not_shown_leave_holes(explained):
    model, out = explained
    whole = views.view(model, out, 25, size=64)
    some = views.view(model, out, 25, parts=[0, 2], size=64)
    assert some.parts[:, 1].abs().max() == 0 and whole.parts[:, 1].max() > 0.9
    kept = (whole.parts[:, [0, 2]].sum(dim=1) > 0.999) & (whole.alpha[:, 0] > 0.999)
    assert kept.any()
    torch.testing.assert_close(some.image.movedim(1, -1)[kept], whole.image.movedim(1, -1)[kept])
    assert torch.equal(views.view(model, out, 25, parts=range(M), size=64).image, whole.image)
    nothing = views.view(model, out, parts=[])
    assert nothing.alpha.abs().max() == 0 and (nothing.image == 1).all()
    with pytest.raises(IndexError):
        views.view(model, out, parts=[M])


def test_one_face_is_a_batch_of_one(explained):
    _, out = explained
    face = views.one_face(out, -1)
    assert type(face) is type(out) and len(face.image) == len(face.parts.depth) == 1
    for found, wanted in zip((*face.parts, *face[1:]), (*out.parts, *out[1:])):
        assert torch.equal(found[0], wanted[1])
    assert views.one_face(out._replace(support=None), 1).support is None
    with pytest.raises(IndexError):
        views.one_face(out, 2)
