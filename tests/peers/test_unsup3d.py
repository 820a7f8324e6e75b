"""Unsup3D: sizes as published, a loss that falls, maps that make sense."""

import pytest
import torch
from toys import clock

from igc.data import SyntheticFaces
from igc.errors import UserError
from igc.raster import pytorch3d
from peers.base import Loaded
from peers.unsup3d import BORDER, Unsup3D, Unsup3DNet, features, perceptual, photometric


@pytest.fixture(scope="module")
def faces():
    return Loaded(SyntheticFaces("train", 16, 32))


@pytest.fixture(scope="module")
def images(faces):
    return faces.batch(range(16))["image"]


@pytest.fixture(scope="module")
def fitted(faces):
    torch.manual_seed(0)
    peer = Unsup3D(32, width=16, lr=2e-3, batch_size=8)
    images = faces.batch(range(16))["image"]
    with torch.no_grad():
        before = peer.model.loss(images).item(), peer.validation_loss(images)
    with clock(steps=60):
        peer.fit(faces, 1 / 60)
    return peer, before


def test_the_published_sizes():
    net = Unsup3DNet()
    convolutions = [m for m in net.depth.encode if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 256]
    assert net.light[0][0].out_channels == net.view[0][0].out_channels == 32
    assert net.depth.decode[-1].kernel_size == (5, 5) and net.albedo.decode[-1].out_channels == 3
    assert 36e6 < sum(p.numel() for p in net.parameters()) < 38e6


def test_a_step_on_published_sizes_gives_every_weight_a_gradient():
    net = Unsup3DNet()
    loss = net.loss(torch.rand(2, 3, 64, 64))
    loss.backward()
    assert loss.shape == () and loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_shapes_and_ranges(images):
    net = Unsup3DNet(32, 16)
    out = net(images[:3])
    assert out["depth"].shape == (3, 32, 32) and out["albedo"].shape == out["image"].shape == (3, 3, 32, 32)
    assert ((out["depth"] >= 0.9) & (out["depth"] <= 1.1)).all()
    torch.testing.assert_close(out["depth"][..., [0, 1, -2, -1]], torch.full((3, 32, 4), BORDER))
    assert out["pose"].shape == (3, 6) and out["light"].shape == (3, 5)
    torch.testing.assert_close(out["light"][:, 2:].norm(dim=1), torch.ones(3))
    assert (out["light"][:, 4] < 0).all()
    fine, coarse = net.confidence(2 * images[:3] - 1)
    assert fine.shape == (3, 2, 32, 32) and coarse.shape == (3, 2, 8, 8)
    assert features(images).shape == (16, 27, 8, 8)


def test_the_pose_zero_shows_the_canonical_maps():
    net, size = Unsup3DNet(32, 16), 32
    depth, albedo = torch.ones(1, size, size), torch.rand(1, 3, size, size)
    light = torch.tensor([[0.3, 0.7, 0.0, 0.0, -1.0]])
    out = net.render(depth, albedo, light, torch.zeros(1, 6))
    torch.testing.assert_close(out["image"], albedo, atol=1e-4, rtol=0)
    assert (out["mask"] == 1).all() and torch.allclose(out["view_depth"], depth)


def test_losses_are_least_for_the_truth_and_know_the_mask():
    image, scale, mask = torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32), torch.ones(2, 1, 32, 32)
    assert photometric(image, image, scale, mask).abs() < 1e-5
    assert photometric(1 - image, image, scale, mask) > 0.5
    assert photometric(1 - image, image, scale, 0 * mask) == 0
    seen = features(image)
    assert perceptual(seen, seen, scale[..., ::4, ::4], mask).abs() < 1e-5
    assert perceptual(features(1 - image), seen, scale[..., ::4, ::4], mask) > 0.01


def test_it_learns_on_sixteen_faces(fitted, images):
    peer, (loss, residual) = fitted
    with torch.no_grad():
        assert peer.model.loss(images) < loss - 1
    assert peer.validation_loss(images) < 0.8 * residual


def test_what_it_answers(fitted, images):
    peer, _ = fitted
    depth, normal = peer.depth(images)
    assert peer.labels(images) is None
    assert depth.shape == (16, 32, 32) and normal.shape == (16, 3, 32, 32)
    assert depth.isfinite().all() and (depth > 0).float().mean() > 0.5
    assert ((depth[depth > 0] > 0.7) & (depth[depth > 0] < 1.4)).all()
    length = normal.norm(dim=1)[depth > 0]
    assert torch.allclose(length, torch.ones_like(length), atol=1e-4)
    assert peer.features(images).shape == (16, 128) and peer.pictures(images).shape == images.shape
    assert peer.parameters == sum(p.numel() for p in peer.model.parameters()) > 5e5


def test_what_will_not_do_is_refused():
    with pytest.raises(UserError, match="power of two"):
        Unsup3DNet(48)
    with pytest.raises(UserError, match="multiple of 8"):
        Unsup3DNet(64, 20)
    with pytest.raises(UserError, match="choose one of grid"):
        Unsup3DNet(64, rasteriser="opengl")
    with pytest.raises(UserError, match="no setting"):
        Unsup3D(64, depth=3)


@pytest.mark.skipif(not pytorch3d.available(), reason="PyTorch3D is not installed")
def test_the_backends_agree(images):
    torch.manual_seed(1)
    ours, theirs = Unsup3DNet(32, 16), Unsup3DNet(32, 16, "pytorch3d")
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours.loss(images), theirs.loss(images), atol=0.02, rtol=0.02)
