"""The face framing shows what a cropper cuts out, and its truth is as exact as that of whole heads."""

import math

import numpy as np
import pytest
import torch

from igc import geometry
from igc.data import FACE_PARTS, SyntheticFaces, framing, scene
from igc.errors import UserError
from igc.shading import lambert

FOV, SIZE = math.radians(10), 64
VARIANTS = [{}, {"side": 2.44, "yaw": 45.0}]


@pytest.fixture(scope="module", params=VARIANTS, ids=["close", "wide"])
def data(request):
    return SyntheticFaces("validation", 64, SIZE, per_identity=1, frame="face", **request.param)


@pytest.fixture(scope="module")
def faces(data):
    return data.batch(range(24))


def middles(landmarks):
    """Middles of eyes and mouth of landmarks (B, 68, C): two (B, C), by the usual list of 68."""
    eyes = (landmarks[:, 36:42].mean(1) + landmarks[:, 42:48].mean(1)) / 2
    return eyes, landmarks[:, 48:68].mean(1)


def test_eyes_and_midline_are_where_a_cropper_puts_them(faces):
    eyes, mouth = middles(faces["landmarks"])
    assert (eyes[:, 1] / SIZE - 0.29).abs().max() < 0.005
    assert ((eyes + mouth)[:, 0] / (2 * SIZE) - 0.5).abs().max() < 0.01


def test_the_side_is_measured_on_the_neutral_face_from_the_front(data):
    for index in range(6):
        p = data._draw(index).p
        vars(p).update(framing.NEUTRAL)
        head = scene.Head(p, data.side)
        marks = head.landmarks(torch.zeros(6), torch.zeros(SIZE, SIZE))["landmarks"]
        (eyes,), (mouth,) = middles(marks[None])
        assert SIZE / float(mouth[1] - eyes[1]) == pytest.approx(data.side, rel=0.002)
        assert float(eyes[1]) / SIZE == pytest.approx(0.29, abs=0.001)
        middle = (head._landmark_points()[36:48, 2].mean() + head._landmark_points()[48:68, 2].mean()) / 2
        assert float(middle) == pytest.approx(1, abs=1e-4)


def test_a_framed_head_has_the_shape_of_the_whole_one(data):
    p = data._draw(3).p
    whole, framed = scene.Head(p), scene.Head(p, data.side)
    ratio = np.ptp(framed.points, axis=(0, 1)) / np.ptp(whole.points, axis=(0, 1))
    assert np.allclose(ratio, framed.placement.scale, rtol=1e-4)
    np.testing.assert_allclose(framed.normals, whole.normals, atol=1e-3)


def test_the_pose_takes_the_canonical_face_to_the_view(data, faces):
    for index in range(8):
        canonical = scene.Head(data._draw(index).p, data.side)._landmark_points()
        seen = geometry.transform(canonical[None], faces["pose"][index : index + 1])[0]
        assert torch.allclose(seen, faces["landmarks_3d"][index], atol=1e-6)
    pixels = geometry.points_to_pixels(faces["landmarks_3d"], SIZE, FOV)
    assert torch.allclose(pixels[..., :2], faces["landmarks"], atol=1e-3)
    assert faces["pose"][:, 3:].abs().max() < 0.02


def test_view_and_canonical_depth_are_one_surface(faces):
    points = geometry.inverse_transform(geometry.depth_to_points(faces["depth"], FOV), faces["pose"])
    where = geometry.points_to_pixels(points, SIZE, FOV)[..., :2] / (0.5 * SIZE) - 1
    maps = torch.stack((faces["canonical_depth"], (faces["canonical_depth"] > 0).float()), dim=1)
    there = torch.nn.functional.grid_sample(maps, where, align_corners=False)
    gap = there[:, 0] - points[..., 2]
    both = (faces["depth"] > 0) & (there[:, 1] > 0.999) & (gap > -0.008)  # beyond: hidden at zero pose
    assert both.float().mean() > 0.3
    assert gap[both].abs().median() < 4e-4


def test_the_light_and_the_albedo_explain_the_image(faces):
    toward = geometry.rotate(faces["light"][:, None, 2:], faces["pose"][:, :3])[:, 0]
    shaded = faces["albedo"] * lambert(faces["normal"], torch.cat((faces["light"][:, :2], toward), dim=1))
    error = (shaded.clamp(0, 1) - faces["image"]).abs().mean(dim=1)[faces["depth"] > 0]
    assert error.median() < 0.005


def test_the_face_fills_the_picture_and_its_depths_lie_around_one(data, faces):
    covered = faces["depth"] > 0
    assert torch.equal(covered, faces["labels"] > 0)
    assert 1 - covered.float().mean() < (0.08 if data.side < 2 else 0.35)
    part = torch.isin(faces["labels"], torch.tensor(FACE_PARTS))
    assert part.float().mean() > (0.8 if data.side < 2 else 0.5)
    assert faces["depth"][covered].min() > 0.9 and faces["depth"][part].max() < 1.15
    assert abs(faces["depth"][part].mean() - 1) < 0.015


def test_shadows_and_glasses_are_those_of_the_whole_head():
    options = {"per_identity": 1, "frame": "face", "yaw": 20}
    plain = SyntheticFaces("test", **options).batch(range(16))
    for name in ("shadows", "glasses"):
        other = SyntheticFaces("test", **options, **{name: True}).batch(range(16))
        assert all(torch.equal(plain[key], other[key]) for key in plain if key != "image")
        changed = ((plain["image"] - other["image"]).abs().amax(dim=1) > 0.02).float().mean(dim=(1, 2))
        assert 0.01 < changed.mean() < 0.3
    worn = (plain["image"] - other["image"]).abs().amax(dim=1) > 0.05
    rows = torch.arange(SIZE)[:, None].expand(SIZE, SIZE)
    assert all(0.1 < rows[mask].float().mean() / SIZE < 0.4 for mask in worn if mask.any())


def test_whole_heads_are_the_default_and_the_frame_is_in_the_name():
    whole, same = SyntheticFaces(count=3, size=32), SyntheticFaces(count=3, size=32, frame="head", yaw=45.0)
    assert whole.fingerprint() == same.fingerprint() and "face" not in whole.fingerprint()
    assert torch.equal(whole[2]["image"], same[2]["image"])
    close, wide = (SyntheticFaces(frame="face", **variant) for variant in VARIANTS)
    assert close.yaw == 20 and wide.yaw == 45
    assert len({data.fingerprint() for data in (whole, close, wide)}) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"frame": "eye"}, "head, face"), ({"side": 0.5}, "side=0.5"), ({"side": "wide"}, "side='wide'")],
)
def test_bad_framings_are_named(arguments, words):
    with pytest.raises(UserError, match=words):
        SyntheticFaces(**arguments)
