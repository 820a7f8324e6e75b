"""Part coverage to labels, names of parts, and a folder of pictures segmented."""

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from igc import IGCNet, ModelConfig, UserError, segment
from igc.data import LABELS
from igc.data.images import read_image
from igc.data.label_images import label_image, overlay, save_image
from igc.figures import PART_COLOURS, label_picture

TINY = ModelConfig(size=32, width=8, channels=12, parts=3)


def test_the_largest_part_wins_where_at_least_half_is_face():
    parts = torch.tensor([[0.6, 0.0, 0.2, 0.3], [0.4, 0.0, 0.2, 0.3], [0.0, 1.0, 0.09, 0.31]])
    assert segment.masks_to_labels(parts[None, :, None]).tolist() == [[[1, 3, 0, 3]]]


def test_labels_have_the_documented_type_and_range():
    labels = segment.masks_to_labels(torch.rand(2, 5, 8, 8))
    assert labels.dtype == torch.int64 and labels.shape == (2, 8, 8)
    assert labels.min() >= 0 and labels.max() <= 5


def test_labels_of_images_are_those_of_the_output_in_any_chunks():
    model, images = IGCNet(TINY).eval(), torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        out = model(images)
    wanted = segment.masks_to_labels(out.view_parts) * (out.view_depth > 0)
    assert (segment.labels(model, images) == wanted).all()
    assert (segment.labels(model, images, chunk=2) == wanted).float().mean() > 0.999
    assert set(wanted.unique().tolist()) <= {0, 1, 2, 3} and len(wanted.unique()) > 1


def test_no_images_give_no_labels():
    labels = segment.labels(IGCNet(TINY), torch.zeros(0, 3, 32, 32))
    assert labels.shape == (0, 32, 32) and labels.dtype == torch.int64


def test_parts_take_the_names_of_what_they_overlap_best():
    truth = torch.zeros(2, 8, 8, dtype=torch.int64)
    truth[:, :4], truth[:, 4:6], truth[:, 6] = 1, 3, 4
    found = torch.zeros_like(truth)
    found[:, :3], found[:, 3:6], found[:, 6] = 2, 3, 1
    assert segment.name_parts(found, truth, 3) == ["lips", "forehead", "nose"]
    assert segment.name_parts(truth, truth, 4) == ["forehead", "part 2", "nose", "lips"]


def test_every_name_is_given_once_and_what_overlaps_nothing_has_none():
    truth = torch.ones(1, 4, 4, dtype=torch.int64)
    found = torch.tensor([1, 2]).repeat(8).reshape(1, 4, 4)
    names = segment.name_parts(found, truth, 3)
    assert sorted(names) == ["forehead", "part 2", "part 3"] or sorted(names) == [
        "forehead",
        "part 1",
        "part 3",
    ]
    assert segment.name_parts(torch.zeros_like(truth), truth, 2) == ["part 1", "part 2"]
    many = torch.arange(12).repeat(2, 1)[:, :, None] + 1
    assert len(segment.name_parts(many, many.clamp(max=9), 12)) == 12
    assert segment.name_parts(many, many.clamp(max=9), 12)[:8] == list(LABELS[1:9])


def test_a_label_image_holds_the_labels_and_shows_the_colours_of_the_parts(tmp_path):
    labels = torch.arange(9).repeat(9, 1)
    save_image(label_image(labels), tmp_path, Path("deep", "labels.png"))
    image = Image.open(tmp_path / "deep" / "labels.png")
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), labels.numpy())
    shown = np.asarray(image.convert("RGB"))[0]
    wanted = [bytes.fromhex(PART_COLOURS[part % 6][1:]) for part in range(8)]
    assert [bytes(colour) for colour in shown] == [b"\xff\xff\xff", *wanted]


def test_an_overlay_is_enlarged_and_leaves_the_background_as_it_is():
    labels = torch.zeros(100, 100, dtype=torch.int64)
    labels[50:] = 1
    shown = np.asarray(overlay(labels, torch.full((3, 100, 100), 0.2)))
    assert shown.shape == (300, 300, 3) and (shown[:150] == 51).all() and not (shown[150:] == 51).any()


def test_an_overlay_looks_as_the_figures_do():
    labels, image = torch.arange(8).repeat(64, 8), torch.rand(3, 64, 64)
    found, wanted = np.asarray(overlay(labels, image))[::4, ::4], 255 * label_picture(labels, image)
    np.testing.assert_allclose(found, wanted, atol=0.51)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of five pictures of three kinds in two folders, and one that is damaged."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("ann.jpg", "ann.png", "sub/bo b.png", "sub/ann.png", "sub/é.webp"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / name)
    (folder / "bad.png").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    IGCNet(TINY).save_pretrained(folder)
    return folder


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


WRITTEN = ("ann.png", "ann.png.png", "sub/ann.png", "sub/bo b.png", "sub/é.png")


def test_a_folder_is_segmented(pictures, model, tmp_path):
    before = files(pictures)
    with pytest.warns(UserWarning, match=r"1 skipped, 5 images in use.*bad\.png"):
        rows = segment.segment_folder(pictures, model, tmp_path / "out", ["a", "b", "c"])
    wanted = [f"{kind}/{name}" for kind in ("labels", "overlays") for name in WRITTEN]
    assert files(tmp_path) == sorted(["out/parts.csv", *(f"out/{name}" for name in wanted)])
    assert files(pictures) == before
    found = np.asarray(Image.open(tmp_path / "out/labels/sub/bo b.png"))
    image = read_image(pictures / "sub/bo b.png", 32)[None]
    np.testing.assert_array_equal(found, segment.labels(IGCNet.from_pretrained(model), image)[0].numpy())

    with open(tmp_path / "out/parts.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == segment.COLUMNS and len(table) == len(rows) == 15
    assert [row["name"] for row in table[:3]] == ["a", "b", "c"]
    assert {row["file"] for row in table} == {
        "ann.jpg",
        "ann.png",
        "sub/bo b.png",
        "sub/ann.png",
        "sub/é.webp",
    }
    for row in (row for row in table if row["file"] == "sub/bo b.png"):
        mask = found == int(row["part"])
        assert int(row["pixels"]) == mask.sum()
        assert float(row["share"]) == pytest.approx(mask.sum() / (found > 0).sum(), abs=1e-4)
        if mask.any():
            y, x = np.argwhere(mask).mean(axis=0) + 0.5
            assert (float(row["x"]), float(row["y"])) == pytest.approx((x, y), abs=0.01)
        else:
            assert row["x"] == row["y"] == ""


def test_the_command_does_the_same_and_reports_what_it_skips(pictures, model, tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = segment.segment_folder(pictures, IGCNet.from_pretrained(model), tmp_path / "a")
    arguments = [str(pictures), "--model", str(model), "--out", str(tmp_path / "b")]
    assert segment.main(arguments) == 0
    said = capsys.readouterr()
    assert said.out.startswith("5 images segmented") and "warning: " in said.err and "bad.png" in said.err
    assert [row["name"] for row in wanted[:3]] == ["part 1", "part 2", "part 3"]
    for name in files(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_names_come_from_the_user_or_from_the_embedded_faces(pictures, model, tmp_path):
    arguments = [str(pictures), "--model", str(model), "--out", str(tmp_path)]
    for options, known in (
        (["--names", "x,y,z"], {"x", "y", "z"}),
        (["--truth", "synthetic"], {*LABELS[1:]}),
    ):
        assert segment.main([*arguments, *options]) == 0
        with open(tmp_path / "parts.csv", newline="", encoding="utf-8") as file:
            names = {row["name"] for row in csv.DictReader(file)}
        assert names & known and names <= known | {"part 1", "part 2", "part 3"}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"--names": "a,b"}, "'names' has 2 names, but the model has 3 parts: give one for each."),
        ({"--model": "nowhere"}, "nowhere is not a model"),
        ({"folder": "missing"}, "The folder missing does not exist"),
        ({"--out": "INSIDE"}, "lies in the folder of the images: choose another folder."),
        ({"--out": "FILE"}, "cannot be written to"),
    ],
)
def test_bad_input_ends_with_one_sentence(pictures, model, tmp_path, capsys, change, message):
    (tmp_path / "file").touch()
    places = {"INSIDE": str(pictures / "out"), "FILE": str(tmp_path / "file")}
    options = {"folder": str(pictures), "--model": str(model), "--out": str(tmp_path / "out")}
    options |= {name: places.get(value, value) for name, value in change.items()}
    folder = options.pop("folder")
    assert segment.main([folder, *(word for pair in options.items() for word in pair)]) == 2
    said = capsys.readouterr().err
    *before, last = said.splitlines()
    assert last.startswith("error: ") and message in last
    assert all(line.startswith("warning: ") and "skipped" in line for line in before)
    assert files(tmp_path) == ["file"]


def test_a_table_that_cannot_be_written_ends_with_one_sentence(pictures, model, tmp_path, capsys):
    (tmp_path / "out" / "parts.csv").mkdir(parents=True)
    assert segment.main([str(pictures), "--model", str(model), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    *before, last = said.splitlines()
    assert last.startswith("error: ") and "parts.csv cannot be written" in last
    assert all(line.startswith("warning: ") and "skipped" in line for line in before)


def test_without_a_background_names_come_from_faces_that_fill_the_picture(pictures, tmp_path, monkeypatch):
    asked = []

    class Faces(segment.SyntheticFaces):
        def __init__(self, *given, frame):
            asked.append(frame)
            super().__init__(*given, frame=frame)

    monkeypatch.setattr(segment, "SyntheticFaces", Faces)
    for background in ("none", "border"):
        IGCNet(ModelConfig(**TINY.to_dict() | {"background": background})).save_pretrained(tmp_path / "model")
        given = [str(pictures), "--model", str(tmp_path / "model"), "--out", str(tmp_path / background)]
        assert segment.main([*given, "--truth", "synthetic"]) == 0
        shares = np.stack(
            [np.asarray(Image.open(tmp_path / background / "labels" / name)) for name in WRITTEN]
        )
        assert (shares > 0).all() == (background == "none"), "then all of a picture is face"
    assert asked == ["face", "head"]


def test_what_pillow_says_of_a_picture_is_passed_on(tmp_path, monkeypatch):
    def fail(*given):
        raise OSError("encoder error -2 when writing image file")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(UserError, match=r"cannot take a\.png \(encoder error -2 .*\): choose another"):
        save_image(label_image(torch.zeros(4, 4)), tmp_path, Path("a.png"))


def test_an_empty_folder_ends_with_a_sentence(model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        segment.segment_folder(tmp_path / "empty", model, tmp_path / "out")


def test_nothing_is_written_through_a_link_that_leads_out(pictures, model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "labels").symlink_to(tmp_path / "elsewhere")
    with warnings.catch_warnings(), pytest.raises(UserError, match=r"cannot take labels/ann\.png"):
        warnings.simplefilter("ignore")
        segment.segment_folder(pictures, model, tmp_path / "out")
    assert not files(tmp_path / "elsewhere")
