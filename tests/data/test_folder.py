"""A folder of photographs: what is read is read right, and every bad input ends in a sentence."""

import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from igc.data.folder import EmptySplit, ImageFolder, split_of
from igc.data.images import read_image
from igc.errors import UserError


def scene(width=40, height=40):
    """An RGB picture whose quarters are red, green / blue, white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = 255
    return Image.fromarray(pixels)


def corners(image):
    """The colours of the four corners, rounded: top left, top right, bottom left, bottom right."""
    return [tuple(image[:, y, x].round().int().tolist()) for y in (0, -1) for x in (0, -1)]


RED, GREEN, BLUE, WHITE = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)


@pytest.fixture
def faces(tmp_path):
    """A folder of twelve good images of different brightness, some in a subfolder."""
    folder = tmp_path / "faces"
    (folder / "more").mkdir(parents=True)
    for i in range(12):
        where = folder / "more" if i % 3 == 0 else folder
        Image.new("RGB", (32, 48), (20 * i, 10, 10)).save(where / f"{i:02d}.png")
    return folder


def refusal(*args, **kwargs):
    """The one sentence with which ImageFolder refuses its arguments."""
    with pytest.raises(UserError) as caught:
        ImageFolder(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_items_are_sorted_float_images_in_the_unit_range(faces):
    ds = ImageFolder(faces, size=32)
    assert len(ds) == 12 and ds.size == 32 and ds.skipped == []
    assert [p.name for p in ds.paths][-4:] == ["00.png", "03.png", "06.png", "09.png"]
    item = ds[0]["image"]
    assert item.shape == (3, 32, 32) and item.dtype == torch.float32
    assert torch.allclose(item[0], torch.tensor(20 / 255)), "01.png is the first"
    assert torch.equal(ds[-1]["image"], ds[11]["image"])
    with pytest.raises(IndexError):
        ds[12]
    assert len(list(ds)) == 12


@pytest.mark.parametrize("memory", [2**30, 0])
def test_batches_equal_items_whether_kept_or_decoded_again(faces, memory):
    ds = ImageFolder(faces, size=32, memory=memory)
    batch = ds.batch(torch.tensor([3, 0, 3]), truth=False)["image"]
    assert batch.shape == (3, 3, 32, 32)
    assert torch.equal(batch[0], batch[2]) and not torch.equal(batch[0], batch[1])
    assert torch.equal(batch[1], ImageFolder(faces, size=32)[0]["image"])
    assert ds.batch([])["image"].shape == (0, 3, 32, 32)


def test_hidden_files_and_other_files_are_passed_over(faces):
    (faces / ".hidden.jpg").write_text("no image")
    (faces / ".thumbs").mkdir()
    (faces / ".thumbs" / "a.jpg").write_text("no image")
    (faces / "notes.txt").write_text("no image")
    os.symlink(faces, faces / "more" / "loop")
    ds = ImageFolder(faces)
    assert len(ds) == 12 and ds.skipped == []


def test_splits_are_disjoint_complete_and_fixed_by_name(tmp_path):
    for i in range(60):
        Image.new("L", (16, 16), i).save(tmp_path / f"{i}.BMP")
    names = {s: set(ImageFolder(tmp_path, 16, split=s).names) for s in ("train", "test", "all")}
    assert names["train"] | names["test"] == names["all"] and len(names["all"]) == 60
    assert not names["train"] & names["test"] and 1 <= len(names["test"]) <= 15
    share = sum(split_of(f"{i:05d}.jpg") == "test" for i in range(5000)) / 5000
    assert abs(share - 0.1) < 0.015
    assert [split_of(n) for n in ("a.jpg", "b.jpg")] == ["train", "train"], "never change the hash"
    assert "does not exist" in refusal(tmp_path, split="validation")


def test_an_empty_split_says_so(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg")
    assert "split='all'" in refusal(tmp_path, split="test")
    with pytest.raises(EmptySplit):
        ImageFolder(tmp_path, 16, split="test")


def test_a_split_whose_images_are_all_damaged_is_not_empty(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg")
    named = next(f"{i}.jpg" for i in range(100) if split_of(f"{i}.jpg") == "test")
    (tmp_path / named).write_bytes(b"no image")
    with pytest.raises(UserError, match=rf"of the split test of .*\(1 tried\).*{named}") as caught:
        ImageFolder(tmp_path, 16, split="test")
    assert not isinstance(caught.value, EmptySplit)


def test_fingerprint_follows_the_files(faces):
    before = ImageFolder(faces).fingerprint()
    assert before == ImageFolder(faces, size=16, memory=0).fingerprint()
    assert before.startswith("faces-all-12-") and len(before) < 40
    Image.new("RGB", (99, 99), (1, 2, 3)).save(faces / "01.png")
    assert ImageFolder(faces).fingerprint() != before


def test_bad_images_among_good_ones_are_skipped_and_reported(faces):
    (faces / "text.jpg").write_text("this is not an image")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(faces / "whole.png")
    data = (faces / "whole.png").read_bytes()
    (faces / "cut.png").write_bytes(data[: len(data) // 2])
    (faces / "empty.webp").write_bytes(b"")
    Image.new("RGB", (7, 9)).save(faces / "tiny.png")
    (faces / "gone.jpg").symlink_to(faces / "nowhere.jpg")
    with pytest.warns(UserWarning, match="5 skipped, 13 images in use") as caught:
        ds = ImageFolder(faces, size=16)
    assert len(caught) == 1 and "\n" not in str(caught[0].message) and "cut.png" in str(caught[0].message)
    assert len(ds) == 13 and ds.batch(range(13))["image"].shape == (13, 3, 16, 16)
    reasons = {path.name: reason for path, reason in ds.skipped}
    assert set(reasons) == {"text.jpg", "cut.png", "empty.webp", "tiny.png", "gone.jpg"}
    assert all(name in reason and reason.endswith(".") for name, reason in reasons.items())
    assert "not an image" in reasons["text.jpg"] and "cut off" in reasons["cut.png"]
    assert "7 x 9" in reasons["tiny.png"] and "no such file" in reasons["gone.jpg"]
    first = ImageFolder(faces.parent / "faces" / "more", size=16)
    assert torch.equal(first[0]["image"], ds[ds.names.index("more/00.png")]["image"])


def test_the_images_after_a_skipped_one_keep_their_places(tmp_path):
    for name, grey in (("a", 10), ("c", 200)):
        Image.new("L", (16, 16), grey).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_text("no image")
    with pytest.warns(UserWarning):
        ds = ImageFolder(tmp_path, 16)
    assert (ds.batch([0, 1])["image"].mean((1, 2, 3)) * 255).round().tolist() == [10, 200]
    assert ds.names == ["a.png", "c.png"]


def test_folders_without_a_usable_image_are_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere")
    assert "holds no image" in refusal(tmp_path)
    file = tmp_path / "text.jpg"
    file.write_text("no image")
    assert "is a file" in refusal(file)
    text = refusal(tmp_path)
    assert "No image" in text and "text.jpg" in text


@pytest.mark.parametrize("size", [0, -16, 50, 64.0, "64", True, None])
def test_sizes_that_are_no_multiple_of_16_are_refused(faces, size):
    assert "multiple of 16" in refusal(faces, size=size)


def test_a_file_that_may_not_be_read_is_reported(faces, monkeypatch):
    real = Image.open

    def guarded(path, *args, **kwargs):
        if path.name == "04.png":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Image, "open", guarded)
    with pytest.warns(UserWarning, match=r"04\.png .*permissions"):
        assert len(ImageFolder(faces)) == 11


@pytest.mark.parametrize("limit", ["MAX_PIXELS", "Pillow"])
def test_an_enormous_image_is_refused_before_it_is_decoded(faces, monkeypatch, limit):
    if limit == "Pillow":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    else:
        monkeypatch.setattr("igc.data.images.MAX_PIXELS", 2000)
    Image.new("RGB", (200, 100)).save(faces / "huge.png")
    with pytest.warns(UserWarning, match="shrink") as caught:
        ds = ImageFolder(faces)
    assert len(ds) == 12 and len(caught) == 1


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb_of_the_right_brightness(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "I" else "a.png")
    if mode.startswith("I"):
        ramp = np.full((32, 32), 200 * 257, np.uint16 if mode == "I;16" else np.int32)
        Image.fromarray(ramp).save(path)
    else:
        grey = Image.new("RGB", (32, 32), (200, 200, 200))
        grey.convert(mode, dither=Image.Dither.NONE, palette=Image.Palette.ADAPTIVE).save(path)
    image = read_image(path, 16)
    expected = 255 if mode == "1" else 200
    assert image.shape == (3, 16, 16) and image.dtype == torch.float32
    assert torch.allclose(image, torch.tensor(expected / 255), atol=2.1 / 255)


def test_cmyk_float_and_animated_files_are_read(tmp_path):
    scene().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert corners(read_image(tmp_path / "a.jpg", 32)) == [RED, GREEN, BLUE, WHITE]
    Image.fromarray(np.full((32, 32), 0.5, np.float32)).save(tmp_path / "b.tiff")
    assert torch.allclose(read_image(tmp_path / "b.tiff", 16), torch.tensor(0.5), atol=0.01)
    frames = [Image.new("RGB", (32, 32), c) for c in ("red", "blue")]
    for name in ("c.webp", "c.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert corners(read_image(tmp_path / name, 16)) == [RED] * 4


def test_transparency_is_laid_over_mid_grey(tmp_path):
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 16, 32))
    clear.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 32)
    assert torch.allclose(image[:, 16, 2], torch.tensor([1.0, 0, 0]))
    assert torch.allclose(image[:, 16, -2], torch.tensor(128 / 255))
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([0, 255, 0, 1, 2, 3])
    palette.save(tmp_path / "b.png", transparency=0)
    assert torch.allclose(read_image(tmp_path / "b.png", 32), torch.tensor(128 / 255))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_rotation_is_applied(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by a quarter clockwise to show it
    turned = scene().transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / f"a.{suffix}", exif=exif)
    assert corners(read_image(tmp_path / f"a.{suffix}", 32)) == [RED, GREEN, BLUE, WHITE]


def test_a_broken_exif_block_does_not_lose_the_picture(tmp_path):
    scene().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\xff\xff", quality=95)
    assert corners(read_image(tmp_path / "a.jpg", 32)) == [RED, GREEN, BLUE, WHITE]


def test_the_centre_square_is_kept(tmp_path):
    wide = Image.new("RGB", (120, 40), "black")
    wide.paste(scene(), (40, 0))
    wide.save(tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png", 32), scaled(scene(), 32, tmp_path))
    wide.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.png")
    assert corners(read_image(tmp_path / "b.png", 32)) == [GREEN, WHITE, RED, BLUE]


def scaled(image, size, folder):
    image.save(folder / "square.png")
    return read_image(folder / "square.png", size)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_shrinking_averages_instead_of_picking(tmp_path, suffix):
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / f"a.{suffix}", quality=100)
    image = read_image(tmp_path / f"a.{suffix}", 16)
    assert torch.allclose(image, torch.tensor(0.5), atol=0.03)


def test_a_box_is_cut_in_pixels_of_the_upright_picture(tmp_path):
    path = tmp_path / "a.jpg"
    scene(80, 80).save(path, quality=95)
    assert corners(read_image(path, 16, box=(44, 4, 76, 36))) == [GREEN] * 4
    tensor = torch.tensor([44, 4, 76, 36])
    assert torch.equal(read_image(path, 16, box=tensor), read_image(path, 16, (44, 4, 76, 36)))
    assert corners(read_image(path, 16, box=(0, 32, 80, 48))) == [RED, GREEN, BLUE, WHITE], "centre square"


OUTSIDE = [(-1, 0, 30, 30), (0, 0, 41, 40), (30, 0, 10, 40), (0, 0, 10, 10)]


@pytest.mark.parametrize("box", [*OUTSIDE, (1, 2, 3), "face", (0, 0, float("nan"), 40)])
def test_boxes_that_do_not_fit_are_refused(tmp_path, box):
    scene().save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"(?s)box.*a\.png.*\(left, top, right, bottom\)"):
        read_image(tmp_path / "a.png", 16, box=box)


def test_one_image_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    for name in ("a.jpg", "nowhere.jpg", "."):
        with pytest.raises(UserError, match="cannot be used"):
            read_image(tmp_path / name)
    scene().save(tmp_path / "b.png")
    with pytest.raises(UserError, match="multiple of 16"):
        read_image(tmp_path / "b.png", 20)


def test_real_photographs(photographs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = ImageFolder(photographs, size=64, split="test")
    assert len(ds) > 0 and ds.skipped == []
    images = ds.batch(range(min(32, len(ds))))["image"]
    assert 0 <= images.min() and images.max() <= 1 and images.std() > 0.1
