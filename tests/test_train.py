"""Training: a run's folder, going on after an interruption, and what is refused."""

import csv
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from igc import IGCNet, ModelConfig, TrainConfig, fit, train, training
from igc.data import ImageFolder, SyntheticFaces, read_images
from igc.errors import UserError
from igc.mixture import Mixture
from igc.train import main

TINY = ModelConfig(size=32, width=8, channels=12)
QUICK = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3}
OPTIONS = ["--size", "32", "--width", "8", "--channels", "12", "--epochs", "1", "--batch-size", "16"]


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces("train", 64, 32)


@pytest.fixture(scope="module")
def few():
    return SyntheticFaces("train", 16, 32)


@pytest.fixture(scope="module")
def run(faces, tmp_path_factory):
    """An undisturbed run: its folder and its record."""
    folder = tmp_path_factory.mktemp("run") / "a" / "new" / "folder"
    return folder, fit(faces, TINY, TrainConfig(**QUICK), folder)


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def lines(folder):
    """The lines of history.csv without what depends on the clock."""
    with (folder / "history.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]


def test_the_loss_goes_down(run):
    first, last = run[1]["history"]
    assert last["loss"] < first["loss"] - 0.05 and last["reconstruct"] < first["reconstruct"]


def test_a_run_is_a_folder_with_these_files(run):
    names = {path.name for path in run[0].iterdir()}
    assert {"model.safetensors", "config.json", "history.csv", "record.json", "train.json"} <= names
    assert not [name for name in names if name.endswith(".part")]


def test_the_record_says_what_is_needed_to_repeat_the_run(run, faces):
    folder, record = run
    assert json.loads((folder / "record.json").read_text()) == record
    assert record["model"] == TINY.to_dict() and record["train"] == TrainConfig(**QUICK).to_dict()
    assert record["data"] == faces.fingerprint() and record["images"] == 64
    assert record["final"] == record["history"][-1] and record["versions"]["torch"] == torch.__version__
    assert TrainConfig.load(folder / "train.json") == TrainConfig(**QUICK)


def test_the_history_has_a_line_an_epoch(run):
    folder, record = run
    assert [line["epoch"] for line in lines(folder)] == ["1", "2"]
    assert [float(line["loss"]) for line in lines(folder)] == [row["loss"] for row in record["history"]]
    for row in record["history"]:
        terms = set(row) - {"epoch", "seconds", "images_per_second", "loss"}
        assert sum(row[name] for name in terms) == pytest.approx(row["loss"], abs=1e-3)
        assert row["seconds"] > 0 and row["images_per_second"] > 0


def test_the_model_can_be_loaded(run):
    model = IGCNet.from_pretrained(run[0])
    assert model.config == TINY and model(torch.rand(1, 3, 32, 32)).image.shape == (1, 3, 32, 32)


def test_the_same_settings_give_the_same_weights(run, faces, tmp_path):
    torch.rand(3)  # whatever was drawn before
    fit(faces, TINY, TrainConfig(**QUICK), tmp_path)
    assert_same_weights(run[0], tmp_path)


def interrupt(monkeypatch, epoch):
    """Lets training break off at the start of the given epoch, counted from 0."""
    original = training.Training.epoch

    def stop(run, *others):
        if run.progress.epoch == epoch:
            raise KeyboardInterrupt
        return original(run, *others)

    monkeypatch.setattr(training.Training, "epoch", stop)


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(run, faces, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            fit(faces, TINY, TrainConfig(**QUICK), tmp_path)
    assert IGCNet.from_pretrained(tmp_path).config == TINY, "the first epoch's model is there"
    assert len(lines(tmp_path)) == 1 and not (tmp_path / "record.json").exists()
    epochs = []
    original = training.Training.epoch
    monkeypatch.setattr(
        training.Training, "epoch", lambda *given: epochs.append(given[0].progress.epoch) or original(*given)
    )
    record = fit(faces, TINY, TrainConfig(**QUICK), tmp_path)
    assert epochs == [1], "the first epoch is not run again"
    assert_same_weights(run[0], tmp_path)
    assert lines(tmp_path) == lines(run[0])
    assert [row["loss"] for row in record["history"]] == [row["loss"] for row in run[1]["history"]]


def test_a_finished_run_is_not_run_again(few, tmp_path, monkeypatch):
    fit(few, TINY, TrainConfig(**QUICK), tmp_path)
    before = weights(tmp_path)
    interrupt(monkeypatch, 0)
    assert fit(few, TINY, TrainConfig(**QUICK), tmp_path)["final"]["epoch"] == 2
    assert all(torch.equal(before[name], value) for name, value in weights(tmp_path).items())


@pytest.mark.parametrize("change", ["train", "model", "data"])
def test_other_settings_start_anew_and_the_old_run_is_kept(few, tmp_path, monkeypatch, capsys, change):
    model = ModelConfig(**TINY.to_dict() | {"sharpness": 300.0}) if change == "model" else TINY
    config = TrainConfig(**QUICK | {"seed": 5}) if change == "train" else TrainConfig(**QUICK)
    data = SyntheticFaces("train", 16, 32, seed=1) if change == "data" else few
    interrupt(monkeypatch, 1)
    for out, before in ((tmp_path / "used", True), (tmp_path / "fresh", False)):
        if before:
            with pytest.raises(KeyboardInterrupt):
                fit(few, TINY, TrainConfig(**QUICK), out)
        with pytest.raises(KeyboardInterrupt):
            fit(data, model, config, out)
    assert_same_weights(tmp_path / "used", tmp_path / "fresh")
    assert lines(tmp_path / "used") == lines(tmp_path / "fresh") and len(lines(tmp_path / "used")) == 1
    kept = tmp_path / "used" / "before-1"
    said = [line for line in capsys.readouterr().out.splitlines() if "other settings" in line]
    assert len(said) == 1 and said[0].endswith(f"its files were moved to {kept}.")
    with pytest.raises(KeyboardInterrupt):
        fit(few, TINY, TrainConfig(**QUICK), tmp_path / "as before")
    assert_same_weights(kept, tmp_path / "as before")
    assert lines(kept) == lines(tmp_path / "as before") and TrainConfig.load(kept / "train.json").seed == 0
    assert {path.name for path in kept.iterdir()} >= {"state", "config.json"}
    assert len(list(kept.glob("events.out.tfevents.*"))) == 1
    with pytest.raises(KeyboardInterrupt):  # and it goes on from where it was moved to
        fit(few, TINY, TrainConfig(**QUICK), kept)
    assert not (kept / "before-1").exists()


def test_images_of_another_size_are_refused(faces, tmp_path):
    with pytest.raises(UserError, match=r"32 pixels.*48"):
        fit(faces, ModelConfig(size=48, width=8, channels=12), TrainConfig(**QUICK), tmp_path)


def test_too_few_images_are_refused(faces, tmp_path):
    with pytest.raises(UserError, match=r"batch_size.*65.*64"):
        fit(faces, TINY, TrainConfig(batch_size=65), tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(faces, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*choose another"):
        fit(faces, TINY, TrainConfig(**QUICK), tmp_path / "file" / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(faces, tmp_path):
    with pytest.raises(UserError, match="cuda"):
        fit(faces, TINY, TrainConfig(device="cuda", **QUICK), tmp_path)
    assert training.choose_device("auto") == training.choose_device("cpu") == "cpu"


def test_the_order_is_another_one_in_every_epoch_and_with_every_seed(few, tmp_path, monkeypatch):
    orders = []
    monkeypatch.setattr(training.Training, "shown", lambda run: run.model)  # which would look at some images
    original = torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda *a, **k: orders.append(original(*a, **k)) or orders[-1])
    for seed in (0, 1, 0):
        settings = {"epochs": 2, "batch_size": 16, "seed": seed}
        fit(few, TINY, TrainConfig(**settings), tmp_path / f"{len(orders)}")
    orders = [tuple(order.tolist()) for order in orders if len(order) == 16]
    assert len(orders) == 6 and all(sorted(order) == list(range(16)) for order in orders)
    assert orders[:2] == orders[4:] and len(set(orders)) == 4


def test_images_are_read_as_bytes(faces):
    images = read_images(faces)
    assert images.shape == (64, 3, 32, 32) and images.dtype == torch.uint8
    wanted = faces.batch(range(48, 56))["image"]
    assert ((images[48:56].float() / 255 - wanted).abs() <= 0.5 / 255 + 1e-6).all()


def photographs(folder, count=20):
    for i in range(count):
        pixels = (torch.rand(40, 36, 3, generator=torch.Generator().manual_seed(i)) * 255).byte().numpy()
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")


def test_parts_are_looked_for_as_soon_as_colours_are_known_and_again(few, tmp_path, monkeypatch):
    steps, searches = [], []
    monkeypatch.setattr(Mixture, "search", lambda self, seed: searches.append((len(steps), seed)))
    monkeypatch.setattr(Mixture, "update", lambda self, *found: steps.append(found))
    fit(few, TINY, TrainConfig(epochs=5, batch_size=8, seed=3), tmp_path / "run")
    assert len(steps) == 10 and searches == [(4, 3), (6, 3), (8, 3)]


def test_a_folder_of_pictures_can_be_trained_on(tmp_path):
    (tmp_path / "pictures").mkdir()
    photographs(tmp_path / "pictures")
    record = fit(
        ImageFolder(tmp_path / "pictures", 32), TINY, TrainConfig(epochs=1, batch_size=8), tmp_path / "run"
    )
    assert record["images"] == 20 and record["final"]["epoch"] == 1


def test_the_command_trains_on_a_folder(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    photographs(tmp_path / "pictures", 24)
    out = tmp_path / "run"
    assert (
        main(["--data", str(tmp_path / "pictures"), "--out", str(out), *OPTIONS, "--confidence", "false"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["epoch"] == 1
    assert TrainConfig.load(out / "train.json").confidence is False
    assert IGCNet.from_pretrained(out).config == TINY


def test_the_command_says_what_it_warns_of_in_a_line_each(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    photographs(tmp_path / "pictures", 24)
    (tmp_path / "pictures" / "broken.jpg").write_bytes(b"no image")
    given = ["--data", str(tmp_path / "pictures"), "--out", str(tmp_path / "run"), *OPTIONS]
    assert main(given) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert len(said) == 1 and said[0].startswith("warning: ") and "broken.jpg" in said[0]


def test_the_command_trains_on_embedded_faces(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--images", "16", *OPTIONS]) == 0
    assert json.loads((tmp_path / "record.json").read_text())["images"] == 16


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--data", "no-such-folder"], "no-such-folder"), (["--size", "40"], "size"),
        (["--epochs", "0"], "epochs"), (["--images", "8"], "batch_size"), (["--images", "0"], "count"),
        (["--learning-rate", "nan"], "learning_rate"), (["--device", "tpu"], "device"),
        (["--parts", "99"], "parts"), (["--accumulate", "2"], "accumulate"),
    ],
)  # fmt: skip
def test_the_command_refuses_bad_input_in_one_sentence(tmp_path, capsys, options, named):
    assert main(["--out", str(tmp_path), "--images", "16", *OPTIONS, *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert named in printed.err


@pytest.mark.parametrize("options", [["--epochs", "many"], ["--unknown", "1"], ["--confidence", "perhaps"]])
def test_options_that_cannot_be_read_show_the_usage(tmp_path, capsys, options):
    with pytest.raises(SystemExit) as caught:
        main(["--out", str(tmp_path), *options])
    assert caught.value.code == 2 and options[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "background"),
    [
        ([], "border"), (["--frame", "head"], "border"), (["--frame", "face"], "none"),
        (["--frame", "face", "--background", "border"], "border"), (["--background", "none"], "none"),
    ],
)  # fmt: skip
def test_a_face_is_trained_on_without_a_background_unless_told(tmp_path, monkeypatch, options, background):
    asked = []
    monkeypatch.setattr(train, "fit", lambda *given, **more: asked.append(given) or {"final": {}})
    assert main(["--out", str(tmp_path), "--images", "16", *OPTIONS, *options]) == 0
    ((faces, config, *_),) = asked
    assert config.background == background
    assert faces.frame == ("face" if "face" in options else "head")


def test_the_command_trains_without_a_background(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--images", "16", *OPTIONS, "--frame", "face"]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["model"]["background"] == "none" and "/face" in record["data"]
    assert not {"silhouette", "fill"} & set(record["final"])
    assert IGCNet.from_pretrained(tmp_path)(torch.rand(1, 3, 32, 32)).support is None


def test_an_output_folder_must_be_named(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "--out" in capsys.readouterr().err
