"""Framing: from landmarks, from a box, from a detector; on pictures of every kind."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from igc.data import Photographs, SyntheticFaces, crop
from igc.data.__main__ import main
from igc.data.prepared import Prepared
from igc.errors import UserError


def test_landmarks_of_the_embedded_faces_give_back_their_frame():
    truth = SyntheticFaces("validation", 64, 64).batch(range(64))
    centres, sides = [], []
    for points in truth["landmarks"].numpy() + 100:
        left, top, right, bottom = crop.landmark_box(points, (264, 264))
        assert right - left == bottom - top
        centres.append(((left + right) / 2 - 132, (top + bottom) / 2 - 132))
        sides.append(right - left)
    assert np.abs(np.mean(centres, 0)).max() < 2 and abs(np.mean(sides) - 64) < 3


@pytest.mark.parametrize("count", [5, 49, 66, 68])
def test_all_kinds_of_landmarks_agree(drawn, count):
    every = {5: drawn.five, 49: drawn.inner, 68: drawn.points}
    every[66] = np.delete(drawn.points, (60, 64), 1)
    boxes = [np.array(crop.landmark_box(p[1], (200, 200))) for p in (drawn.points, every[count])]
    assert np.abs(boxes[0] - boxes[1]).max() <= 8


def test_squares_stay_within_the_picture():
    assert crop.square((50, 50), 40, (100, 100)) == (30, 30, 70, 70)
    assert crop.square((5, 95), 40, (100, 100)) == (0, 60, 40, 100), "moved"
    assert crop.square((50, 20), 400, (100, 60)) == (20, 0, 80, 60), "made smaller"
    assert crop.given_box((10, 10, 50, 30), (100, 100)) == (10, 0, 50, 40)
    for centre, side in (((-5, 10), 40), ((50, 50), 9)):
        with pytest.raises(UserError):
            crop.square(centre, side, (100, 100))


NOTHING = [np.zeros((7, 2)), np.zeros((5, 3)), np.full((5, 2), np.nan), np.zeros((5, 2))]


@pytest.mark.parametrize("points", NOTHING)
def test_landmarks_that_say_nothing_are_refused(points):
    with pytest.raises(UserError):
        crop.landmark_box(points, (100, 100))


@pytest.mark.parametrize("box", [(1, 1, 1, 5), (5, 1, 1, 5), (float("nan"), 0, 1, 1)])
def test_empty_boxes_are_refused(box):
    with pytest.raises(UserError, match="empty"):
        crop.given_box(box, (100, 100))


def test_landmarks_move_with_the_crop(drawn):
    box = crop.landmark_box(drawn.points[0], (200, 200))
    moved = crop.moved(drawn.points[0], box, 64)
    back = moved * (box[2] - box[0]) / 64 + box[:2]
    assert np.allclose(back, drawn.points[0], atol=1e-3) and 0 < moved.min() and moved.max() < 64


KINDS = {
    "grey.png": ("L", {}), "clear.png": ("RGBA", {}), "print.jpg": ("CMYK", {"quality": 98}),
    "palette.png": ("P", {}), "turned.jpg": ("RGB", {"quality": 98}),
    "moving.webp": ("RGB", {"lossless": True}),
}  # fmt: skip


def test_pictures_of_every_kind_are_cut_at_the_same_place(tmp_path, drawn):
    """A white square on grey, cut out by a box in pixels of the upright picture, is white all over."""
    picture = Image.new("L", (120, 100), 90)
    picture.paste(255, (70, 20, 110, 60))
    lines = ["name,left,top,right,bottom"]
    for name, (mode, options) in KINDS.items():
        image = picture.convert("RGB").convert(mode)
        if name == "turned.jpg":
            exif = Image.Exif()
            exif[0x0112] = 6
            image, options = image.transpose(Image.Transpose.ROTATE_90), options | {"exif": exif}
        if name == "moving.webp":
            options = options | {"save_all": True, "append_images": [Image.new("RGB", image.size)]}
        image.save(tmp_path / name, **options)
        lines.append(f"{name},72,22,108,58")
    Image.fromarray(np.asarray(picture, dtype=np.uint16) * 257).save(tmp_path / "deep.png")
    lines += ["deep.png,72,22,108,58", "gone.png,0,0,50,50"]
    picture.save(tmp_path / "unlisted.png")
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    faces = Photographs(tmp_path, "all", 16, boxes=tmp_path / "boxes.csv")
    assert len(faces) == 7 and [name for name, _ in faces.skipped] == ["unlisted.png"]
    assert faces.batch(range(7))["image"].min() > 0.97
    (tmp_path / "boxes.csv").write_text("name,left\na,1")
    with pytest.raises(UserError, match="needs the columns"):
        Photographs(tmp_path, "all", 16, boxes=tmp_path / "boxes.csv")


class FakeError(Exception):
    """In place of cv2.error."""


def fake_cv2(faces):
    """An OpenCV whose detector finds `faces` in every picture; it notes what it was given."""
    seen = []

    def create(model, config, size, threshold):
        if isinstance(faces, str):
            raise FakeError("no model")
        seen.append((model, size, threshold))
        return SimpleNamespace(detect=lambda pixels: seen.append(pixels.copy()) or (1, faces))

    return SimpleNamespace(error=FakeError, FaceDetectorYN=SimpleNamespace(create=create), seen=seen)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"weights")
    return path


def test_a_detector_frames_the_largest_face(tmp_path, drawn, weights, monkeypatch):
    rows = [[0, 0, w, w, *five.ravel(), 0.9] for w, five in ((30, drawn.five[1] / 2), (60, drawn.five[0]))]
    cv2 = fake_cv2(np.array(rows, dtype=np.float32))
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    drawn.pictures[0].save(tmp_path / "a.png")
    command = ["prepare", "--set", "folder", "--root", str(tmp_path), "--size", "32"]
    command += ["--detector", str(weights)]
    with pytest.raises(SystemExit):
        main(["prepare", "--set", "folder"])
    assert main([*command, "--out", str(tmp_path.parent / f"{tmp_path.name}-out")]) == 0
    (line,) = Prepared(tmp_path.parent / f"{tmp_path.name}-out", "all").lines([0])
    assert tuple(line["box"]) == crop.landmark_box(drawn.five[0], (200, 200))
    assert cv2.seen[0] == (str(weights), (200, 200), 0.7)
    assert np.array_equal(cv2.seen[1], np.asarray(drawn.pictures[0])[:, :, ::-1]), "OpenCV wants BGR"


@pytest.mark.parametrize(("faces", "reason"), [(None, "no face was found"), ("wrong", "not YuNet's")])
def test_a_detector_that_finds_nothing_says_so(tmp_path, drawn, weights, monkeypatch, faces, reason):
    monkeypatch.setitem(sys.modules, "cv2", fake_cv2(faces))
    drawn.pictures[0].save(tmp_path / "a.png")
    with pytest.raises(UserError, match=rf"a\.png cannot be used: .*{reason}"):
        Photographs(tmp_path, "all", 32, detector=crop.Detector(weights))[0]


def test_opencv_is_asked_for_only_by_a_detector(tmp_path, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match="pip install opencv-python-headless"):
        crop.Detector(weights)
    with pytest.raises(UserError, match="do not exist: get them from"):
        crop.Detector(tmp_path / "nowhere.onnx")


def test_yunet_itself_where_opencv_is_installed(weights):
    cv2 = pytest.importorskip("cv2")
    assert hasattr(cv2, "FaceDetectorYN")
    with pytest.raises(UserError, match="not YuNet's"):
        crop.Detector(weights).box(Image.new("RGB", (64, 64)))


def test_a_set_with_a_detector_has_a_name_of_its_own(tmp_path, drawn, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", fake_cv2(None))
    drawn.pictures[0].save(tmp_path / "a.png")
    plain = Photographs(tmp_path, "all", 32)
    found = Photographs(tmp_path, "all", 32, detector=crop.Detector(weights))
    assert plain.fingerprint() != found.fingerprint()
    assert torch.equal(plain[0]["image"], plain[-1]["image"])
    with pytest.raises(IndexError):
        plain[1]
