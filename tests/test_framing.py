"""Whether faces fill their frames: crops are found out, and whole heads are not taken for crops."""

import os
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn.functional import interpolate

from igc import ModelConfig, TrainConfig, fit
from igc.data import ImageFolder, SyntheticFaces, read_images
from igc.framing import FILLED, LOOKED_AT, fills_the_frame, of_the_face, warn_if_filled

CROPS, HEADS = ("tight", "portraits-face"), ("portraits", "ict-faces", "photo-faces")
"""Folders of photographs within the one that IGC_FACES names, if there are such."""


@cache
def heads(background="plain", size=32):
    return read_images(SyntheticFaces("train", 32, size, background=background))


def crops():
    """The middle of drawn heads, two fifths of the width."""
    return heads(size=80)[:, :, 24:56, 24:56]


class Held:
    """A data set of images that are at hand."""

    def __init__(self, images):
        self.images, self.size = images, images.shape[-1]

    def __len__(self):
        return len(self.images)

    def fingerprint(self):
        return "held"

    def batch(self, indices, truth=True):
        return {"image": self.images[torch.as_tensor(indices)].float() / 255}


def said(work):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return [str(warning.message) for warning in caught if "filled the frame" in str(warning.message)]


@pytest.mark.parametrize("background", ["plain", "clutter"])
def test_whole_heads_do_not_fill_the_frame(background):
    images = heads(background)
    assert not fills_the_frame(images) and of_the_face(images).median() < FILLED / 2
    assert not said(lambda: warn_if_filled(images))


def test_crops_fill_the_frame_whatever_the_size_of_the_pictures():
    images = crops()
    assert fills_the_frame(images) and of_the_face(images).median() > 2 * FILLED
    assert fills_the_frame(interpolate(images.float(), size=96, mode="nearest").to(torch.uint8))
    (sentence,) = said(lambda: warn_if_filled(images))
    assert "background='none'" in sentence and "--background none" in sentence


def test_a_few_crops_among_whole_heads_do_not_count():
    assert not fills_the_frame(torch.cat((heads(), crops()[:20])))
    assert fills_the_frame(torch.cat((heads()[:20], crops())))


def test_skin_of_any_colour_counts():
    assert fills_the_frame(crops().roll(1, dims=1)) and not fills_the_frame(heads().roll(1, dims=1))


def test_grey_pictures_do_not_tell_and_no_picture_is_no_crop():
    grey = crops()[:, :1].expand(-1, 3, -1, -1)
    assert not fills_the_frame(grey) and not fills_the_frame(crops()[:0])


@pytest.mark.parametrize("memory", [2.0, 0.0])
def test_a_run_on_crops_warns_once_and_one_that_goes_on_does_not(tmp_path, memory):
    model, settings = ModelConfig(size=32, width=8, channels=12), {"epochs": 1, "batch_size": 32}

    def run():
        fit(Held(crops()), model, TrainConfig(**settings, memory=memory), tmp_path)

    assert len(said(run)) == 1 and not said(run)


def test_a_run_on_whole_heads_does_not_warn(tmp_path):
    model = ModelConfig(size=32, width=8, channels=12)
    assert not said(lambda: fit(Held(heads()), model, TrainConfig(epochs=1, batch_size=32), tmp_path))


@pytest.mark.parametrize("name", [*CROPS, *HEADS])
def test_photographs_are_told_apart_as_well(name):
    folder = Path(os.environ.get("IGC_FACES", "")) / name
    if "IGC_FACES" not in os.environ or not folder.is_dir():
        pytest.skip("IGC_FACES names no folder with such photographs")
    images = read_images(ImageFolder(folder))
    assert fills_the_frame(images[:LOOKED_AT]) == (name in CROPS)
    for _ in range(20):
        few = images[torch.randperm(len(images))[:32]]
        assert fills_the_frame(few) == (name in CROPS), of_the_face(few).median()
