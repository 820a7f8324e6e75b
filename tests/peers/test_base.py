"""What the peers share: the interface, the cue for the foreground, the loop and the choice of settings."""

import time

import pytest
import torch
from toys import Discs, clock

from igc import UserError
from igc.data import FACE_PARTS, SyntheticFaces
from peers.base import Loaded, Peer, as_bytes, chunked, foreground, instability, small_changes, train_loop


class Named(Peer):
    name = "named"
    settings = ({"rate": 1.0, "depth": 2}, {"rate": 2.0})


def test_settings_fall_back_to_the_first_and_unknown_ones_are_refused():
    assert Named(32, rate=2.0).setting == {"rate": 2.0, "depth": 2}
    with pytest.raises(UserError, match=r"named has no setting 'rat': it has rate, depth\."):
        Named(32, rat=1)


def test_a_peer_answers_nothing_until_it_says_so():
    peer, images = Named(32), torch.rand(2, 3, 32, 32)
    assert peer.parameters == 0
    for answer in (peer.labels, peer.depth, peer.features, peer.pictures, peer.validation_loss):
        assert answer(images) is None


def test_parameters_are_those_that_are_learned():
    peer = Named(32)
    peer.model = torch.nn.Linear(3, 4)
    peer.model.bias.requires_grad_(False)
    assert peer.parameters == 12


def test_loaded_images_are_those_of_the_data_set():
    discs = Discs(10)
    loaded = Loaded(discs)
    assert len(loaded) == 10 and loaded.size == 32 and loaded.fingerprint() == discs.fingerprint()
    torch.testing.assert_close(loaded.batch([3, 1])["image"], discs.images[[3, 1]], atol=1 / 500, rtol=0)
    assert as_bytes(loaded) is loaded.pixels
    assert torch.equal(Loaded.of(loaded.pixels).batch(range(10))["image"], loaded.batch(range(10))["image"])


def test_the_foreground_is_the_discs():
    discs = Discs(8)
    found, true = foreground(discs.images), discs.labels > 0
    assert found.dtype == torch.bool and (found[true]).float().mean() > 0.99
    assert (found & true).sum() / (found | true).sum() > 0.65  # the cue is a pixel wider all round


def test_the_foreground_is_one_piece_without_holes_and_may_be_empty():
    images = torch.full((3, 3, 32, 32), 0.5)
    images[0, :, 8:24, 8:24] = 1.0
    images[0, :, 13:19, 13:19] = 0.5  # a hole
    images[1, :, 4:20, 4:20] = 1.0
    images[1, :, 26:29, 26:29] = 1.0  # a speck
    found = foreground(images)
    assert found[0, 8:24, 8:24].all()
    assert found[1, 12, 12] and not found[1, 27, 27]
    assert not found[2].any()


def test_the_foreground_holds_the_face_of_the_embedded_faces():
    data = SyntheticFaces("validation", 8, 64).batch(range(8))
    face = torch.isin(data["labels"], torch.tensor(FACE_PARTS))
    found = foreground(data["image"])
    assert found[face].float().mean() > 0.99
    head = data["labels"] > 0
    assert (found & head).sum() / (found | head).sum() > 0.85


def test_the_loop_keeps_to_its_budget_and_learns():
    model, discs = torch.nn.Conv2d(3, 3, 1), Loaded(Discs(32))
    heard = []
    started = time.perf_counter()
    record = train_loop(
        model, discs, lambda images: (model(images) - 0.5).square().mean(), 1 / 60, 8, 0.05,
        report=lambda step, loss: heard.append((step, loss)),
    )  # fmt: skip
    assert 0.9 < record["seconds"] <= time.perf_counter() - started < 3
    assert record["steps"] >= 50 and heard[0][0] == 50 and record["loss"] < 0.01
    assert not model.training


def test_the_loop_takes_batches_that_are_made_otherwise():
    model, seen = torch.nn.Linear(1, 1), []

    def loss(batch):
        seen.append(batch.shape)
        return model(batch).square().mean()

    train_loop(model, Discs(4), loss, 0.2 / 60, sample=lambda rng: torch.rand(5, 1, generator=rng))
    assert set(seen) == {(5, 1)}


def test_half_of_what_the_loop_draws_is_mirrored():
    model, discs, seen = torch.nn.Conv2d(3, 3, 1), Loaded(Discs(1)), []

    def loss(images):
        seen.extend(torch.equal(image, discs.batch([0])["image"][0].flip(-1)) for image in images)
        return model(images).square().mean()

    for flip in (True, False):
        with clock(steps=20):
            train_loop(model, discs, loss, 1 / 60, 8, flip=flip)
        share, seen[:] = sum(seen) / len(seen), []
        assert 0.3 < share < 0.7 if flip else share == 0


def test_a_loss_that_is_not_finite_ends_the_loop_with_a_sentence():
    model = torch.nn.Linear(1, 1)
    with pytest.raises(UserError, match=r"the loss is nan in step 1: lower 'lr' \(0.5\)"):
        train_loop(model, Discs(4), lambda images: model.weight.sum() * float("nan"), 1, lr=0.5)


def test_chunks_are_joined():
    images = torch.rand(5, 3, 4, 4)
    assert torch.equal(chunked(lambda part: part.mean(dim=(1, 2, 3)), images, 2), images.mean(dim=(1, 2, 3)))


def test_instability_is_small_for_labels_that_follow_the_picture_and_one_for_others():
    discs = Discs(24)
    red, green, blue = discs.images.unbind(dim=1)

    def by_colour(images):
        strong = images.max(dim=1).values - images.min(dim=1).values > 0.3
        return (images.argmax(dim=1) + 1) * strong

    assert red.shape == green.shape == blue.shape
    follows = instability(by_colour, discs.images, 3)
    ignores = instability(lambda images: torch.randint(1, 4, images[:, 0].shape), discs.images, 3)
    assert follows < 0.25 and 0.95 < ignores < 1.05
    for label in (0, 1):
        fixed = torch.full_like(discs.images[:, 0], label).long()
        assert instability(lambda images, fixed=fixed: fixed, discs.images, 3) == pytest.approx(1)
    assert instability(by_colour, discs.images, 3) == follows
    rare = instability(lambda images: 1 + (by_colour(images) == 3).long(), discs.images, 3)
    assert rare > follows + 0.3, "parts that are not used do not earn anything"


def test_small_changes_are_small_and_repeat_with_a_seed():
    (grid, gain), (again, _) = small_changes(50, 3), small_changes(50, 3)
    assert torch.equal(grid, again) and grid.shape == (50, 2, 3) and gain.shape == (50, 3, 1, 1)
    scale = torch.linalg.det(grid[:, :, :2]).sqrt()
    assert (scale >= 0.9).all() and (scale <= 1.1).all() and grid[:, :, 2].abs().max() <= 0.1
