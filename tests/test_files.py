"""Files appear whole or not at all, and what cannot be written is named."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from igc import files
from igc.analysis import __main__ as command
from igc.errors import UserError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("encoder error -2"), "encoder error -2"),
        (SafetensorError("I/O error"), "I/O error"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_with_the_reason(tmp_path, error, reason):
    with pytest.raises(UserError) as caught, files.writing(tmp_path / "a.csv"):
        raise error
    wanted = f"{tmp_path / 'a.csv'} cannot be written ({reason}): make room there, or name another place."
    assert str(caught.value) == wanted and caught.value.__cause__ is error


def test_other_errors_pass(tmp_path):
    for error in (UserError("something else."), ValueError("a fault of ours"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, files.writing(tmp_path):
            raise error
        assert caught.value is error


def test_tensors_that_cannot_be_written_leave_the_old_file_and_the_reason(tmp_path, monkeypatch):
    def fail(held, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: no space")

    path = tmp_path / "a.safetensors"
    files.write_tensors(path, {"a": torch.ones(2)}, {})
    before = path.read_bytes()
    monkeypatch.setattr(files, "save_file", fail)
    with pytest.raises(UserError, match=r"a\.safetensors cannot be written \(I/O error: no space\)"):
        with files.writing(path):
            files.write_tensors(path, {"a": torch.zeros(2)}, {})
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == [path.name]


def test_bytes_are_written_whole(tmp_path):
    files.write_bytes(tmp_path / "a.glb", b"abc")
    files.write_bytes(tmp_path / "a.glb", b"de")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.glb", b"de")]


def test_an_analysis_that_cannot_be_written_ends_with_one_sentence(tmp_path, monkeypatch, capsys):
    def fail(*given):
        raise OSError(28, "No space left on device")

    data = SimpleNamespace(columns={"identity": np.array(["a", "a", "b", "b"])}, skipped=[])
    monkeypatch.setattr(command, "open_labelled", lambda *given: data)
    monkeypatch.setattr(command, "report", fail)
    assert command.main(["--data", "synthetic", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == f"error: {tmp_path} cannot be written (No space left on device): make room there, or " + (
        "name another place.\n"
    )
