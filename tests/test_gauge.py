"""What pictures leave open: the mean pose and the point that heads turn about."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from igc import geometry
from igc.gauge import RATE, Centred, Pivot, Upright


def votes(batch=8, parts=3):
    return torch.randn(batch, parts, 6) + torch.tensor([0.5, -1.0, 0.2, 0.0, 2.0, -0.3])


def test_in_training_the_mean_is_followed_and_subtracted():
    module, total = Centred(), torch.zeros(6)
    for step in range(1, 31):  # the first steps weigh alike, as long as they replace more than RATE
        batch = votes()
        found = module(batch)
        total += batch.mean(dim=(0, 1))
        torch.testing.assert_close(module.mean, total / step, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found, batch - module.mean)
    for _ in range(20):
        before, batch = module.mean.clone(), votes()
        module(batch)
    wanted = (1 - RATE) * before + RATE * batch.mean(dim=(0, 1))
    torch.testing.assert_close(module.mean, wanted, msg="then it goes over some 30 steps")


def test_no_gradient_pulls_at_the_mean_of_a_batch():
    batch = votes().requires_grad_()
    weights = torch.randn(8, 3, 6)
    (Centred()(batch) * weights).sum().backward()
    assert batch.grad.sum(dim=(0, 1)).abs().max() < 1e-5
    torch.testing.assert_close(batch.grad, weights - weights.mean(dim=(0, 1)))


@pytest.mark.parametrize("how", ["eval", "no_grad", "inference"])
def test_looking_changes_nothing(how):
    module = Centred()
    module(votes())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    batch = votes()
    if how == "eval":
        found = module.eval()(batch)
    else:
        with torch.no_grad() if how == "no_grad" else torch.inference_mode():
            found = module(batch)
    torch.testing.assert_close(found, batch - before["mean"])
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_mean_can_be_measured():
    module, batch = Centred().eval(), votes(200)
    module.measure(batch)
    torch.testing.assert_close(module.mean, batch.mean(dim=(0, 1)))
    assert module(batch).mean(dim=(0, 1)).abs().max() < 1e-5


def leaning(batch=400, parts=3):
    """Centred votes of faces that roll by .7 of what they turn to the side."""
    votes = torch.randn(batch, parts, 6)
    votes = votes - votes.mean(dim=(0, 1))
    votes[..., 2] += 0.7 * votes[..., 1]
    return votes


def share(votes):
    yaw, roll = votes[..., 1:3].mean(dim=1).unbind(-1)
    return float((yaw * roll).mean() / yaw.square().mean())


def test_roll_is_counted_from_what_goes_with_yaw():
    module, votes = Upright(), leaning()
    for chunk in votes.split(40):
        module(chunk)
    found = module.eval()(votes)
    assert share(votes) > 0.6 and abs(share(found)) < 0.05
    kept = [0, 1, 3, 4, 5]
    assert torch.equal(found[..., kept], votes[..., kept])
    module.measure(votes)
    assert abs(share(module(votes))) < 1e-5
    assert torch.equal(Upright().eval()(votes), votes), "before anything was seen"


def test_no_gradient_pulls_at_the_share_of_a_batch():
    votes = leaning(8).requires_grad_()
    (Upright()(votes) * torch.randn(8, 3, 6)).sum().backward()
    pull = votes.grad[..., 2].sum(dim=1) @ votes.detach()[..., 1].mean(dim=1)
    assert abs(float(pull)) < 1e-4 < votes.grad[..., 2].abs().max()


@pytest.mark.parametrize("how", ["eval", "no_grad"])
def test_looking_does_not_change_the_share(how):
    module = Upright()
    module(leaning())
    before = module.moments.clone()
    with torch.no_grad():
        (module.eval() if how == "eval" else module)(leaning())
    assert torch.equal(module.moments, before)


def random_pose(*shape):
    return (torch.randn(*shape, 6) * torch.tensor([0.6, 0.6, 0.6, 0.1, 0.1, 0.1])).double()


def test_poses_about_the_pivot_move_points_as_a_turn_about_it():
    module, pose, points = Pivot().double(), random_pose(5), torch.randn(5, 7, 3).double()
    module.offset.data = torch.tensor([0.2, -0.7], dtype=torch.float64)
    centre = torch.tensor([0.0, 0.2 * Pivot.PACE, 1 - 0.7 * Pivot.PACE], dtype=torch.float64)
    turned = geometry.rotate(points - centre, pose[:, :3]) + centre + pose[:, None, 3:]
    torch.testing.assert_close(geometry.transform(points, module(pose)), turned, atol=1e-12, rtol=0)


def test_a_pivot_may_start_behind_the_face():
    torch.testing.assert_close(Pivot(0.03).offset * Pivot.PACE, torch.tensor([0.0, 0.03]))


def test_the_pivot_starts_at_the_centre_and_takes_votes_of_parts():
    module, pose = Pivot().double(), random_pose(4, 3)
    torch.testing.assert_close(module(pose), pose)
    module.offset.data.fill_(0.3)
    torch.testing.assert_close(module(pose)[:, 1], module(pose[:, 1]))
    assert torch.equal(module(pose)[..., :3], pose[..., :3]) and not torch.allclose(module(pose), pose)


def test_heads_turn_alike_to_both_sides():
    module, pose = Pivot().double(), random_pose(4)
    module.offset.data = torch.tensor([0.2, -0.7], dtype=torch.float64)
    mirror = torch.tensor([1.0, -1, -1, -1, 1, 1]).double()
    torch.testing.assert_close(module(pose * mirror), module(pose) * mirror)


def test_gradients_of_pivot_and_pose():
    pose = random_pose(3).requires_grad_()
    offset = torch.tensor([0.1, -0.2, 0.3]).double().requires_grad_()
    assert gradcheck(geometry.turned_about, (pose, offset))
    module = Pivot()
    module(torch.tensor([[0.1, math.pi / 4, 0.0, 0.0, 0.0, 0.0]])).square().sum().backward()
    assert module.offset.grad is not None and torch.isfinite(module.offset.grad).all()
