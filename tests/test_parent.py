"""A run that starts from a model that is there already."""

import hashlib
import json
import signal

import pytest
import torch
from safetensors.torch import load_file

from igc import IGCNet, ModelConfig, TrainConfig, fit, runs, train, training
from igc.data import SyntheticFaces
from igc.errors import UserError
from igc.legacy import FormerNet
from igc.parent import config_like
from igc.train import main
from igc.training import Training

TINY = ModelConfig(size=32, width=8, channels=12)
CONFIG = TrainConfig(epochs=2, batch_size=8, learning_rate=3e-3, picture_epochs=100, warmup=1000)


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces("train", 32, 32)


@pytest.fixture(scope="module")
def parent(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "parent"
    fit(faces, TINY, TrainConfig(epochs=8, batch_size=8, learning_rate=3e-3, ema=0.5), folder)
    return folder


def first_loss(faces, folder, **more):
    run = Training(faces, TINY, CONFIG, folder, **more)
    return run.step(next(run.feed.batches(0))).item()


def loss_of(model, faces):
    """The loss of a model on the first batch of the run, with faces that may differ."""
    torch.manual_seed(0)
    objective = training.Objective(model, CONFIG).train()
    images = next(training.Feed(faces, CONFIG, "cpu").batches(0))
    return sum(objective(images)[0].values()).item()


def test_a_run_starts_at_its_parents_loss(faces, parent, tmp_path):
    known = loss_of(IGCNet.from_pretrained(parent), faces)
    begun, fresh = first_loss(faces, tmp_path / "a", init=parent), first_loss(faces, tmp_path / "b")
    assert begun == pytest.approx(known, abs=0.02) and begun < fresh - 0.2


def test_model_and_average_start_as_the_parent(faces, parent, tmp_path):
    run, known = Training(faces, TINY, CONFIG, tmp_path, init=parent), load_file(parent / "model.safetensors")
    state, average = run.model.state_dict(), run.average.module.state_dict()
    assert all(torch.equal(state[k], v) and torch.equal(average[k], v) for k, v in known.items())


def test_a_run_from_a_parent_goes_on_as_if_nothing_had_happened(faces, parent, tmp_path, monkeypatch):
    record = fit(faces, TINY, CONFIG, tmp_path / "whole", init=parent)
    digest = hashlib.sha256((parent / "model.safetensors").read_bytes()).hexdigest()
    assert record["init"] == {"name": "parent", "sha256": digest}
    assert json.loads((tmp_path / "whole" / "record.json").read_text())["init"] == record["init"]

    def press(model, step):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(training, "PREVIEW", 3)
        with pytest.raises(KeyboardInterrupt, match="goes on"):
            fit(faces, TINY, CONFIG, tmp_path / "stopped", preview=press, init=parent)
    fit(faces, TINY, CONFIG, tmp_path / "stopped", init=parent)
    assert not (tmp_path / "stopped" / "before-1").exists()
    ends = [load_file(runs.states(tmp_path / name)[0]) for name in ("whole", "stopped")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_run_without_the_parent_is_another_one(faces, parent, tmp_path):
    config = TrainConfig(**CONFIG.to_dict() | {"epochs": 1})
    fit(faces, TINY, config, tmp_path, init=parent)
    assert "init" not in fit(faces, TINY, config, tmp_path)
    assert (tmp_path / "before-1" / "state").is_dir()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"parts": 4}, "parts=6, this run asks for 4: choose parts=6"),
        ({"symmetric_shape": False}, "symmetric_shape=True, this run asks for False"),
        ({"background": "none"}, "background='border', this run asks for 'none'"),
    ],
)
def test_a_parent_of_another_configuration_is_refused(faces, parent, tmp_path, other, named):
    with pytest.raises(UserError, match=rf"^the model in .*parent was made with {named}"):
        fit(faces, ModelConfig(**TINY.to_dict() | other), CONFIG, tmp_path, init=parent)
    assert not runs.states(tmp_path)


def test_a_parent_that_is_none_or_the_run_itself_is_refused(faces, parent, tmp_path):
    with pytest.raises(UserError, match="no-model is not a model"):
        fit(faces, TINY, CONFIG, tmp_path, init="no-model")
    for own in (parent, parent / "best"):
        with pytest.raises(UserError, match=r"'init' .* the run's own folder.*choose another 'out'"):
            fit(faces, TINY, CONFIG, parent, init=own)


def test_a_parent_of_a_former_format_is_refused(faces, tmp_path):
    FormerNet(TINY).save_pretrained(tmp_path / "former")
    described = {"format": 6, "model": TINY.to_dict() | {"start": "face"}}
    del described["model"]["background"]
    (tmp_path / "former" / "config.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match="of a former format, which cannot train: leave out 'init'"):
        fit(faces, TINY, CONFIG, tmp_path / "run", init=tmp_path / "former")
    assert not runs.states(tmp_path / "run")


def test_what_is_not_given_is_as_in_the_parent(parent):
    assert config_like(parent, {}) == TINY and config_like(None, {}) == ModelConfig()
    assert config_like(parent, {"parts": 4}).parts == 4


def test_on_faces_a_run_has_its_parents_background(parent, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(train, "fit", lambda *given, **more: asked.append(given[1]) or {"final": {}})
    options = ["--images", "16", "--frame", "face", "--init", str(parent)]
    for more in ([], ["--background", "none"]):
        assert main(["--out", str(tmp_path), *options, *more]) == 0
    assert [config.background for config in asked] == ["border", "none"]


def test_the_command_takes_the_parents_settings_and_refuses_others(parent, tmp_path, capsys):
    options = ["--images", "16", "--epochs", "1", "--batch-size", "16", "--init", str(parent)]
    assert main(["--out", str(tmp_path / "a"), *options]) == 0
    assert IGCNet.from_pretrained(tmp_path / "a").config == TINY
    assert json.loads((tmp_path / "a" / "record.json").read_text())["init"]["name"] == "parent"
    capsys.readouterr()
    assert main(["--out", str(tmp_path / "b"), *options, "--channels", "16"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith(
        "was made with channels=12, this run asks for 16: choose channels=12, or another 'init'."
    )
