"""HP-Capsule: subparts that find coloured shapes, and a parsing that gathers them into parts."""

import pytest
import torch
from toys import clock, train

from igc.errors import UserError
from igc.metrics import part_scores
from peers.base import Loaded
from peers.hp_capsule import HPCapsule, HPCapsuleNet, ParsingModule

COLOURS = torch.tensor([[0.9, 0.15, 0.1], [0.1, 0.75, 0.2], [0.15, 0.2, 0.9]])
HOMES = torch.tensor([[9.0, 10.0], [23.0, 10.0], [16.0, 22.0]])


class Blocks:
    """Three blocks in three colours on grey, each wandering about its own place by up to 4 pixels."""

    size = 32

    def __init__(self, count, seed=0):
        rng = torch.Generator().manual_seed(seed)
        at = HOMES + 8 * torch.rand(count, 3, 2, generator=rng) - 4
        y, x = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
        x, y = x - at[..., 0, None, None], y - at[..., 1, None, None]
        self.labels = torch.zeros(count, 32, 32, dtype=torch.int64)
        self.image = torch.full((count, 3, 32, 32), 0.5)
        for i in range(3):
            block = (x[:, i].abs() < 4.5) & (y[:, i].abs() < 5)
            self.labels[block] = i + 1
            self.image = torch.where(block[:, None], COLOURS[i][:, None, None], self.image)

    def __len__(self):
        return len(self.image)

    def fingerprint(self):
        return "blocks"

    def batch(self, indices, truth=False):
        return {"image": self.image[list(indices)]}


@pytest.fixture(scope="module")
def fitted():
    peer = HPCapsule(32, 3, 0, subparts=6, width=32, lr=3e-3, batch_size=16)
    train(peer.model, Blocks(256).image, 110)
    return peer


def test_fit_learns_within_its_budget():
    peer, data, heard = (
        HPCapsule(32, 3, 0, subparts=6, width=32, lr=3e-3, batch_size=16),
        Loaded(Blocks(64)),
        [],
    )
    with torch.no_grad():
        before = peer.model.loss(Blocks(32, seed=5).image)
    with clock(steps=40):
        peer.fit(data, 1.5 / 60, lambda step, loss: heard.append((step, loss)))
    assert not peer.model.training and heard and all(step % 50 == 0 for step, _ in heard)
    with torch.no_grad():
        assert peer.model.loss(Blocks(32, seed=5).image) < before


def test_it_finds_blocks_that_wander(fitted):
    test = Blocks(64, seed=1)
    labels = fitted.labels(test.image)
    assert part_scores(labels, test.labels, (1, 2, 3))["ari"] > 0.6
    assert ((labels > 0) == (test.labels > 0)).float().mean() > 0.85
    assert fitted.validation_loss(test.image) < 0.5
    blank = (test.image - 0.5).square().mean()
    assert (fitted.pictures(test.image) - test.image).square().mean() < 0.75 * blank


def test_every_subpart_belongs_to_one_part(fitted):
    capsules = fitted.model.encoder(Blocks(32, seed=3).image)
    assignment, _, _ = fitted.model.parse(*capsules)
    torch.testing.assert_close(assignment.sum(dim=1), torch.ones(32, 6))
    assert assignment.amax(dim=1).mean() > 0.9, "sharp"
    assert assignment.mean(dim=(0, 2)).min() > 0.1, "no part is empty"


def test_what_it_answers(fitted):
    images = Blocks(5, seed=2).image
    labels = fitted.labels(images)
    assert (
        labels.shape == (5, 32, 32) and labels.dtype == torch.int64 and 0 <= labels.min() <= labels.max() <= 3
    )
    assert fitted.features(images).shape == (5, 17 * 6)
    pictures = fitted.pictures(images)
    assert pictures.shape == images.shape and pictures.min() >= 0 and pictures.max() <= 1
    assert fitted.depth(images) is None and fitted.parameters > 10000


def test_regions_share_out_every_pixel():
    net = HPCapsuleNet(32, 4, 8, 16)
    regions = net.regions(torch.rand(3, 3, 32, 32))
    assert regions.shape == (3, 5, 32, 32) and (regions >= 0).all()
    torch.testing.assert_close(regions.sum(dim=1), torch.ones(3, 32, 32), atol=1e-4, rtol=0)


def test_large_images_are_drawn_at_half_their_size_while_it_is_fitted():
    net = HPCapsuleNet(64, 3, 6, 16)
    loss = net.loss(torch.rand(2, 3, 64, 64))
    loss.backward()
    assert loss.shape == () and all(p.grad is not None for p in net.parameters())
    sizes = []
    net.templates.register_forward_hook(lambda module, inputs, out: sizes.append(out[0].shape[-1]))
    net.loss(torch.rand(2, 3, 64, 64))
    assert sizes == [32, 32]
    assert net.regions(torch.rand(1, 3, 64, 64)).shape == (1, 4, 64, 64)


def test_parts_predict_their_subparts(fitted):
    pose, visibility, special = fitted.model.encoder(Blocks(64, seed=4).image)
    assignment, _, votes = fitted.model.parse(pose, visibility, special)
    own = (assignment[..., None, None] * votes).sum(dim=1)

    def error(poses):
        return ((own - poses).flatten(2).square().sum(dim=-1) * visibility).sum() / visibility.sum()

    assert error(pose) < 0.9 * error(pose.roll(1, dims=0)), "of this image, and not of another one"


def test_a_part_lies_among_its_subparts():
    parse = ParsingModule(5, 2)
    pose = torch.eye(2, 3).expand(3, 5, 2, 3)
    assignment, whole, votes = parse(pose, torch.ones(3, 5), torch.zeros(3, 5, 16))
    assert assignment.shape == (3, 2, 5) and whole.shape == (3, 2, 2, 3) and votes.shape == (3, 2, 5, 2, 3)
    assert whole[..., 2].abs().max() < 0.5
    moved = pose.clone()
    moved[..., 2] += 2.0
    _, away, _ = parse(moved, torch.ones(3, 5), torch.zeros(3, 5, 16))
    assert (away[..., 2] - 2).abs().max() < 0.5


def test_an_even_and_sharp_assignment_costs_least():
    net = HPCapsuleNet(32, 2, 4, 16)
    visible, even = torch.ones(3, 4), torch.zeros(3, 2, 4)
    even[:, 0, :2] = even[:, 1, 2:] = 1
    lopsided = torch.zeros(3, 2, 4)
    lopsided[:, 0] = 1
    undecided = torch.full((3, 2, 4), 0.5)
    best = net.sharp_and_even(even, visible)
    assert best.abs() < 1e-3
    assert net.sharp_and_even(lopsided, visible) > best + 0.5
    assert net.sharp_and_even(undecided, visible) > best + 0.1


def test_what_will_not_do_is_refused():
    with pytest.raises(UserError, match="a subpart for every part"):
        HPCapsule(32, 6, subparts=4)
    with pytest.raises(UserError, match="no setting"):
        HPCapsule(32, 6, capsules=4)
