"""The records of the ablations: read, put side by side, shown."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from benchmarks import ablations as bench
from benchmarks.ablations import VARIANTS
from igc import ablations
from igc.config import ModelConfig, TrainConfig
from igc.data import SyntheticFaces
from igc.errors import UserError
from igc.pretrained import FORMAT


@pytest.fixture
def records(tmp_path):
    """Five whole runs, three that are clearly worse in NMI, one that is not."""
    runs = {"full": (0.50, 0.51, 0.52, 0.53, 0.54), "no mirror": (0.40, 0.41, 0.45), "4 parts": (0.52,)}
    for order, (variant, scores) in enumerate(runs.items()):
        for seed, nmi in enumerate(scores):
            row = {"variant": variant, "order": order, "seed": seed, "figures": {"nmi": nmi, "side": 0.5}}
            (tmp_path / f"{variant}-{seed}.json".replace(" ", "_")).write_text(json.dumps(row))
    return tmp_path


def test_records_are_read_in_order(records):
    found = ablations.load(records)
    assert list(found) == ["full", "no mirror", "4 parts"]
    assert [run["seed"] for run in found["full"]] == [0, 1, 2, 3, 4]


def test_without_records_of_the_whole_model_the_command_is_named(tmp_path):
    with pytest.raises(UserError, match=r"python -m benchmarks\.ablations"):
        ablations.load(tmp_path)


def test_the_table_marks_what_lies_outside_of_the_whole_models_span(records):
    lines = ablations.table(ablations.load(records), {"nmi": 3, "side": 2}).splitlines()
    assert lines[0].split() == ["runs", "nmi", "side"]
    assert lines[1].split() == ["full", "5", "0.520", "±0.016", "0.50", "±0.00"]
    assert lines[2].split() == ["no", "mirror", "3", "0.420", "±0.026*", "0.50", "±0.00"]
    assert lines[3].split() == ["4", "parts", "1", "0.520", "0.50"], "one run has no spread"


def test_without_a_span_nothing_is_marked(records):
    for seed in (2, 3, 4):
        (records / f"full-{seed}.json").unlink()
    assert "*" not in ablations.table(ablations.load(records), {"nmi": 3})


def test_every_run_is_a_dot(records):
    figure = ablations.dots(ablations.load(records), {"nmi": "NMI", "side": "SIDE"})
    left = figure.axes[0]
    assert [len(line.get_xdata()) for line in left.lines] == [5, 3, 1]
    np.testing.assert_allclose(left.lines[1].get_xdata(), [0.40, 0.41, 0.45])
    assert [label.get_text() for label in left.get_yticklabels()] == ["full", "no mirror", "4 parts"]


def test_pictures_are_shown_and_a_missing_one_is_named(tmp_path):
    Image.new("RGB", (12 * 8, 8)).save(tmp_path / "no_mirror.png")
    figure = ablations.strips(tmp_path, ["no mirror"])
    assert len(figure.axes) == 1 and len(figure.axes[0].get_xticks()) == 12
    with pytest.raises(UserError, match=r"4_parts\.png is missing"):
        ablations.strips(tmp_path, ["no mirror", "4 parts"])


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_change_what_they_say(name):
    seeds, model, train = VARIANTS[name]
    changed = ModelConfig(**model) != ModelConfig(), TrainConfig(**train) != TrainConfig()
    assert 1 <= seeds <= 5 and changed == (bool(model), bool(train))
    assert (name == "full") != any(changed)


def test_every_term_is_left_out_once_but_the_contrastive_one():
    terms = {"mirror", "contrast", "smooth", "deformation", "silhouette", "fill"}
    changes = [train for _, _, train in VARIANTS.values()]
    assert terms <= {field.name for field in dataclasses.fields(TrainConfig)}
    for term in terms - {"contrast"}:
        assert {term: 0.0} in changes, term
    assert TrainConfig().contrast == 0 and {"contrast": 0.1} in changes


def test_records_of_models_of_two_formats_are_not_mixed(records):
    assert list(ablations.load(records)) == ["full", "no mirror", "4 parts"], "such as do not tell are of one"
    row = json.loads((records / "4_parts-0.json").read_text())
    (records / "4_parts-0.json").write_text(json.dumps(row | {"format": 7}))
    assert ablations.format_of(records / "4_parts-0.json") == 7
    assert ablations.format_of(records / "full-0.json") == 6
    with pytest.raises(UserError, match="models of the formats 6, 7: move those of all but one"):
        ablations.load(records)


def test_the_records_of_the_former_model_are_read(root):
    """As long as they are kept, whatever the variants of today are."""
    found = ablations.load(root / "benchmarks" / "records" / "ablations")
    assert len(found["full"]) >= 3 and "nmi" in ablations.table(found, {"nmi": 3})


def test_a_run_is_measured_and_not_made_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "IMAGES", 16)
    monkeypatch.setattr(bench, "EPOCHS", 1)
    monkeypatch.setattr(bench, "FACES", 16)
    monkeypatch.setattr(bench, "SHOWN", (2, 3))
    for name in ("RUNS", "PICTURES"):
        monkeypatch.setattr(bench, name, tmp_path / name)
    tiny = {"size": 32, "width": 8, "channels": 12}
    monkeypatch.setattr(bench, "ModelConfig", partial(ModelConfig, **tiny))
    bench.ModelConfig.size = 32
    monkeypatch.setattr(bench, "SyntheticFaces", partial(SyntheticFaces, size=32))
    monkeypatch.setattr("sys.argv", ["ablations", "--out", str(tmp_path / "out"), "--only", "full"])
    monkeypatch.setattr(bench, "VARIANTS", {"full": (1, {}, {})})
    bench.main()
    (path,) = (tmp_path / "out").iterdir()
    row = json.loads(path.read_text())
    assert row["format"] == FORMAT and row["variant"] == "full" and "nmi" in row["figures"]
    with Image.open(tmp_path / "PICTURES" / "full.png") as strip:
        assert strip.size == (2 * 6 * 32, 32)
    made = []
    monkeypatch.setattr(bench, "measure", lambda name, *_: made.append(name) or row)
    bench.main()
    assert not made
    path.write_text(json.dumps({name: value for name, value in row.items() if name != "format"}))
    bench.main()
    assert made == ["full"], "one of a former format is made again"
