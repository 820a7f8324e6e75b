"""The table of figures, and the command that prints it."""

import json
import math

import pytest
import torch

from igc import IGCNet, ModelConfig, evaluate, files, segment

TINY = ModelConfig(size=32, width=8, channels=12, parts=3)
SPLITS = "validation", "test"


@pytest.fixture(scope="module")
def data():
    """(validation, test) faces with their truth."""
    return tuple(evaluate.load_truth(split, 24, 32) for split in SPLITS)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return IGCNet(TINY).eval()


def test_splits_have_different_people_and_all_truth(data):
    fit, test = data
    assert not set(fit["identity"].tolist()) & set(test["identity"].tolist())
    assert {"image", "labels", "depth", "normal", "pose", "light", "landmarks", "canonical_depth"} <= set(
        test
    )


def test_explanations_do_not_depend_on_the_chunks(model, data):
    images = data[1]["image"][:7]
    whole, pieces = evaluate.explain(model, images), evaluate.explain(model, images, chunk=3)
    assert torch.equal(whole["labels"], segment.labels(model, images))
    for name in whole:
        assert len(whole[name]) == 7
        torch.testing.assert_close(whole[name].float(), pieces[name].float(), atol=1e-3, rtol=1e-3)


def test_every_figure_of_the_protocol_is_there(model, data):
    row = evaluate.evaluate(model, *data)
    assert set(row) >= set(evaluate.COLUMNS)
    assert all(math.isfinite(value) for value in row.values())
    for name in ("nmi", "iou", "nmi_all", "iou_all", "covered", "layout_agreement", "silhouette"):
        assert 0 <= row[name] <= 1, name
    assert 0 <= row["parts_alive"] <= 3 and row["side"] > 0 and row["error_ratio"] > 0


def test_floors_have_the_figures_that_apply_to_them(data):
    rows = evaluate.evaluate_floors(*data, math.radians(10))
    labelled = {"six bands", "2 x 3 grid", "k-means", "where parts start", "commonest label (oracle)"}
    surfaces = {"flat plane", "mean depth", "posed mean face (oracle)"}
    assert set(rows) == labelled | surfaces | {"true labels (oracle)"}
    for name in labelled:
        assert set(rows[name]) == {"nmi", "ari", "iou", "nme", "nmi_all", "ari_all", "iou_all"}
        assert rows[name]["nmi"] > 0.05 and rows[name]["nme"] < 1
    for name in surfaces:
        regions = {"mad_nose", "mad_lips", "mad_chin"}
        assert set(rows[name]) == {"side", "mad", "relief_ratio", "side_without_plane", "covered"} | regions
    side = [rows[name]["side"] for name in ("flat plane", "mean depth", "posed mean face (oracle)")]
    assert side == sorted(side, reverse=True)
    assert rows["flat plane"]["covered"] == 1 > rows["posed mean face (oracle)"]["covered"] > 0.9
    truth = rows["true labels (oracle)"]
    assert set(truth) == {"own_shape", "following", "layout_agreement"}
    assert truth["own_shape"] == pytest.approx(1) and 0.5 < truth["layout_agreement"] < 1


def test_the_truth_scores_best_in_everything(data):
    test = data[1]
    found = evaluate.all_part_scores(test["labels"], test["labels"])
    assert found == pytest.approx(dict.fromkeys(("nmi", "ari", "iou", "nmi_all", "ari_all", "iou_all"), 1))
    found = evaluate.all_surface_scores(test["depth"], test["normal"], test)
    wanted = {"side": 0, "mad": 0, "relief_ratio": 1, "side_without_plane": 0, "covered": 1}
    wanted |= dict.fromkeys(("mad_nose", "mad_lips", "mad_chin"), 0)
    assert found == pytest.approx(wanted, abs=0.05)


def test_scores_of_the_head_see_what_is_outside_of_its_front(data):
    truth = data[1]["labels"]
    found = evaluate.all_part_scores(torch.where(truth > 6, 7, truth), truth)
    assert found["nmi"] == pytest.approx(1) and found["nmi_all"] < 0.99
    assert 6 / 9 < found["iou_all"] < 7 / 9, "three regions share one label"


def test_a_frame_that_is_asked_for_reaches_the_faces(model, tmp_path, monkeypatch):
    asked = []

    class Faces(evaluate.SyntheticFaces):
        def __init__(self, *given, **options):
            asked.append(options)
            super().__init__(*given)

    model.save_pretrained(tmp_path / "mine")
    IGCNet(ModelConfig(**TINY.to_dict() | {"background": "none"})).save_pretrained(tmp_path / "faces")
    monkeypatch.setattr(evaluate, "SyntheticFaces", Faces)
    monkeypatch.setattr(evaluate, "evaluate", lambda *given: {"nmi": 0.5})
    monkeypatch.setattr(evaluate, "evaluate_floors", lambda *given: {})
    given = ["--count", "16", "--out", str(tmp_path / "figures.json")]
    for name in ("mine", "faces"):
        for options in (["--frame", "head"], ["--frame", "face"], []):
            assert evaluate.main([str(tmp_path / name), *given, *options]) == 0
    frames = ["head", "face", "head", "head", "face", "face"]
    assert asked == [{"frame": frame} for frame in frames for _ in range(3)], "else what the model knows"


def test_every_figure_is_there_without_a_background():
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(**TINY.to_dict() | {"background": "none"})).eval()
    row = evaluate.evaluate(model, *(evaluate.load_truth(s, 24, 32, frame="face") for s in SPLITS))
    assert set(row) >= set(evaluate.COLUMNS) and all(math.isfinite(value) for value in row.values())
    assert row["covered"] > 0.99, "all of the picture is surface"


def test_figures_without_truth(model, data):
    row = evaluate.evaluate_unlabelled(model, data[1]["image"])
    whole = evaluate.evaluate(model, *data)
    assert row == pytest.approx({name: whole[name] for name in ("parts_alive", "error_ratio")})


def test_the_table_has_a_line_a_figure_and_a_dash_where_one_does_not_apply():
    text = evaluate.table({"ours": {"nmi": 0.5, "side": 2.0}, "a plane": {"side": 12.3456}})
    lines = [line.split() for line in text.splitlines()]
    assert lines == [["ours", "a", "plane"], ["nmi", "0.500", "-"], ["side", "2.000", "12.346"]]
    assert len({len(line) for line in text.splitlines()}) == 1, "columns are aligned"


def test_the_command_prints_the_table_and_writes_the_record(model, tmp_path, capsys):
    model.save_pretrained(tmp_path / "mine")
    out = tmp_path / "figures.json"
    assert evaluate.main([str(tmp_path / "mine"), "--count", "24", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split()[0] == "mine" and "\nnmi" in printed
    record = json.loads(out.read_text())
    assert set(record["figures"]["mine"]) >= set(evaluate.COLUMNS) and "test" in record["data"]


@pytest.mark.parametrize(
    ("options", "named"), [(["no-such-model"], "no-such-model"), (["{}", "--count", "0"], "count")]
)
def test_bad_input_is_refused_in_one_sentence(model, tmp_path, capsys, options, named):
    model.save_pretrained(tmp_path / "mine")
    assert evaluate.main([option.format(tmp_path / "mine") for option in options]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and named in printed.err


def test_a_folder_in_place_of_the_record_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "load_truth", lambda *given, **more: pytest.fail("work was done"))
    assert evaluate.main(["synthetic-64", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: --out ({tmp_path}) is a folder: name a JSON file in it.\n"


def test_a_record_that_cannot_be_written_ends_with_one_sentence(model, tmp_path, monkeypatch, capsys):
    def fail(*given):
        raise OSError(28, "No space left on device")

    model.save_pretrained(tmp_path / "mine")
    monkeypatch.setattr(evaluate, "load_truth", lambda *given, **more: {})
    monkeypatch.setattr(evaluate, "evaluate", lambda *given: {"nmi": 0.5})
    monkeypatch.setattr(evaluate, "evaluate_floors", lambda *given: {})
    monkeypatch.setattr(files, "_replace", fail)
    assert evaluate.main([str(tmp_path / "mine"), "--out", str(tmp_path / "figures.json")]) == 2
    printed = capsys.readouterr()
    assert "0.500" in printed.out, "the figures are shown all the same"
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert "figures.json cannot be written (No space left on device): make room there" in printed.err
