"""The order of the images: once an epoch, dealt out, resumable, from memory, from files and from shards."""

import shutil
from itertools import chain

import pytest
import torch

from igc import ModelConfig, TrainConfig, fit
from igc.data import Photographs, Prepared, SyntheticFaces
from igc.data.prepare import prepare
from igc.errors import UserError
from igc.feed import Feed

CONFIG = TrainConfig(epochs=3, batch_size=4)
DISK = TrainConfig(epochs=3, batch_size=4, memory=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """30 photographs, each of one colour, as files."""
    from PIL import Image

    root = tmp_path_factory.mktemp("photographs")
    for i in range(30):
        Image.new("RGB", (16, 16), (i * 8, 255 - i * 8, 40)).save(root / f"{i:02d}.png")
    return root


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    prepare(Photographs(folder, "all", 16), out / "files", workers=1)
    prepare(Photographs(folder, "all", 16), out / "shards", shards=True, per_shard=5, workers=1)
    return {name: Prepared(out / name, "all") for name in ("files", "shards")}


def names(batches):
    """Which images came: their red, as a number a batch."""
    return [[round(float(red) * 255 / 8) for red in images[:, 0, 0, 0]] for images in batches]


@pytest.mark.parametrize(("kind", "config"), [("files", CONFIG), ("files", DISK), ("shards", DISK)])
def test_every_image_comes_once_an_epoch_at_most(prepared, kind, config):
    feed = Feed(prepared[kind], config, "cpu")
    first, again, other = (names(feed.batches(epoch)) for epoch in (0, 0, 1))
    seen = list(chain(*first))
    assert len(first) == feed.steps and all(len(batch) == 4 for batch in first)
    assert len(set(seen)) == len(seen) >= 20 and first == again != other


@pytest.mark.parametrize(("kind", "config"), [("files", CONFIG), ("files", DISK), ("shards", DISK)])
def test_an_epoch_goes_on_where_it_was(prepared, kind, config):
    feed = Feed(prepared[kind], config, "cpu")
    whole = names(feed.batches(2))
    for start in (1, 3, feed.steps - 1, feed.steps):
        assert names(feed.batches(2, start)) == whole[start:]


@pytest.mark.parametrize(("kind", "config"), [("files", CONFIG), ("files", DISK), ("shards", DISK)])
def test_two_processes_share_the_images_and_have_as_many_steps(prepared, kind, config):
    feeds = [Feed(prepared[kind], config, "cpu", rank, 2) for rank in range(2)]
    assert feeds[0].steps == feeds[1].steps
    first, second = (names(feed.batches(1)) for feed in feeds)
    assert len(first) == len(second) == feeds[0].steps and all(len(batch) == 2 for batch in first + second)
    assert set(chain(*first)).isdisjoint(chain(*second))


def test_memory_and_disk_give_the_same_batches(prepared):
    kept, read = (list(Feed(prepared["files"], config, "cpu").batches(0)) for config in (CONFIG, DISK))
    assert all(torch.equal(a, b) for a, b in zip(kept, read, strict=True))


def test_half_of_the_images_are_mirrored_and_not_the_same_ones_every_time():
    faces = SyntheticFaces("train", 64, 32)
    plain = TrainConfig(epochs=3, batch_size=4, flip=False)
    mirrored = []
    for epoch in (0, 1):
        pairs = zip(Feed(faces, plain, "cpu").batches(epoch), Feed(faces, CONFIG, "cpu").batches(epoch))
        images = [pair for batches in pairs for pair in zip(*batches)]
        mirrored.append([torch.equal(before, after.flip(-1)) for before, after in images])
        assert mirrored[-1] == [not torch.equal(before, after) for before, after in images]
    first, second = mirrored
    assert 16 < sum(first) < 48 and first != second


def test_the_global_batch_is_dealt_out_in_turn():
    faces = SyntheticFaces("train", 16, 32)
    whole = list(Feed(faces, CONFIG, "cpu").batches(0))
    halves = [list(Feed(faces, CONFIG, "cpu", rank, 2).batches(0)) for rank in range(2)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert torch.equal(batch[0::2], first) and torch.equal(batch[1::2], second)


def test_shards_with_too_few_images_for_a_batch_are_refused(prepared):
    config = TrainConfig(batch_size=30, memory=0.0)
    with pytest.raises(UserError, match=r"'batch_size' \(30\).*lower it, or prepare"):
        Feed(prepared["shards"], config, "cpu")


@pytest.mark.parametrize(("kind", "config"), [("files", CONFIG), ("files", DISK), ("shards", DISK)])
def test_an_epoch_has_a_multiple_of_the_batches_that_are_added_up(prepared, kind, config):
    feed = Feed(prepared[kind], config, "cpu")
    adding = Feed(prepared[kind], TrainConfig(**config.to_dict() | {"accumulate": 4}), "cpu")
    assert feed.steps in range(5, 8) and adding.steps == 4
    assert names(adding.batches(1)) == names(feed.batches(1))[:4]


def test_more_batches_to_add_up_than_there_are_is_refused(prepared):
    config = TrainConfig(batch_size=4, accumulate=8)
    with pytest.raises(UserError, match=r"'accumulate' \(8\) is more than the batches .* \(7\): lower"):
        Feed(prepared["files"], config, "cpu")


@pytest.mark.parametrize("kind", ["files", "shards"])
def test_what_a_worker_cannot_read_is_named_in_one_sentence(prepared, tmp_path, kind):
    shutil.copytree(prepared[kind].root, tmp_path / "set")
    feed = Feed(Prepared(tmp_path / "set", "all"), DISK, "cpu")
    for path in (tmp_path / "set").rglob("*.png" if kind == "files" else "*.tar"):
        path.unlink()
    with pytest.raises(UserError, match=r"cannot be read: .* prepare the set again\.$") as caught:
        list(feed.batches(0))
    assert str(tmp_path / "set") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["files", "shards"])
def test_a_model_is_trained_from_disk(folder, tmp_path, kind):
    prepare(Photographs(folder, "all", 32), tmp_path / "set", shards=kind == "shards", per_shard=8, workers=1)
    dataset = Prepared(tmp_path / "set", "all")
    model, config = (
        ModelConfig(size=32, width=8, channels=12),
        TrainConfig(epochs=1, batch_size=4, memory=0.0),
    )
    assert fit(dataset, model, config, tmp_path / "run")["final"]["epoch"] == 1
