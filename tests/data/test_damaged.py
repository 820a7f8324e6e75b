"""A prepared set that is damaged, or that the disk has no room for, is refused in one sentence."""

import errno
import io
import json
import os
import tarfile

import pytest

from igc.data import Photographs, Prepared
from igc.data.__main__ import main
from igc.data.prepare import check, prepare
from igc.data.prepared import AGAIN
from igc.data.shards import ShardStream
from igc.errors import UserError


@pytest.fixture
def source(photographs_of):
    return Photographs(photographs_of(30), "all", 16)


@pytest.fixture
def files(source, tmp_path):
    """The folder of 30 prepared images, as files."""
    prepare(source, tmp_path / "files")
    return tmp_path / "files"


@pytest.fixture
def shards(source, tmp_path):
    """30 prepared images in shards of ten."""
    prepare(source, tmp_path / "shards", shards=True, per_shard=10)
    return Prepared(tmp_path / "shards", "all")


def sentence(work):
    """The one sentence with which something is refused."""
    with pytest.raises(UserError) as caught:
        work()
    text = str(caught.value)
    assert "\n" not in text and text.endswith("."), text
    return text


def read(folder):
    """Reads a whole prepared set."""
    data = Prepared(folder, "all")
    return data.batch(range(len(data)))


def other_shard(card):
    return card | {"shards": [{"file": "shards/train-00000.tar", "images": 3}]}


@pytest.mark.parametrize(
    "damaged",
    [
        lambda card: "{",
        lambda card: "[]",
        lambda card: json.dumps(card | {"format": "igc-prepared-0"}),
        lambda card: json.dumps({key: value for key, value in card.items() if key != "manifest_sha256"}),
        lambda card: json.dumps(card | {"splits": {"train": 30}}),
        lambda card: json.dumps(card | {"size": "16"}),
        lambda card: json.dumps(card | {"shards": None}),
        lambda card: json.dumps(other_shard(card)),
    ],
)
def test_a_damaged_card(source, files, damaged):
    path = files / "card.json"
    good = path.read_bytes()
    path.write_text(damaged(json.loads(good)))
    for work in (lambda: prepare(source, files), lambda: read(files)):
        assert str(path) in sentence(work)
    assert ["card.json is damaged" in fault for fault in check(files)] == [True]
    path.unlink()
    prepare(source, files)
    assert path.read_bytes() == good and check(files) == [], "the remedy that the sentence names"


def test_a_card_that_is_no_text(files):
    (files / "card.json").write_bytes(b"\xff\xfe\x00")
    assert (
        "card.json is damaged: remove the set's card.json" in sentence(lambda: read(files)) == check(files)[0]
    )


def test_a_missing_manifest(files, capsys):
    (files / "manifest.jsonl").unlink()
    assert "manifest.jsonl is missing" in sentence(lambda: read(files))
    assert main(["check", str(files)]) == 1
    (fault,) = capsys.readouterr().err.splitlines()
    assert "manifest.jsonl is missing" in fault


@pytest.mark.parametrize(
    "damaged", [b"{", b"[1]", b"\xff\xfe", b"{}", b'{"number": "1", "split": "train", "truth": {}}']
)
def test_a_damaged_line_of_the_manifest(files, damaged):
    path = files / "manifest.jsonl"
    lines = path.read_bytes().splitlines()
    lines[4] = damaged
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert sentence(lambda: read(files)) == f"{path} is damaged: {AGAIN}."
    faults = check(files)
    assert len(faults) == 2 and "is damaged" in faults[0] and "manifest.jsonl was changed" in faults[1]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"file": None}, "None is missing"),
        ({"file": "a\0b"}, "is missing"),
        ({"offset": "one"}, "is missing or"),
        ({"length": -7}, "is missing or"),
        ({"truth": {"identity": "Ann"}}, "truth about image"),
    ],
)
def test_a_line_that_names_nothing_that_can_be_read(files, change, name):
    path = files / "manifest.jsonl"
    first, *lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | change), *lines]) + "\n")
    assert name in sentence(lambda: read(files)) and check(files)


@pytest.mark.parametrize("split", ["train", "all"])
def test_a_manifest_that_was_cut_off(files, split):
    path = files / "manifest.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:2]))
    assert "manifest.jsonl is damaged" in sentence(lambda: Prepared(files, split))
    assert any("manifest.jsonl was changed" in fault for fault in check(files))


@pytest.mark.parametrize("text", [b"{", b"\xff"])
def test_a_damaged_plan(source, files, text):
    (files / "plan.json").write_bytes(text)
    assert "plan.json is damaged: name another folder" in sentence(lambda: prepare(source, files))
    assert ["plan.json is damaged" in fault for fault in check(files)] == [True]
    (files / "plan.json").unlink()
    assert ["not a finished prepared set" in fault for fault in check(files)] == [True]


def test_a_damaged_part(source, tmp_path, monkeypatch):
    monkeypatch.setattr("igc.data.prepare._finish", lambda *_: None)
    prepare(source, tmp_path / "out")
    monkeypatch.undo()
    part = next((tmp_path / "out/parts").iterdir())
    part.write_text("{")
    assert f"{part} is damaged: remove it" in sentence(lambda: prepare(source, tmp_path / "out"))
    part.unlink()
    assert prepare(source, tmp_path / "out")["images"] == 30 and check(tmp_path / "out") == []


@pytest.mark.parametrize("full", ["plan.json", "manifest.jsonl", "report.txt", "card.json", "000000.jsonl"])
def test_a_disk_that_is_full(source, tmp_path, monkeypatch, full):
    out, real = tmp_path / "out", os.replace

    def replace(temporary, path):
        if path.name == full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(temporary, path)

    monkeypatch.setattr(os, "replace", replace)
    text = sentence(lambda: prepare(source, out))
    assert text.startswith(f"{out} cannot be written (No space left on device)")
    monkeypatch.undo()
    assert prepare(source, out)["images"] == 30 and check(out) == []


# ---- shards, as they are streamed


def members(path):
    """[(name, content)] of a shard."""
    with tarfile.open(path) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]


def packed(data, content):
    """Packs the first shard anew, and writes its length down where `data` has it."""
    shard = data.card["shards"][0]
    with tarfile.open(data.root / shard["file"], "w") as tar:
        for name, bytes_ in content:
            member = tarfile.TarInfo(name)
            member.size = len(bytes_)
            tar.addfile(member, io.BytesIO(bytes_))
    shard["bytes"] = (data.root / shard["file"]).stat().st_size


@pytest.mark.parametrize("length", [0, 700, 5000, -512])
def test_a_shard_that_was_cut_off(shards, length):
    path = shards.root / shards.card["shards"][0]["file"]
    path.write_bytes(path.read_bytes()[:length])
    wanted = f"The shard {path} is cut off or was changed: {AGAIN}."
    assert sentence(lambda: list(ShardStream(shards, 4))) == wanted
    assert any("another length" in fault for fault in check(shards.root))


@pytest.mark.parametrize("kind", ["json", "png"])
def test_a_sample_that_lacks_its_line_or_its_image(shards, kind):
    path = shards.root / shards.card["shards"][0]["file"]
    content = members(path)
    lost = [name for name, _ in content if name.endswith(kind)][3]
    packed(shards, [(name, bytes_) for name, bytes_ in content if name != lost])
    assert f"{path} is cut off or was changed" in sentence(lambda: list(ShardStream(shards, 4)))


@pytest.mark.parametrize("change", ["fewer", "twice", "no tar", "cut within"])
def test_a_shard_with_other_samples_than_it_was_given(shards, change):
    path = shards.root / shards.card["shards"][0]["file"]
    content = members(path)
    if change in ("fewer", "twice"):
        packed(shards, content[:-2] if change == "fewer" else [*content, content[-1]])
    else:
        data = path.read_bytes()
        where = 0 if change == "no tar" else data.index(content[6][0].encode())
        path.write_bytes(data[:where] + bytes(range(1, 201)) + data[where + 200 :])
        assert path.stat().st_size == shards.card["shards"][0]["bytes"]
    assert f"{path} is cut off or was changed" in sentence(lambda: list(ShardStream(shards, 4)))


@pytest.mark.parametrize("damaged", [b"{", b"\xff", b"{}"])
def test_a_damaged_line_in_a_shard(shards, damaged):
    path = shards.root / shards.card["shards"][0]["file"]
    (name, _), *content = members(path)
    assert name.endswith(".json")
    packed(shards, [(name, damaged), *content])
    assert sentence(lambda: list(ShardStream(shards, 4))) == f"{path} is damaged: {AGAIN}."
