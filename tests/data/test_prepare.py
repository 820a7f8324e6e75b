"""Preparing a set: whole, the same bytes however often it was stopped, and nothing written elsewhere."""

import hashlib
import io
import json
import os
import random
import sys
import tarfile
import time
import zipfile
import zlib
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from igc.config import ModelConfig
from igc.data import CelebA, Photographs, Prepared, open_dataset
from igc.data.__main__ import main
from igc.data.prepare import check, prepare
from igc.data.shards import ShardStream, stream
from igc.errors import UserError
from igc.train import main as train


def contents(folder):
    """{relative path: hash} of all files of a folder."""
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def states(folder):
    """{relative path: (hash, time of change, permissions)}."""
    found = {}
    for path in Path(folder).rglob("*"):
        status = path.lstat()
        found[str(path)] = status.st_mtime_ns, status.st_mode, status.st_size
    return found


@pytest.mark.parametrize("shards", [False, True])
def test_what_is_prepared_equals_what_was_read(celeba, tmp_path, shards):
    root, out = celeba(archive=True), tmp_path / "out"
    before = states(root)
    source = CelebA(root, "all", 32)
    card = prepare(source, out, shards, per_shard=8)
    assert states(root) == before, "the source is never written to"
    assert card["splits"] == {"train": 30, "validation": 5, "test": 5} and card["skipped"] == 0
    assert check(out) == [] and "landmarks" in (out / "manifest.jsonl").read_text()
    every = Prepared(out, "all")
    got, want = every.batch(range(40)), source.batch(range(40))
    assert set(got) == set(want)
    for name in want:
        assert torch.allclose(got[name], want[name], atol=1e-3), name
    assert got["identity"].dtype == torch.int64 and torch.equal(got["image"], want["image"])
    assert [len(Prepared(out, split)) for split in ("train", "validation", "test")] == [30, 5, 5]
    assert (Prepared(out, "test")[1]["split"], Prepared(out, "test").size) == (2, 32)
    small = Prepared(out, "train", 16)
    assert small[0]["image"].shape == (3, 16, 16)
    assert torch.allclose(small[0]["landmarks"] * 2, Prepared(out)[0]["landmarks"])


def test_one_line_from_a_set_to_training(celeba, tmp_path, capsys):
    command = ["prepare", "--set", "celeba", "--root", str(celeba()), "--size", "32"]
    for name, more in (("files", []), ("shards", ["--shards", "--per-shard", "7"])):
        out = str(tmp_path / name)
        assert main([*command, "--out", out, *more]) == 0 and main(["check", out]) == 0
        assert "40 images" in capsys.readouterr().out
        run = ["--data", out, "--out", str(tmp_path / f"run-{name}"), "--size", "32", "--parts", "2"]
        assert train([*run, "--epochs", "1", "--batch-size", "8", "--device", "cpu"]) == 0
        capsys.readouterr()
        assert len(open_dataset(out, "validation", 0, 32)) == 5
    record = json.loads((tmp_path / "run-shards/record.json").read_text())
    assert record["data"].startswith("celeba-train-30-")


def test_a_prepared_set_refuses_what_it_cannot_give(celeba, tmp_path):
    prepare(CelebA(celeba(), "all", 32), tmp_path / "out")
    with pytest.raises(UserError, match="--size 64"):
        open_dataset(str(tmp_path / "out"), "train", 0, ModelConfig().size)
    with pytest.raises(UserError, match="does not exist"):
        Prepared(tmp_path / "out", "dev")
    (tmp_path / "out/card.json").unlink()
    with pytest.raises(UserError, match="not a finished prepared set"):
        open_dataset(str(tmp_path / "out"), "train", 0, 32)
    assert ["not finished" in fault for fault in check(tmp_path / "out")] == [True]
    assert ["no card.json" in fault for fault in check(tmp_path)] == [True]


def test_check_finds_what_is_missing_or_changed(photographs_of, tmp_path, capsys):
    out = tmp_path / "out"
    prepare(Photographs(photographs_of(20), "all", 16), out)
    images = sorted(out.rglob("*.png"))
    images[3].unlink()
    images[5].write_bytes(images[6].read_bytes())
    assert main(["check", str(out)]) == 1
    faults = capsys.readouterr().err.splitlines()
    assert len(faults) == 2 and images[3].name in "".join(faults) and "was changed (image" in "".join(faults)
    with open(out / "manifest.jsonl", "a") as manifest:
        manifest.write((out / "manifest.jsonl").read_text().splitlines()[0] + "\n")
    assert any("manifest.jsonl was changed" in fault for fault in check(out))


def test_check_finds_a_shard_that_was_cut_off(photographs_of, tmp_path):
    out = tmp_path / "out"
    prepare(Photographs(photographs_of(30), "all", 16), out, shards=True, per_shard=10)
    shard = sorted((out / "shards").iterdir())[-1]
    shard.write_bytes(shard.read_bytes()[:5000])
    faults = check(out)
    assert any("another length" in fault for fault in faults) and len(faults) > 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"out": "photos/sub"}, "lies within the source"),
        ({"set": "bp4d"}, "F001/T1/0001.jpg"),
        ({"root": "nowhere"}, "neither a folder nor a zip"),
        ({"root": ""}, "needs a folder"),
        ({"size": "20"}, "multiple of 16"),
        ({"without": "identity"}, "without='identity' is unknown"),
        ({"detector": "nowhere.onnx"}, "nowhere.onnx do not exist"),
        ({"boxes": "nowhere.csv"}, "nowhere.csv cannot be read"),
        ({"workers": "0"}, "must be 1 or more"),
        ({"out": "full"}, "holds other files"),
        ({"out": "begun"}, "other settings or images"),
    ],
)
def test_wrong_commands_end_in_one_sentence(photographs_of, tmp_path, capsys, monkeypatch, change, sentence):
    monkeypatch.chdir(tmp_path)
    photographs_of(3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").write_text("mine")
    prepare(Photographs("photos", "all", 32), "begun")
    options = {"set": "folder", "root": "photos", "out": "out", "size": "16"} | change
    assert main(["prepare", *[x for k, v in options.items() for x in (f"--{k}", v)]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and sentence in line
    assert (tmp_path / "full/letter.txt").read_text() == "mine" and not (tmp_path / "photos/sub").exists()


def test_other_boxes_are_another_preparation(photographs_of, tmp_path):
    root, boxes = photographs_of(3), tmp_path / "boxes.csv"
    for side in (20, 20, 18):
        lines = [f"{i}/{i:06d}.bmp,0,0,{side},20" for i in range(3)]
        boxes.write_text("\n".join(["name,left,top,right,bottom", *lines]))
        dataset = Photographs(root, "all", 16, boxes=boxes)
        if side == 20:
            assert prepare(dataset, tmp_path / "out")["images"] == 3
    with pytest.raises(UserError, match="other settings"):
        prepare(dataset, tmp_path / "out")
    with pytest.raises(UserError, match="split='all'"):
        prepare(Photographs(root, "train", 16), tmp_path / "part")


def test_preparing_twice_changes_nothing(photographs_of, tmp_path):
    dataset = Photographs(photographs_of(10), "all", 16)
    first, before = prepare(dataset, tmp_path / "out"), states(tmp_path / "out/images")
    assert prepare(dataset, tmp_path / "out") == first and states(tmp_path / "out/images") == before


class Slow(Photographs):
    """Photographs that are read so slowly that whoever watches can stop the work in time."""

    def read(self, name):
        time.sleep(0.003)
        return super().read(name)


def killed_and_resumed(root, folder, shards, size, watched=Slow):
    """Prepares `root` undisturbed, and again while it is killed five times; (kills, contents, contents)."""

    def work(out, kind=Photographs):
        prepare(kind(root, "all", size), folder / out, shards, per_shard=100, workers=2)

    work("whole")
    chunks = len(list((folder / "whole" / ("shards" if shards else "images")).iterdir()))
    rng, parts, context = random.Random(int(shards)), folder / "stopped/parts", get_context("fork")
    moments, kills = sorted(rng.uniform(0, 0.7) * chunks for _ in range(5)), 0
    for moment in moments:
        process = context.Process(target=work, args=("stopped", watched))
        process.start()
        while process.is_alive() and (len(list(parts.glob("*.jsonl"))) if parts.is_dir() else 0) < moment:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        kills += process.is_alive()
        process.kill()
        process.join()
    assert not (folder / "stopped/card.json").exists(), "it was ready before it was killed"
    work("stopped")
    return kills, contents(folder / "whole"), contents(folder / "stopped")


@pytest.mark.parametrize("shards", [False, True])
def test_killed_five_times_and_resumed_it_is_the_same_to_the_byte(photographs_of, tmp_path, shards):
    kills, whole, stopped = killed_and_resumed(photographs_of(2000), tmp_path, shards, 32)
    assert kills == 5 and whole == stopped
    assert not any("parts" in name or ".part" in name for name in stopped)
    assert len(whole) == 4 + (2000 if not shards else len(list((tmp_path / "whole/shards").iterdir())))


@pytest.mark.slow
def test_a_hundred_thousand_files_killed_and_resumed(photographs_of, tmp_path):
    kills, whole, stopped = killed_and_resumed(photographs_of(100_000), tmp_path, False, 16, Photographs)
    assert kills == 5 and whole == stopped and len(whole) == 100_004


class Watched(Photographs):
    """Photographs that note the process's memory at every 100th image."""

    def read(self, name):
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen % 100 == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory = [*getattr(self, "memory", []), pages * os.sysconf("SC_PAGESIZE") / 2**20]
        return super().read(name)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_number_of_images(photographs_of, tmp_path, count):
    dataset = Watched(photographs_of(count), "all", 16)
    prepare(dataset, tmp_path / "out", workers=2)
    quarter = len(dataset.memory) // 4
    assert max(dataset.memory[quarter:]) - max(dataset.memory[:quarter]) < 12, dataset.memory


# ---- hostile input


@pytest.fixture
def hostile(tmp_path):
    """A folder with everything that may go wrong, and a secret beside it."""
    root = tmp_path / "source"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 40, 3), np.uint8))
    for name in ("good.png", "größe 東京.png", "with space.png", "two\nlines.png", "tab\tbell\a.png"):
        picture.save(root / name)
    picture.save(os.fsencode(root) + b"/latin\xe9.png")
    (root / "leaves.png").symlink_to(tmp_path / "secret.png")
    (root / "within.png").symlink_to("good.png")
    (root / "up").symlink_to(tmp_path)
    (root / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(root / "pipe.png")
    (root / "folder.png").mkdir()
    with zipfile.ZipFile(root / "evil.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("../escaped.png", "/tmp/igc-absolute.png", "a/../../escaped2.png", "C:\\escaped.png"):
            archive.writestr(name, (root / "good.png").read_bytes())
        archive.write(root / "good.png", "inside/fine.png")
        archive.writestr("bomb.png", bytes(300 * 2**20))
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../secret.png")
    (root / "broken.zip").write_bytes(b"PK\x03\x04 no archive")
    head = (root / "good.png").read_bytes()
    header = b"IHDR" + (60000).to_bytes(4, "big") * 2 + head[24:29]
    (root / "huge.png").write_bytes(head[:12] + header + zlib.crc32(header).to_bytes(4, "big") + head[33:])
    return root


def test_hostile_files_are_reported_and_nothing_is_written_elsewhere(hostile, tmp_path, capsys):
    before = states(tmp_path)
    out = tmp_path / "out"
    command = ["prepare", "--set", "folder", "--root", str(hostile), "--size", "16"]
    assert main([*command, "--out", str(out)]) == 0
    after = states(tmp_path)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith(str(out)) for name in set(after) - set(before))
    assert not Path("/tmp/igc-absolute.png").exists()
    used = {json.loads(line)["source"] for line in (out / "manifest.jsonl").read_text().splitlines()}
    good = {
        "good.png",
        "größe 東京.png",
        "with space.png",
        "two\nlines.png",
        "tab\tbell\a.png",
        "latin\udce9.png",
    }
    assert used == good | {"within.png", "evil/inside/fine.png"}
    report = (out / "report.txt").read_text().splitlines()
    wanted = {
        "leaves.png": "leaves the folder", "up": "link to a folder", "gone.png": "read",
        "pipe.png": "ordinary",
        "../escaped.png": "'..'", "/tmp/igc-absolute.png": "absolute", "a/../../escaped2.png": "'..'",
        "C:\\escaped.png": "absolute", "bomb.png": "300 MB", "link.png": "link within", "broken": "fetch",
        "huge.png": "shrink",
    }  # fmt: skip
    assert len(report) == len(wanted)
    for name, reason in wanted.items():
        assert [line for line in report if name in line and reason in line], name
    assert check(out) == [] and str(len(wanted)) in capsys.readouterr().out


def test_a_tenth_of_the_files_is_corrupt(photographs_of, tmp_path, monkeypatch):
    root = photographs_of(100)
    files, rng = sorted(root.rglob("*.bmp")), random.Random(0)
    for path in files[::10]:
        data = bytearray(path.read_bytes())
        path.write_bytes(rng.choice([bytes(data[:200]), rng.randbytes(500), b""]))
    locked, real = files[1], Path.read_bytes

    def guarded(path):
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", guarded)
    card = prepare(Photographs(root, "all", 16), tmp_path / "out")
    report = (tmp_path / "out/report.txt").read_text().splitlines()
    assert card["images"] == 89 and card["skipped"] == len(report) == 11
    assert sum("permitted" in line and locked.name in line for line in report) == 1
    assert {path.name for path in [*files[::10], locked]} == {
        next(word for word in line.split() if word.endswith(".bmp")).split("/")[-1] for line in report
    }


def test_an_archive_that_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"x" * 1000)
    with pytest.raises(UserError, match=r"a\.png cannot be used: its content is not an image"):
        Photographs(path, "all")[0]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="neither a folder nor a zip"):
        Photographs(path, "all")


# ---- shards


@pytest.fixture
def shards(photographs_of, tmp_path):
    """A prepared set of 103 images in shards of ten."""
    prepare(Photographs(photographs_of(103), "all", 16), tmp_path / "shards", shards=True, per_shard=10)
    return Prepared(tmp_path / "shards", "all")


def numbers(batches):
    return [int(n) for batch in batches for n in batch["number"]]


@pytest.mark.parametrize("per_shard", [10, 100])
def test_two_workers_of_two_ranks_see_every_image_once(photographs_of, tmp_path, per_shard):
    dataset = Photographs(photographs_of(103), "all", 16)
    prepare(dataset, tmp_path / "out", shards=True, per_shard=per_shard)
    data, orders = Prepared(tmp_path / "out", "all"), []
    for epoch in (0, 1):
        seen = [numbers(stream(data, 4, workers=2, epoch=epoch, rank=rank, ranks=2)) for rank in (0, 1)]
        assert sorted(seen[0] + seen[1]) == list(range(103)) and min(map(len, seen)) > 30
        orders.append(seen[0])
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0])


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2, 3])
def test_a_stream_goes_on_where_it_was(shards, workers):
    whole = [batch["number"].tolist() for batch in stream(shards, 4, workers=workers, seed=3, epoch=1)]
    for start in (1, 5, len(whole) - 1, len(whole)):
        rest = stream(shards, 4, workers=workers, seed=3, epoch=1, start=start)
        assert [batch["number"].tolist() for batch in rest] == whole[start:]


def test_a_stream_gives_the_images_of_its_split(shards):
    every = shards.batch(range(len(shards)))["image"]
    test = Prepared(shards.root, "test")
    batches = list(ShardStream(test, 8, truth=True))
    found = {json_line["number"]: i for i, json_line in enumerate(shards.lines(range(len(shards))))}
    for batch in batches:
        assert torch.equal(batch["image"], every[[found[int(n)] for n in batch["number"]]])
    assert len(numbers(batches)) == len(test) < 40


def test_streams_refuse_files_and_wrong_ranks(shards, photographs_of, tmp_path):
    prepare(Photographs(photographs_of(5, "few"), "all", 16), tmp_path / "files")
    with pytest.raises(UserError, match="--shards"):
        ShardStream(Prepared(tmp_path / "files", "all"), 4)
    with pytest.raises(UserError, match="from 0 to 1"):
        ShardStream(shards, 4, rank=2, ranks=2)
    shard = next((shards.root / "shards").iterdir())
    shard.unlink()
    with pytest.raises(UserError, match=shard.name):
        list(ShardStream(shards, 4))


def test_nothing_in_a_shard_is_unpickled(shards, monkeypatch, hostile_pickle):
    import pickle

    def refuse(*_args, **_kwargs):
        raise AssertionError("unpickled")

    content, trace = hostile_pickle
    for shard in shards.card["shards"]:
        path = shards.root / shard["file"]
        with tarfile.open(path, "a") as tar:
            key = tar.getnames()[-1].split(".")[0]
            for ending in ("pyd", "pickle", "pkl"):
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        shard["bytes"] = path.stat().st_size
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(sys.modules["webdataset.gopen"], "gopen", refuse)
    assert sorted(numbers(ShardStream(shards, 16))) == list(range(103)) and not trace.exists()
