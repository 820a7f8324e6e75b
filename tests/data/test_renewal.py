"""New people every few epochs: which they are, and that training on them depends on the epoch alone."""

import gc
import multiprocessing
import os

import pytest
import torch

from igc import TrainConfig, train
from igc.data import SyntheticFaces, open_dataset, read_images, renewal
from igc.data.renewal import Renewal
from igc.errors import UserError
from igc.feed import Feed

CONFIG = TrainConfig(epochs=6, batch_size=4, flip=False)
DISK = TrainConfig(epochs=6, batch_size=4, flip=False, memory=0.0)


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces("train", 10, 16, per_identity=4, renew=2)


@pytest.fixture(autouse=True)
def nobody_is_left_drawing():
    yield
    gc.collect()
    assert not multiprocessing.active_children()


def people(data):
    return set(data.batch(range(len(data)), truth=False)["identity"].tolist())


def same(one, two):
    return len(one) == len(two) and all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_every_stage_has_other_people_and_none_of_another_split(faces):
    stages = [people(faces.epoch(number)) for number in (0, 2, 4, 300)]
    others = [people(SyntheticFaces(split, 10, 16, per_identity=4)) for split in ("validation", "test")]
    assert all(len(group) == 3 for group in stages + others)
    assert len(set.union(*stages, *others)) == 18
    skins = {faces.epoch(number)._draw(faces.epoch(number)._position(0)).p.skin for number in (0, 2, 4)}
    assert len(skins) == 3


def test_a_stage_lasts_so_many_epochs_and_the_first_is_the_set_itself(faces):
    stages = [read_images(faces.epoch(number)) for number in range(5)]
    assert torch.equal(stages[0], read_images(SyntheticFaces("train", 10, 16, per_identity=4)))
    assert torch.equal(stages[0], stages[1]) and torch.equal(stages[2], stages[3])
    assert not torch.equal(stages[1], stages[2]) and not torch.equal(stages[3], stages[4])


def test_stages_go_on_where_a_larger_set_would(faces):
    larger = SyntheticFaces("train", 24, 16, per_identity=4)
    assert torch.equal(faces.epoch(2)[3]["image"], larger[12 + 3]["image"])


def test_names_tell_stages_apart_and_a_set_without_renewal_stays(faces):
    plain = SyntheticFaces("train", 10, 16)
    assert plain.epoch(7) is plain and "renew" not in plain.fingerprint()
    names = [data.fingerprint() for data in (faces, faces.epoch(1), faces.epoch(2), faces.epoch(4))]
    assert names[0] == names[1] and len(set(names)) == 3
    assert faces.checksum() != faces.epoch(2).checksum()
    with pytest.raises(UserError, match="renew=-1"):
        SyntheticFaces(renew=-1)


@pytest.mark.parametrize("config", [CONFIG, DISK], ids=["memory", "drawn"])
def test_epochs_are_trained_on_their_own_people(faces, config):
    feed = Feed(faces, config, "cpu")
    for number in range(6):
        stage = faces.epoch(number)
        expected = read_images(stage).float() / 255
        order = feed._chosen(number, 0)
        assert same(list(feed.batches(number)), [expected[indices] for indices in order]), number
    assert feed.renewal is None, "nothing is drawn for an epoch that does not come"


def test_a_resumed_feed_gives_the_same_batches_and_leaves_the_random_numbers_alone(faces):
    feed = Feed(faces, CONFIG, "cpu")
    whole = [list(feed.batches(number)) for number in range(6)]
    state = torch.get_rng_state()
    for first in (1, 3, 5):
        resumed = Feed(faces, CONFIG, "cpu")
        assert same(list(resumed.batches(first, 1)), whole[first][1:])
        assert all(same(list(resumed.batches(number)), whole[number]) for number in range(first + 1, 6))
    assert torch.equal(torch.get_rng_state(), state)


def test_an_epoch_that_is_over_can_be_looked_at_without_losing_the_present_one(faces):
    feed = Feed(faces, CONFIG, "cpu")
    first = list(feed.batches(0))
    present = feed.batches(2)
    begun = [next(present)]
    drawing = feed.renewal
    assert torch.equal(next(feed.batches(0)), first[0])
    assert feed.renewal is drawing and feed.stage == 1
    assert same(begun + list(present), list(Feed(faces, CONFIG, "cpu").batches(2)))


def test_the_next_images_are_drawn_ahead_and_not_anew(faces, monkeypatch):
    feed = Feed(faces, CONFIG, "cpu")
    list(feed.batches(0))
    monkeypatch.setattr("igc.feed.read_images", lambda dataset: pytest.fail("drawn while training waits"))
    assert list(feed.batches(2)) and list(feed.batches(4))


def test_processes_that_draw_stand_back_and_end_with_what_they_serve():
    many = SyntheticFaces("train", 4096, 32, renew=1)
    feed = Feed(SyntheticFaces("train", 16, 32, renew=1), CONFIG, "cpu")
    drawing = Renewal(many)
    (worker,) = multiprocessing.active_children()
    while os.getpriority(os.PRIO_PROCESS, worker.pid) == os.getpriority(os.PRIO_PROCESS, 0):
        assert worker.is_alive()
    drawing.close()
    assert not drawing._thread.is_alive() and not worker.is_alive()
    with pytest.raises(RuntimeError, match="closed before it was done"):
        drawing.take()
    list(feed.batches(0))
    thread = feed.renewal._thread
    del feed
    gc.collect()
    assert not thread.is_alive()


def test_what_goes_wrong_while_drawing_ahead_is_raised_where_it_is_needed(faces, monkeypatch):
    def fail(images):
        raise MemoryError("full")

    monkeypatch.setattr(renewal, "as_bytes", fail)
    with pytest.raises(MemoryError, match="full"):
        Renewal(faces).take()


def test_the_command_hands_frame_and_renewal_on(tmp_path, monkeypatch, capsys):
    made = []
    monkeypatch.setattr(train, "fit", lambda dataset, *rest, **more: made.append(dataset) or {"final": {}})
    ask = ["--out", str(tmp_path), "--images", "64", "--frame", "face", "--renew", "3"]
    assert train.main(ask) == 0
    assert made[0].fingerprint() == SyntheticFaces("train", 64, 64, frame="face", renew=3).fingerprint()
    assert train.main([*ask, "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "only of drawn faces: leave them out" in said and said.count("\n") == 1
    with pytest.raises(UserError, match="renew=2"):
        open_dataset(str(tmp_path), "train", 4, renew=2)
