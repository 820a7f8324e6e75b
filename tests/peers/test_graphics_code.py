"""The graphics code: units that answer to their factor, on discs and on drawn faces."""

import pytest
import torch

from igc.data import SyntheticFaces
from igc.errors import UserError
from igc.metrics import correlation
from peers.base import Loaded
from peers.graphics_code import ALL, FACTORS, GraphicsCode, GraphicsCodeNet, Varied, clamp, vary

SIZE = 16
VARIES = ("pitch", "yaw", "light")


def discs(numbers):
    """Discs on a ground: numbers (B, 3) in [0, 1] are their height, their place from left to right, and the
    brightness of the ground; images (B, 3, 16, 16)."""
    at = 4 + 8 * numbers
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    square = (y - at[:, 0, None, None]).square() + (x - at[:, 1, None, None]).square()
    inside = (3.5 - square.sqrt() + 0.5).clamp(0, 1)[:, None]
    ground = (0.1 + 0.4 * numbers[:, 2])[:, None, None, None]
    return inside * torch.tensor([0.8, 0.2, 0.9])[:, None, None] + (1 - inside) * ground


def one_varies(rng, count=16):
    """A batch of discs in which one factor varies, and the factor's name; every second one varies in all."""
    if torch.rand((), generator=rng) < 0.5:
        return discs(torch.rand(count, 3, generator=rng)), ALL
    which = int(torch.randint(len(VARIES), (), generator=rng))
    numbers = torch.rand(1, 3, generator=rng).repeat(count, 1)
    numbers[:, which] = torch.rand(count, generator=rng)
    return discs(numbers), VARIES[which]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net, rng = GraphicsCodeNet(SIZE, units=4), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=400, pct_start=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        net.loss(one_varies(rng)).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def code_of(net, numbers):
    return net(discs(numbers))[0]


@pytest.mark.parametrize("factor", VARIES)
def test_units_answer_to_their_factor(net, factor):
    numbers, where = torch.rand(128, 3), net.where[factor]
    code = code_of(net, numbers)[:, where]
    truth = numbers[:, VARIES.index(factor)]
    assert max(abs(correlation(unit, truth)) for unit in code.unbind(1)) > 0.75
    numbers = numbers[:1].repeat(32, 1)
    numbers[:, VARIES.index(factor)] = torch.linspace(0, 1, 32)
    spread = code_of(net, numbers).std(dim=0)
    others = torch.ones(net.units, dtype=torch.bool)
    others[where] = False
    assert spread[where].max() > 1.5 * spread[others].mean()


def test_pictures_follow_the_code(net):
    numbers = torch.rand(64, 3)
    with torch.no_grad():
        seen = net.decoder(code_of(net, numbers))
    assert (seen - discs(numbers)).square().mean() < 0.5 * discs(numbers).var()


def test_clamped_units_are_the_mean_and_get_no_gradient():
    mean = torch.randn(8, 5, requires_grad=True)
    code, astray = clamp(2 * mean, mean, slice(1, 3))
    torch.testing.assert_close(code[:, [0, 3, 4]], mean[:, [0, 3, 4]].mean(dim=0).expand(8, -1))
    assert torch.equal(code[:, 1:3], 2 * mean[:, 1:3])
    (gradient,) = torch.autograd.grad(code.sum(), mean, retain_graph=True)
    assert (gradient[:, 1:3] == 2).all() and (gradient[:, [0, 3, 4]] == 0).all()
    (pull,) = torch.autograd.grad(astray, mean)
    away = (mean - mean.mean(dim=0)) / mean.numel()
    torch.testing.assert_close(pull[:, [0, 3, 4]], away[:, [0, 3, 4]])
    assert (pull[:, 1:3] == 0).all()


def test_one_factor_varies_in_a_batch_of_faces():
    faces, who = SyntheticFaces("train", 64, 32), [3, 20, 41]
    whole = faces.batch(who, truth=False)["image"]
    for factor in FACTORS:
        images = vary(faces, factor, who)
        assert images.shape == (3, 3, 32, 32)
        torch.testing.assert_close(images[0], whole[0], msg="the first is as it was")
        assert (images[1] - images[0]).abs().max() > 0.01, factor
    # only the scene changes the corner of the picture; the albedo leaves the outline, the pose does not
    corner = {factor: vary(faces, factor, who)[:, :, 0, 0] for factor in ("yaw", "albedo", "scene")}
    assert torch.equal(corner["yaw"][0], corner["yaw"][1]) and torch.equal(*corner["albedo"][:2])
    assert not torch.equal(*corner["scene"][:2])


def test_fit_and_what_it_answers():
    faces = SyntheticFaces("train", 32, 32)
    images = faces.batch(range(6), truth=False)["image"]
    peer = GraphicsCode(32, units=8)
    before = peer.validation_loss(images)
    peer.fit(faces, 3 / 60)
    assert peer.validation_loss(images) < before
    assert peer.features(images).shape == (6, 16) and peer.units(images, "yaw", "light").shape == (6, 5)
    assert peer.pictures(images).shape == images.shape
    assert peer.depth(images) is None and peer.labels(images) is None
    assert peer.given == "controlled factors" and peer.parameters > 10000


def test_batches_are_used_again():
    varied, rng = Varied(SyntheticFaces("train", 64, 16)), torch.Generator().manual_seed(0)
    found = [varied(rng) for _ in range(40)]
    assert 16 <= len(varied.kept) < 30
    assert {name for _, name in found} >= {ALL, "shape", "albedo"}
    assert all(images.shape == (16, 3, 16, 16) and images.max() <= 1 for images, _ in found)


def test_what_will_not_do_is_refused():
    with pytest.raises(UserError, match="SyntheticFaces"):
        GraphicsCode(32).fit(Loaded(SyntheticFaces("train", 2, 32)), 0.01)
    with pytest.raises(UserError, match="no setting"):
        GraphicsCode(32, factors=3)
