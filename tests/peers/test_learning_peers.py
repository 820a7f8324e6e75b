"""The auto-encoder, concentration and SCOPS, and our own row: what learns by gradient."""

import time

import pytest
import torch
from toys import Discs, clock, learns

from igc import UserError
from peers.autoencoder import AutoEncoder
from peers.base import Loaded
from peers.concentration import Concentration, Network, Scops, centres, concentrated, equivariant
from peers.ours import OnTheClock, Ours


@pytest.mark.parametrize("kind", [Concentration, Scops])
def test_a_network_that_segments_finds_the_discs(kind):
    peer = kind(32, 3)
    assert ("semantic" in peer.setting) == (kind is Scops)
    assert learns(peer)
    labels = peer.labels(Discs(4, seed=2).images)
    assert (
        labels.shape == (4, 32, 32)
        and labels.dtype == torch.int64
        and set(labels.unique().tolist()) <= {0, 1, 2, 3}
    )
    assert peer.validation_loss(Discs(16, seed=2).images) < 0.6


def test_concentration_is_the_mean_squared_distance_to_the_centre():
    parts = torch.zeros(1, 2, 8, 8)
    parts[0, 0, 2, 1] = parts[0, 0, 2, 5] = 1  # two pixels, 4 apart: half a unit from the middle each
    parts[0, 1, 4, 4] = 1
    assert float(concentrated(parts)) == pytest.approx(0.5 * 0.25, rel=0.01)
    centre, area = centres(parts)
    torch.testing.assert_close(area, torch.tensor([[2.0, 1.0]]), atol=0.01, rtol=0)
    torch.testing.assert_close(centre[0, 1], torch.tensor([0.125, 0.125]), atol=0.01, rtol=0)


def test_a_network_that_follows_colours_is_equivariant_and_one_that_follows_places_is_not():
    images = Discs(8).images

    class ByColour(torch.nn.Module):
        def forward(self, images):
            small = torch.nn.functional.avg_pool2d(images, 2)
            share = small / small.sum(dim=1, keepdim=True)
            return (20 * torch.cat((share, torch.full_like(share[:, :1], 0.5)), dim=1)).softmax(dim=1)

    class ByPlace(torch.nn.Module):
        def forward(self, images):
            stripes = (torch.arange(16) // 2 % 4)[:, None].expand(16, 16)
            return (
                torch.nn.functional.one_hot(stripes, 4)
                .permute(2, 0, 1)
                .float()
                .expand(len(images), -1, -1, -1)
            )

    follows, ignores = (float(equivariant(net, images, net(images))) for net in (ByColour(), ByPlace()))
    assert follows < 0.3 * ignores


def test_parts_and_background_sum_to_one_and_differ_from_the_start():
    soft = Network(4)(torch.rand(2, 3, 32, 32))
    assert soft.shape == (2, 5, 16, 16)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(2, 16, 16))
    assert soft.std() > 0.05


def test_an_auto_encoder_learns_to_draw():
    peer, train, test = AutoEncoder(32, code=64, lr=2e-3), Discs(), Discs(32, seed=1)
    blank = float((test.images - train.images.mean(dim=0)).abs().mean())
    with clock(steps=300):
        peer.fit(train, 1 / 60)
    assert peer.validation_loss(test.images) < 0.7 * blank
    assert peer.features(test.images).shape == (32, 64)
    pictures = peer.pictures(test.images)
    assert pictures.shape == test.images.shape and 0 <= pictures.min() and pictures.max() <= 1
    assert peer.labels(test.images) is None and peer.depth(test.images) is None and peer.parameters > 1000


def test_an_auto_encoder_s_code_depends_on_the_image_alone():
    peer, images = AutoEncoder(32), torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(peer.features(images)[1:2], peer.features(images[1:2]), atol=1e-5, rtol=1e-4)


def test_ours_answers_everything_after_a_fit_that_keeps_to_its_budget():
    peer, discs = Ours(32), Discs(64)
    untrained = peer.validation_loss(discs.images)
    started = time.perf_counter()
    peer.fit(Loaded(discs), 8 / 60)
    assert 2 < time.perf_counter() - started < 24
    assert peer.validation_loss(discs.images) < untrained
    images = discs.images[:5]
    labels, (depth, normal) = peer.labels(images), peer.depth(images)
    assert labels.shape == depth.shape == (5, 32, 32) and normal.shape == (5, 3, 32, 32)
    assert peer.features(images).shape[0] == peer.looked(images).shape[0] == 5
    assert peer.pictures(images).shape == images.shape and peer.parameters > 1000


def test_ours_that_is_stopped_before_the_time_is_up_does_not_pass_for_fitted(monkeypatch):
    def press(run, images):
        raise KeyboardInterrupt

    monkeypatch.setattr(OnTheClock, "step", press)
    with pytest.raises(KeyboardInterrupt):
        Ours(32).fit(Discs(32), 1.0)


def test_ours_wants_a_batch_of_images():
    with pytest.raises(UserError, match=r"'images' \(8\) is less than a batch \(16\)"):
        Ours(32).fit(Discs(8), 0.01)
