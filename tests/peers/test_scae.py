"""SCAE: geometry of its templates, its mixture, and coloured shapes that it must find."""

import pytest
import torch
from toys import clock, train

from igc.errors import UserError
from igc.metrics import part_scores
from peers.base import Loaded
from peers.scae import SCAE, ObjectCapsules, affine, chain, joint, place, spread, winners

COLOURS = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.8, 0.2], [0.15, 0.2, 0.9]])
HOMES = torch.tensor([[9.0, 10.0], [23.0, 10.0], [16.0, 22.0]])


class Shapes:
    """A square, a disc and a triangle in three colours on grey, each wandering about its own place."""

    size = 32

    def __init__(self, count, wander=4.0, seed=0):
        rng = torch.Generator().manual_seed(seed)
        at = HOMES + wander * (2 * torch.rand(count, 3, 2, generator=rng) - 1)
        y, x = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
        x, y = x - at[..., 0, None, None], y - at[..., 1, None, None]
        square = (x[:, 0].abs() < 4.5) & (y[:, 0].abs() < 4.5)
        disc = x[:, 1].square() + y[:, 1].square() < 25
        triangle = (y[:, 2] < 4.5) & (x[:, 2].abs() < 0.6 * (y[:, 2] + 5))
        self.labels, self.image = (
            torch.zeros(count, 32, 32, dtype=torch.int64),
            torch.full((count, 3, 32, 32), 0.5),
        )
        for i, shape in enumerate((square, disc, triangle)):
            self.labels[shape] = i + 1
            self.image = torch.where(shape[:, None], COLOURS[i][:, None, None], self.image)

    def __len__(self):
        return len(self.image)

    def fingerprint(self):
        return "shapes"

    def batch(self, indices, truth=False):
        return {"image": self.image[list(indices)]}


@pytest.fixture(scope="module")
def fitted():
    peer = SCAE(32, 3, 0, width=32, lr=3e-3)
    train(peer.model, Shapes(256).image, 100)
    return peer


def test_fit_learns_within_its_budget():
    peer, data, heard = SCAE(32, 3, 0, width=32, lr=3e-3), Loaded(Shapes(64)), []
    with torch.no_grad():
        before = peer.model.loss(Shapes(32, seed=5).image)
    with clock(steps=40):
        peer.fit(data, 1.5 / 60, lambda step, loss: heard.append((step, loss)))
    assert not peer.model.training and heard and all(step % 50 == 0 for step, _ in heard)
    with torch.no_grad():
        assert peer.model.loss(Shapes(32, seed=5).image) < before


def test_it_finds_shapes_that_wander(fitted):
    test = Shapes(64, seed=1)
    labels = fitted.labels(test.image)
    assert part_scores(labels, test.labels, (1, 2, 3))["ari"] > 0.6
    assert ((labels > 0) == (test.labels > 0)).float().mean() > 0.9
    assert fitted.validation_loss(test.image) < 0.5
    blank = (test.image - 0.5).square().mean()
    assert (fitted.pictures(test.image) - test.image).square().mean() < 0.75 * blank


def test_what_it_answers(fitted):
    images = Shapes(5, seed=2).image
    labels = fitted.labels(images)
    assert (
        labels.shape == (5, 32, 32) and labels.dtype == torch.int64 and 0 <= labels.min() <= labels.max() <= 3
    )
    assert fitted.features(images).shape == (5, 8 + 17 * 3) and fitted.pictures(images).shape == images.shape
    assert fitted.depth(images) is None and fitted.parameters > 10000
    assert ((fitted.pictures(images) >= 0) & (fitted.pictures(images) <= 1)).all()


def test_templates_are_drawn_where_the_pose_says():
    template = torch.ones(1, 1, 11, 11)
    pose = torch.tensor([[[[0.25, 0.0, 0.5], [0.0, 0.5, -0.25]]]])
    drawn = place(template, pose, 32)[0, 0, 0] > 0.5
    y, x = drawn.nonzero(as_tuple=True)
    assert (x.min(), x.max(), y.min(), y.max()) == (20, 27, 4, 19), (
        "x from 0.25 to 0.75, y from -0.75 to 0.25"
    )
    assert drawn.sum() == 8 * 16


def test_affine_maps():
    raw = torch.randn(50, 6)
    pose = affine(raw, 0.7)
    assert pose.shape == (50, 2, 3) and torch.equal(pose[..., 2], raw[:, 4:])
    assert (torch.linalg.det(pose[:, :, :2]) > 0).all()
    still = affine(torch.zeros(6), 0.7)
    torch.testing.assert_close(still, torch.tensor([[0.39, 0.0, 0.0], [0.0, 0.39, 0.0]]))
    point, outer, inner = torch.randn(3), pose[0], pose[1]
    point[2] = 1
    once = torch.cat((inner @ point, torch.ones(1)))
    torch.testing.assert_close(chain(outer, inner) @ point, outer @ once)


def test_the_likeliest_component_wins():
    colour = torch.tensor([0.0, 1.0, 0.5])[None, :, None, None, None].expand(1, 3, 3, 1, 3)
    images = torch.tensor([0.1, 0.95, 0.5]).expand(1, 3, 1, 3)
    weight = torch.full((1, 3, 1, 3), 1 / 3).log()
    assert winners(joint(images, weight, colour, 0.1)).tolist() == [[[1, 2, 0]]]


def test_objects_learn_how_parts_move_together():
    objects = ObjectCapsules(4)
    optimiser = torch.optim.Adam(objects.parameters(), 3e-3)
    still = torch.randn(4, 6)

    def capsules():
        moved = still + torch.cat((torch.zeros(32, 1, 4), 0.5 * torch.randn(32, 1, 2)), dim=-1)
        return affine(moved), torch.ones(32, 4), torch.zeros(32, 4, 16)

    first = objects.loss(*capsules()).item()
    for _ in range(100):
        loss = objects.loss(*capsules())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert objects.loss(*capsules()).item() < first - 1
    active, votes, weight, spread_ = objects(*capsules())
    assert (
        active.shape == (32, 8)
        and votes.shape == (32, 8, 4, 2, 3)
        and weight.shape == spread_.shape == (32, 8, 4)
    )


def test_places_are_apart_and_inside():
    places = spread(6)
    assert places.abs().max() < 0.7 and torch.pdist(places).min() > 0.2


def test_an_unknown_setting_is_refused():
    with pytest.raises(UserError, match="no setting 'templates'"):
        SCAE(32, templates=3)
