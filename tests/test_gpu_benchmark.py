"""`python -m benchmarks.gpu` where there is no GPU: its path at tiny sizes, and what becomes of failures."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import Findings, Place, command, kernel, syncs
from benchmarks.gpu.training import Drawn
from igc.data import SyntheticFaces, read_all
from igc.raster import grid


@pytest.fixture
def place():
    return Place("cpu", minutes=0.1, budget=60.0)


@pytest.fixture
def found(tmp_path):
    return Findings(tmp_path / "found.json")


def kept(found):
    return json.loads(found.path.read_text())


def test_the_whole_command_writes_a_record_and_ends_with_0(tmp_path, capsys):
    out = tmp_path / "new" / "gpu.json"
    assert command.main(["--device", "cpu", "--only", "machine", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert record["tiny"] and record["device"] == "cpu" and record["failed"] == []
    assert record["command"] == f"python -m benchmarks.gpu --device cpu --only machine --out {out}"
    assert {"name", "cores", "versions", "checks", "seconds", "wall_seconds"} <= record["machine"].keys()
    assert "its times mean nothing" in capsys.readouterr().out


def test_no_record_of_a_cpu_poses_as_one_of_a_gpu(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "in_a_process", lambda *a: {"checks": {}})
    assert command.main(["--device", "cpu"]) == 0
    assert [path.as_posix() for path in Path().rglob("*.json")] == ["build/gpu.json"]


def test_a_section_that_fails_is_recorded_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def ran(arguments, path, limit, environment):
        name = arguments[arguments.index("--section") + 1]
        held = {"one": True, "two": name != "syncs"}
        return {"checks": held} | ({"error": "ValueError: no."} if name == "step" else {})

    monkeypatch.setattr(command, "in_a_process", ran)
    out = tmp_path / "gpu.json"
    assert command.main(["--device", "cpu", "--out", str(out)]) == 1
    record = json.loads(out.read_text())
    assert set(command.LIMITS) <= record.keys()
    assert record["failed"] == ["step: ValueError: no.", "syncs: it does not hold that two"]
    assert "failed: step: ValueError: no." in capsys.readouterr().out


def test_what_was_found_before_a_failure_is_kept(found, place, monkeypatch, capsys):
    def broken(found, place):
        found.note(first=1)
        raise RuntimeError("a device\nthat is gone")

    monkeypatch.setattr(command, "machine", broken)
    command.section("machine", found, place)
    assert kept(found)["first"] == 1 and kept(found)["seconds"] >= 0
    assert re.fullmatch(r"RuntimeError in \S+\.py:\d+: a device that is gone", kept(found)["error"])


@pytest.mark.parametrize(
    ("code", "said"),
    [("import os; os.abort()", "ended with -6"), ("import time; time.sleep(60)", "after 1 s")],
)
def test_a_process_that_crashes_or_hangs_leaves_what_it_had_found(tmp_path, code, said):
    path = tmp_path / "found.json"
    path.write_text('{"checks": {}, "first": 1}')
    found = command.in_a_process([sys.executable, "-c", code], path, 1.0)
    assert said in found["error"] and found["first"] == 1


def test_the_kernel_s_section_holds_plain_with_plain(found, place, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    kernel.run(found, place)
    held = kept(found)
    assert held["kernel"] == "none: plain with plain" and all(held["checks"].values())
    assert held["triangles"]["8 pixels"]["covered"] > 1000
    assert {"search_ms", "forward_ms", "both_ms"} == held["times"]["plain, batch 2, 8 pixels"].keys()


def test_other_triangles_and_values_are_noticed(found):
    def wrong(*arguments):
        triangle = grid.visible_triangles(*arguments)
        triangle[:, 4, 4] += triangle[:, 4, 4] >= 0
        return triangle

    kernel.same_triangles(found, wrong, 8, 2, "cpu")
    kernel.same_drawing(found, wrong, 8, 2, "cpu")
    held = kept(found)
    failed = [sentence for sentence, right in held["checks"].items() if not right]
    assert len(failed) == 3 and held["unlike"] and held["triangles"]["8 pixels"]["differ_here"] > 0


def test_places_that_would_wait_are_named(found, place):
    syncs.run(found, place)
    held = kept(found)
    assert held["total"] == sum(row["times"] for row in held["places"].values()) > 10
    assert any(name.startswith("igc/raster/outlines.py:") for name in held["places"])


def test_faces_are_drawn_as_the_package_draws_them():
    faces = SyntheticFaces("train", gpu.DRAWN + 3, 32)
    drawn, read = gpu.draw(faces), read_all(faces, truth=False)
    assert drawn.keys() == read.keys()
    assert all(torch.equal(drawn[name], read[name]) for name in read)
    held = Drawn((drawn["image"] * 255).round().to(torch.uint8), "faces").first(5)
    assert len(held) == 5 and held.batch([4, 0])["image"].shape == (2, 3, 32, 32)
