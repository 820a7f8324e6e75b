"""The commands under `benchmarks` that draw, time and train run on today's model, at tiny sizes."""

import json
import shutil
from functools import partial

import pytest
import torch
from PIL import Image

from benchmarks import card, landing, pictures, step, time_to_quality, train, upside_down
from igc import IGCNet, ModelConfig
from igc.data import SyntheticFaces
from igc.raster import rasterize

TINY = {"size": 32, "width": 8, "channels": 12, "parts": 3}


@pytest.fixture(params=["border", "none"])
def saved(request, tmp_path):
    """A folder with an untrained model, and which frame its faces have."""
    IGCNet(ModelConfig(**TINY, background=request.param)).save_pretrained(tmp_path / "model")
    return str(tmp_path / "model"), {"border": "head", "none": "face"}[request.param]


@pytest.mark.parametrize("command", [pictures, landing])
def test_pictures_are_drawn_of_what_the_model_knows(saved, tmp_path, monkeypatch, capsys, command):
    model, frame = saved
    asked, target = [], tmp_path / "drawn.png"

    def faces(*given, **options):
        asked.append(options)
        return SyntheticFaces(*given, **options)

    monkeypatch.setattr(command, "SyntheticFaces", faces)
    monkeypatch.setattr(command, "TARGET", target)
    monkeypatch.setattr("sys.argv", ["command", model])
    command.main()
    assert asked == [{"frame": frame}] and str(target) in capsys.readouterr().out
    if command is pictures:
        with Image.open(target) as image:
            assert image.width > 1000
    else:
        assert target.read_text().count('class="igc-view"') == 1


def test_the_card_is_written_from_the_record(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(card.FOLDER, folder)
    kept = (folder / "README.md").read_text()
    monkeypatch.setattr(card, "FOLDER", folder)
    (folder / "README.md").unlink()
    card.main()
    assert (folder / "README.md").read_text().split() == kept.split()


def test_the_straightforward_network_says_what_ours_says(monkeypatch):
    """One part after the other, on a rasteriser that is told apart here by its name alone."""
    asked = []

    def stand_in(pixels, size, mask=None, backend="auto"):
        asked.append(backend)
        return rasterize(pixels, size, mask)

    monkeypatch.setattr(train, "rasterize", stand_in)
    config = ModelConfig(**TINY, outlines=False)
    ours, other = IGCNet(config).eval(), train.Straightforward(config).eval()
    other.load_state_dict({_renamed(name): value for name, value in ours.state_dict().items()})
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        found, wanted = other(images), ours(images)
    assert asked == ["pytorch3d"]
    for name in ("depth", "albedo", "support", "shift", "image", "view_parts"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), atol=1e-5, rtol=1e-5)


def _renamed(name):
    """Of a weight, where decoders lie within `OnePart`."""
    first, dot, rest = name.partition(".")
    return f"{first}.decoder{dot}{rest}" if first.endswith("_decoder") else name


@pytest.mark.parametrize("row", ["ours", "Unsup3D, our rasteriser"])
def test_a_row_of_the_step_is_measured(monkeypatch, row):
    monkeypatch.setattr(train, "SECONDS", {"cpu": 0.0})
    monkeypatch.setattr(train, "ModelConfig", partial(ModelConfig, width=8))
    found = train.measure(row, 32 if row == "ours" else 64, 2, 3, "cpu", "float32")
    assert found["images_per_second"] > 0 and found["steps"] == 3


def test_where_the_time_of_a_step_goes_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(step, "BATCH", 2)
    monkeypatch.setattr(step, "REPEATS", 1)
    monkeypatch.setattr(step, "ModelConfig", partial(ModelConfig, **TINY))
    monkeypatch.setattr(step, "SyntheticFaces", partial(SyntheticFaces, size=32))
    step.main()
    said = capsys.readouterr().out.splitlines()
    rows = ["encode", "rasterise", "forward", "whole"]
    assert [line.split()[0] for line in said[1:]] == rows


def test_a_run_is_looked_at_while_it_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(time_to_quality, "IMAGES", 32)
    monkeypatch.setattr(time_to_quality, "EVERY", 1)
    monkeypatch.setattr(time_to_quality, "FACES", 16)
    monkeypatch.setattr("igc.training.PREVIEW", 1)  # as it is put back afterwards
    monkeypatch.setattr(time_to_quality, "ModelConfig", partial(ModelConfig, **TINY))
    monkeypatch.setattr(time_to_quality, "SyntheticFaces", partial(SyntheticFaces, size=32))
    monkeypatch.setattr("sys.argv", ["command", "--epochs", "1", "--out", str(tmp_path / "record.json")])
    time_to_quality.main()
    record = json.loads((tmp_path / "record.json").read_text())
    assert [row["step"] for row in record["looks"]] == [1, 2] and len(record["seconds_until"]) == 2
    assert all(set(time_to_quality.SHOWN) < set(row) for row in record["looks"])


def test_faces_are_learned_upright_and_upside_down(tmp_path, monkeypatch, capsys):
    """With the same weights and order, the cells turned; and not again."""
    starts = []

    class Seen(upside_down.Training):
        def run(self, stop):
            layout, vote = self.model.layout.logits.clone(), self.model.vote.weight.clone()
            starts.append((layout, vote, next(self.feed.batches(0))))
            super().run(stop)

    monkeypatch.setattr(upside_down, "Training", Seen)
    monkeypatch.setattr(upside_down, "ModelConfig", partial(ModelConfig, **TINY))
    upside_down.ModelConfig.size = 32
    for name, value in {"IMAGES": 16, "EPOCHS": 1, "FACES": 24, "SEEDS": (3, 4)}.items():
        monkeypatch.setattr(upside_down, name, value)
    monkeypatch.setattr(upside_down, "SyntheticFaces", partial(SyntheticFaces, size=32))
    monkeypatch.setattr(upside_down, "RUNS", tmp_path / "runs")
    monkeypatch.setattr("sys.argv", ["command", "--out", str(tmp_path / "records")])
    upside_down.main()
    upside_down.main()
    (cells, weight, images), (turned, same, around) = starts[:2]
    assert len(starts) == 4 and torch.equal(weight, same)
    assert torch.equal(turned, cells.flip(-2)) and not torch.equal(turned, cells)
    torch.testing.assert_close(images, around.flip(-1, -2), atol=0.01, rtol=0)
    rows = [json.loads(path.read_text()) for path in (tmp_path / "records").iterdir()]
    apart = [row["figures"]["nmi"] * (1 if row["way"] == "upright" else -1) for row in rows]
    assert len(rows) == 4 and f"{sum(apart) / 2:+.3f}" in capsys.readouterr().out
