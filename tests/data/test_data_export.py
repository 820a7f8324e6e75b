"""A data set on disk is the one that is drawn on the fly."""

import json

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from igc import files
from igc.data import ImageFolder, SyntheticFaces, export
from igc.errors import UserError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces") / "set"
    patch = pytest.MonkeyPatch()
    patch.setattr(export, "SHARD", 4)
    assert export.main(["--out", str(folder), "--split", "test", "--count", "6", "--size", "32"]) == 0
    patch.undo()
    return folder


def test_pictures_are_a_folder_of_images(written):
    drawn = SyntheticFaces("test", 6, 32).batch(range(6), truth=False)["image"]
    read = ImageFolder(written / "images", 32).batch(range(6))["image"]
    assert (drawn - read).abs().max() <= 0.5 / 255 + 1e-6


def test_truth_is_stored_in_the_order_of_the_pictures(written):
    drawn = SyntheticFaces("test", 6, 32).batch(range(6))
    shards = [load_file(written / f"truth-00{k}.safetensors") for k in range(2)]
    assert len(shards[0]["identity"]) == 4 and set(shards[0]) == set(drawn) - {"image"}
    for name in shards[0]:
        stored = torch.cat([shard[name] for shard in shards])
        torch.testing.assert_close(stored.to(drawn[name].dtype), drawn[name], atol=5e-4, rtol=0)


def test_the_card_names_the_set(written):
    card = json.loads((written / "card.json").read_text())
    data = SyntheticFaces("test", 6, 32)
    assert card["data"] == data.fingerprint() and card["parameters_sha256"] == data.checksum()
    assert card["people"] == 1 and len(card["pixels_sha256"]) == 64


def test_framed_and_turned_faces_are_written_with_their_truth(tmp_path):
    ask = [
        "--count",
        "2",
        "--size",
        "32",
        "--frame",
        "face",
        "--side",
        "2.44",
        "--yaw",
        "45",
        "--upside-down",
    ]
    assert export.main(["--out", str(tmp_path), *ask]) == 0
    data = SyntheticFaces("train", 2, 32, frame="face", side=2.44, yaw=45.0, upside_down=True)
    stored = load_file(tmp_path / "truth-000.safetensors")
    for name in ("depth", "canonical_depth", "pose", "landmarks", "light"):
        torch.testing.assert_close(stored[name], data.batch(range(2))[name])
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["data"] == data.fingerprint()
    assert (card["frame"], card["side"], card["yaw"], card["upside_down"]) == ("face", 2.44, 45.0, True)


def test_a_folder_in_use_and_a_bad_argument_are_refused(written, capsys):
    with pytest.raises(UserError, match="holds a data set already"):
        export.export(SyntheticFaces("test", 2, 16), written)
    assert export.main(["--out", str(written.parent / "other"), "--planted", "ears"]) == 2
    assert "nose shape" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("no space")])
def test_after_a_full_disk_the_same_command_can_be_started_again(tmp_path, monkeypatch, capsys, error):
    ask, save = ["--out", str(tmp_path), "--count", "3", "--size", "16"], files.save_file

    def full(held, path, metadata):
        if "truth-001" in path.name:
            raise error
        save(held, path, metadata)

    monkeypatch.setattr(export, "SHARD", 2)
    (tmp_path / "mine.txt").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(files, "save_file", full)
        assert export.main(ask) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path} cannot be written (") and said.count("\n") == 1
    assert "pace" in said and "make room there" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert export.main(ask) == 0 and len(list((tmp_path / "images").iterdir())) == 3
