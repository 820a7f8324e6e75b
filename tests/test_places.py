"""Places: a part that is moved or stretched takes its points along, without seams."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from igc.capsules import initial_support
from igc.mixture import Mixture
from igc.places import FARTHEST, places, shift_of_points

FOV, S, M = math.radians(10), 32, 4
HALF = math.tan(FOV / 2)


@pytest.fixture
def share():
    """Shares (M, S/2, S/2) of a layout of four parts."""
    return Mixture(M, initial_support(16) > 0)(S // 2).softmax(dim=0)


def axis(size=S):
    return (torch.arange(size) + 0.5) * (2 / size) - 1


def test_places_are_small_numbers_of_either_sign():
    found = places(torch.tensor([-100.0, -0.1, 0.0, 0.1, 100.0]))
    assert found[2] == 0 and torch.equal(found, -found.flip(0))
    torch.testing.assert_close(found[[0, 4]], torch.tensor([-FARTHEST, FARTHEST]))
    torch.testing.assert_close(found[3], torch.tensor(FARTHEST * 0.1), rtol=1e-2, atol=0)


def test_faces_in_their_places_are_not_moved(share):
    assert (shift_of_points(torch.zeros(2, M, 3), share, S, FOV) == 0).all()


def test_parts_that_go_down_together_take_everything_along(share):
    place = torch.zeros(1, M, 3)
    place[..., 0] = 0.1
    across, down = shift_of_points(place, share, S, FOV)[0]
    assert (across == 0).all()
    torch.testing.assert_close(down, torch.full((S, S), 0.1 * HALF))


def test_one_part_that_goes_down_moves_its_own_points_and_not_the_others(share):
    place, part = torch.zeros(1, M, 3), 2
    place[0, part, 0] = 0.1
    down = shift_of_points(place, share, S, FOV)[0, 1]
    own = torch.nn.functional.interpolate(share[None], size=S, mode="bilinear")[0, part]
    assert down[own > 0.99].mean() > 0.6 * 0.1 * HALF
    assert down[own < 0.01].abs().mean() < 0.15 * 0.1 * HALF


def test_there_are_no_seams():
    """Hard borders between parts that go opposite ways, and still no jump from a point to the next."""
    hard = torch.zeros(2, S // 2, S // 2)
    hard[0, : S // 4], hard[1, S // 4 :] = 1, 1
    place = torch.tensor([[[-FARTHEST, 0, 0], [FARTHEST, 0, 0]]])
    down = shift_of_points(place, hard, S, FOV)[0, 1] / HALF
    assert down[0].mean() < -0.9 * FARTHEST and down[-1].mean() > 0.9 * FARTHEST
    steps = down.diff(dim=0) / (2 / S)
    assert steps.abs().max() < 2 * (2 * FARTHEST) / (2 / 8), (
        "the way from one to the other takes a coarse cell"
    )
    finer = shift_of_points(place, hard, 2 * S, FOV)[0, 1] / HALF
    torch.testing.assert_close(
        finer.diff(dim=0).abs().max(), down.diff(dim=0).abs().max() / 2, rtol=0.1, atol=0
    )


def test_points_keep_their_order(share):
    """No row of points falls behind the next, in places such as faces have: the surface does not fold."""
    for _ in range(20):
        place = 0.25 * FARTHEST * (2 * torch.rand(1, M, 3) - 1)
        across, down = shift_of_points(place, share, S, FOV)[0] / HALF
        assert ((axis() + across).diff(dim=1) > 0).all() and ((axis()[:, None] + down).diff(dim=0) > 0).all()


def test_a_part_is_stretched_from_the_midline_and_from_its_middle(share):
    place, part = torch.zeros(1, M, 3), 1
    place[0, part, 1] = 0.1
    across, down = shift_of_points(place, share, S, FOV)[0] / HALF
    assert (down == 0).all()
    torch.testing.assert_close(across, -across.flip(-1), msg="to both sides alike")
    assert across[:, S // 2 :].mean() > 0
    place = torch.zeros(1, M, 3)
    place[0, part, 2] = 0.1
    across, down = shift_of_points(place, share, S, FOV)[0] / HALF
    assert (across == 0).all()
    own = torch.nn.functional.interpolate(share[None], size=S, mode="bilinear")[0, part]
    middle = (own * axis()[:, None]).sum() / own.sum()
    assert (own * down).sum().abs() / own.sum() < 0.005, "its middle stays"
    leaning = (own * down * (axis()[:, None] - middle)).sum()
    assert leaning > 0, "what is above goes up, and what is below down"


def test_one_part_alone_is_stretched_evenly():
    """In closed form: about the midline and the middle of the frame."""
    place = torch.tensor([[[0.03, 0.1, -0.2]]])
    across, down = shift_of_points(place, torch.ones(1, S // 2, S // 2), S, FOV)[0]
    torch.testing.assert_close(across, (0.1 * HALF * axis()).expand(S, S), atol=1e-7, rtol=1e-4)
    wanted = HALF * (0.03 - 0.2 * axis()[:, None]).expand(S, S)
    torch.testing.assert_close(down, wanted, atol=1e-7, rtol=1e-4)


def test_a_shift_has_no_part_in_how_finely_it_is_drawn(share):
    place = FARTHEST * (2 * torch.rand(2, M, 3) - 1)
    coarse, fine = (shift_of_points(place, share, size, FOV) for size in (64, 128))
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(fine, 2), coarse, atol=0.01 * HALF, rtol=0)


def test_gradients():
    share = torch.randn(2, 8, 8).softmax(dim=0).double()
    vote = torch.randn(1, 2, 3).double().requires_grad_()
    assert gradcheck(lambda v: shift_of_points(places(v), share, 8, FOV), (vote,))
