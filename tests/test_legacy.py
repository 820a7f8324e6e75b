"""Weights of the checkpoint format before this one."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import igc
from igc import IGCNet
from igc.data import SyntheticFaces
from igc.errors import UserError
from igc.legacy import FormerNet
from igc.metrics import correlation, part_scores
from igc.pretrained import FORMAT, SHIPPED

NAME = "synthetic-64"
FRONT = tuple(range(1, 7))


@pytest.fixture(scope="module")
def model():
    return IGCNet.from_pretrained(NAME)


@pytest.fixture(scope="module")
def truth():
    return SyntheticFaces("test", 64).batch(range(64))


def test_the_shipped_model_is_of_the_format_before(model):
    described = json.loads((SHIPPED / NAME / "config.json").read_text())
    assert described["format"] == FORMAT - 1 == 6
    assert isinstance(model, FormerNet) and not model.training
    wanted = {name: value for name, value in described["model"].items() if name != "start"}
    assert wanted.items() <= model.config.to_dict().items() and model.config.background == "border"


def test_it_explains_faces(model, truth):
    found = igc.predict(model, truth["image"])
    assert correlation(found["pose"][:, 1], truth["pose"][:, 1]) > 0.95
    assert part_scores(found["labels"], truth["labels"], FRONT)["nmi"] > 0.5
    assert (found["image"] - truth["image"]).abs().mean() < 0.1


def test_nothing_is_moved_and_the_pose_is_the_mean_of_the_votes(model, truth):
    with torch.no_grad():
        out = model(truth["image"][:4])
    assert (out.shift == 0).all() and (out.place == 0).all()
    torch.testing.assert_close(out.pose, out.parts.pose.mean(dim=1))


def test_it_is_seen_from_other_sides_and_in_other_lights(model, truth):
    with torch.no_grad():
        out = model(truth["image"][:2])
        turned = igc.views.view(model, out, yaw=30, light_x=40)
    assert torch.isfinite(turned.image).all() and turned.alpha.mean() > 0.2
    assert (turned.image - out.image).abs().mean() > 0.01


@pytest.fixture
def copied(tmp_path):
    """A copy of the shipped model that may be broken."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(SHIPPED / NAME / name, tmp_path / name)
    return tmp_path


def refused(folder):
    with pytest.raises(UserError, match="train the model again") as caught:
        IGCNet.from_pretrained(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


@pytest.mark.parametrize("keep", [0, 100, -50])
def test_a_truncated_file_is_refused(copied, keep):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(copied)


@pytest.mark.parametrize("change", ["shape", "missing", "extra"])
def test_other_tensors_are_refused(copied, change):
    state = load_file(copied / "model.safetensors")
    if change == "shape":
        state["vote.weight"] = torch.zeros(2, 2)
    elif change == "missing":
        del state["common_depth"]
    else:
        state["other"] = torch.zeros(1)
    save_file(state, copied / "model.safetensors")
    refused(copied)


@pytest.mark.parametrize("wrong", [None, [1], "big", {"size": "big"}, {"x": 1}, {"background": "none"}, {}])
def test_a_description_without_sense_is_refused(copied, wrong):
    described = {"format": 6, "model": wrong}
    if isinstance(wrong, dict) and wrong:
        described["model"] = json.loads((copied / "config.json").read_text())["model"] | wrong
    elif wrong == {}:
        del described["model"]
    (copied / "config.json").write_text(json.dumps(described))
    refused(copied)
