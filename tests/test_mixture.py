"""Which part a canonical point belongs to: a mixture of Gaussians, by the EM algorithm."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from igc.mixture import NOISE, Mixture, em_step

H, INSIDE, NONE = 16, torch.ones(16, 16, dtype=torch.bool), torch.zeros(64, 16, 16)


@pytest.fixture
def mixture():
    torch.manual_seed(0)
    return Mixture(4, INSIDE)


def learn(mixture, colour, normal, seen=None, times=1, error=NONE, bright=None):
    """What as many steps of training tell."""
    seen = torch.ones(len(colour), H, H) if seen is None else seen
    bright = colour.mean(dim=1) if bright is None else bright
    for _ in range(times):
        mixture.update(colour, normal, error[: len(colour)], bright, seen)


def pictures(count=64, noise=0.05):
    """Colours and normals (B, 3, H, H) of faces with four regions that differ in colour and slope, and the
    regions (H, H): a dark band above, a red mouth, a middle that bends, and the rest."""
    generator = torch.Generator().manual_seed(0)
    region = torch.full((H, H), 3)
    region[2:5], region[11:14, 5:11], region[6:10, 6:10] = 0, 1, 2
    colour = torch.tensor([[0.1, 0.1, 0.1], [0.8, 0.2, 0.2], [0.7, 0.6, 0.5], [0.7, 0.6, 0.5]])[region]
    normal = torch.tensor([[0.0, 0, -1], [0, 0, -1], [0.9, 0, -0.4], [0, 0, -1]])[region].movedim(-1, 0)
    normal[0] *= torch.where(torch.arange(H) < H // 2, -1, 1)
    colour = colour.movedim(-1, 0) + noise * torch.randn(count, 3, H, H, generator=generator)
    return colour, normal.expand(count, -1, -1, -1), region


def agreement(mixture, region):
    """Share of points in the regions that the parts which fit best have."""
    parts = torch.nn.functional.one_hot(mixture(H).argmax(dim=0), len(mixture.logits)).flatten(0, 1).float()
    truth = torch.nn.functional.one_hot(region, 4).flatten(0, 1).float()
    return float((parts.T @ truth).amax(dim=1).sum() / H**2)


def test_regions_that_look_or_bend_alike_become_parts(mixture):
    colour, normal, region = pictures()
    before = agreement(mixture, region)
    learn(mixture, colour, normal, times=30)
    mixture.search(0)
    assert agreement(mixture, region) > 0.9 > before + 0.1


@pytest.mark.parametrize(("cues", "found"), [("albedo", False), ("shape", True), ("both", True)])
def test_only_the_cues_that_are_asked_for_are_used(cues, found):
    """What only bends is not found by its albedo."""
    torch.manual_seed(0)
    mixture = Mixture(2, INSIDE, cues)
    colour, normal, region = pictures(noise=0.2)
    learn(mixture, torch.full_like(colour, 0.5), 5 * normal, times=30)
    mixture.search(0)
    best = overlap(mixture, region == 2)
    assert best > 0.6 if found else best < 0.4


def test_what_varies_together_is_one_part():
    """Two regions of one colour, each of which is brighter in some faces and darker in others."""
    torch.manual_seed(0)
    mixture, (colour, normal, region) = Mixture(2, INSIDE), pictures()
    inside = (region == 1) | (region == 2)
    own = 0.1 * torch.randn(64, 2, generator=torch.Generator().manual_seed(1))
    bright = 0.5 + torch.where(inside, own[:, 0, None, None], own[:, 1, None, None])
    grey = torch.full_like(colour, 0.5)
    learn(mixture, grey, torch.zeros_like(normal), times=30)
    mixture.search(0)
    blind = overlap(mixture, inside)
    learn(mixture, grey, torch.zeros_like(normal), times=200, bright=bright)
    mixture.search(0)
    assert overlap(mixture, inside) > 0.8 > blind + 0.3


def overlap(mixture, region):
    """Of `region` (H, H) bool and the part that fits it best: intersection over union."""
    parts = torch.nn.functional.one_hot(mixture(H).argmax(dim=0), len(mixture.logits)).movedim(-1, 0).float()
    return max(float((each * region).sum() / torch.maximum(each, region.float()).sum()) for each in parts)


def test_a_step_is_that_of_another_implementation(monkeypatch):
    """Points without a covariance of their own: one M and E step of scikit-learn's mixture."""
    monkeypatch.setattr("igc.mixture.LEAST", 0)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 3)) + 3 * rng.integers(0, 2, size=(60, 1))
    soft = rng.dirichlet(np.ones(2), size=60)
    other = GaussianMixture(2, reg_covar=1e-3, max_iter=1)
    other._initialize(points, soft)
    likely, expected = other._estimate_log_prob_resp(points)
    covariance = 1e-3 * torch.eye(3).expand(60, 3, 3)
    logits = torch.tensor(soft.T).log()[:, None]
    found, likelihood = em_step(
        logits.float(), torch.tensor(points).float(), covariance, *torch.full((2, 60), 1 / 60)
    )
    torch.testing.assert_close(found[:, 0].exp(), torch.tensor(np.exp(expected)).T.float(), atol=1e-4, rtol=0)
    constant = 1.5 * math.log(2 * math.pi)  # left out, and half a point's own covariance is counted besides
    inverse = torch.linalg.inv(torch.tensor(other.covariances_))
    own = 0.5e-3 * (torch.tensor(np.exp(expected)) * inverse.diagonal(dim1=1, dim2=2).sum(-1)).sum(1).mean()
    assert float(likelihood) == pytest.approx(np.mean(likely) + constant - float(own), abs=2e-3)


def test_likelihood_never_falls(mixture, monkeypatch):
    """But where a part begins again."""
    monkeypatch.setattr("igc.mixture.LEAST", 0)
    colour, normal, _ = pictures()
    learn(mixture, colour, normal)
    logits, course = mixture.logits, []
    for _ in range(30):
        logits, likely = em_step(logits, *mixture.points())
        course.append(float(likely))
    assert all(b >= a - 1e-4 for a, b in pairwise(course)) and course[-1] > course[0] + 0.1


def test_points_that_nobody_knows_weigh_less(mixture):
    colour, normal, _ = pictures()
    colour[:, :, :8] += 0.3 * torch.randn(len(colour), 3, 8, H)
    seen = torch.ones(len(colour), H, H)
    seen[:, :, :2] = seen[:, :, -2:] = 0.1
    learn(mixture, colour, normal, seen)
    weight = mixture.points()[2].view(H, H // 2)
    assert weight[:8].mean() < 0.3 * weight[8:].mean()
    assert weight[8:, -2:].mean() < 0.2 * weight[8:, :-2].mean()
    assert float(weight.sum()) == pytest.approx(1)


def test_colours_that_are_drawn_badly_tell_less(mixture):
    colour, normal, _ = pictures()
    error = torch.zeros_like(NONE)
    error[:, :8] = 0.2
    learn(mixture, colour, normal, error=error)
    _, covariance, weight, _ = mixture.points()
    covariance, weight = covariance.view(H, H // 2, 13, 13), weight.view(H, H // 2)
    more = covariance[:8].mean(dim=(0, 1)) - covariance[8:].mean(dim=(0, 1))
    torch.testing.assert_close(more[2:5, 2:5], 0.04 * torch.eye(3), atol=2e-3, rtol=0)
    assert weight[:8].mean() < 0.2 * weight[8:].mean()


def test_statistics_are_those_of_the_faces_and_their_mirror_images(mixture):
    colour, normal = torch.rand(5, 3, H, H), torch.randn(5, 3, H, H)
    seen = (torch.rand(5, H, H) > 0.3).float()
    learn(mixture, colour, normal, seen)
    row, column = 3, 12
    across = [*normal[:, 0, row, column], *-normal[:, 0, row, H - 1 - column]]
    there = torch.cat((seen[:, row, column], seen[:, row, H - 1 - column]))
    values = torch.stack(across)[there > 0]
    features, covariance, *_ = mixture.points()
    index = row * (H // 2) + column - H // 2
    assert features[index, 0] == (column + 0.5) / 8 - 1 and features[index, 1] == (row + 0.5) / 8 - 1
    torch.testing.assert_close(features[index, 5], values.mean())
    torch.testing.assert_close(covariance[index, 5, 5], values.var(correction=0) + NOISE["normal"][0])


def test_layouts_of_all_sizes_are_mirror_symmetric_and_say_the_same(mixture):
    learn(mixture, *pictures()[:2], times=3)
    mixture.search(0)
    small, large = mixture(H), mixture(4 * H)
    assert torch.equal(large, large.flip(-1)) and large.shape == (4, 64, 64)
    near = torch.nn.functional.interpolate(large[None], (H, H), mode="area")[0]
    assert (near.argmax(dim=0) == small.argmax(dim=0)).float().mean() > 0.9
    assert torch.equal(small[..., H // 2 :], mixture.logits)


def test_a_part_that_vanishes_begins_again(mixture):
    learn(mixture, *pictures()[:2])
    mixture.logits[2] = -30.0
    mixture.search(0)
    assert (mixture(H).argmax(dim=0) == 2).any()


def test_a_part_that_the_face_leaves_comes_back(mixture):
    colour, normal, _ = pictures()
    learn(mixture, colour, normal, times=40)
    mixture.search(0)
    gone = mixture(H).argmax(dim=0) == mixture.logits.flatten(1).softmax(dim=0).sum(dim=1).argmin()
    seen = (~gone).float().expand(64, -1, -1)
    learn(mixture, colour, normal, seen, times=100)
    mixture.search(0)
    shares = torch.nn.functional.one_hot(mixture(H).argmax(dim=0)[~gone], 4).float().mean(dim=0)
    assert shares.min() > 0.01, shares


def test_of_two_parts_that_lie_on_one_another_one_goes_back(mixture):
    learn(mixture, *pictures()[:2])
    mixture.logits[1] = mixture.logits[0]
    mixture.search(0)
    assert len(mixture(H).argmax(dim=0).unique()) == 4


def test_the_search_keeps_the_likeliest_and_the_numbers_of_the_parts(mixture):
    colour, normal, _ = pictures()
    learn(mixture, colour, normal, times=10)
    before, state = mixture(H).argmax(dim=0), torch.get_rng_state()
    likely = em_step(mixture.logits, *mixture.points())[1]
    mixture.search(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert em_step(mixture.logits, *mixture.points())[1] >= likely - 1e-4
    stays = (mixture(H).argmax(dim=0) == before).float().mean()
    assert stays > 0.5, "parts that stay where they are keep their numbers"


def test_what_is_no_number_ends_as_no_number_and_not_as_an_error(mixture):
    colour, normal, _ = pictures()
    learn(mixture, colour * torch.nan, normal)
    mixture.search(0)
    assert mixture.logits.isnan().any()


def test_nothing_tells_up_from_down(mixture):
    colour, normal, _ = pictures()
    torch.manual_seed(0)
    other = Mixture(4, INSIDE)
    other.logits.copy_(mixture.logits.flip(-2))
    down = torch.tensor([1.0, -1.0, 1.0])[:, None, None]
    learn(mixture, colour, normal, times=20)
    learn(other, colour.flip(-2), normal.flip(-2) * down, times=20)
    for each in (mixture, other):
        for _ in range(20):
            each.logits.copy_(em_step(each.logits, *each.points())[0])
    assert (mixture(H).argmax(dim=0).flip(-2) == other(H).argmax(dim=0)).float().mean() > 0.98


def test_it_is_kept_in_a_checkpoint(mixture):
    learn(mixture, *pictures()[:2])
    torch.manual_seed(1)
    other = Mixture(4, INSIDE)
    other.load_state_dict(mixture.state_dict())
    assert torch.equal(other(H), mixture(H)) and other.steps == 1
