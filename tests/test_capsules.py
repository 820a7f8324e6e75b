"""The decomposition deals every channel to one part; in assembly the nearest part wins."""

import pytest
import torch
from torch.autograd import gradcheck

from igc.capsules import (
    Decomposition,
    assemble,
    close,
    initial_depth,
    initial_support,
    one_hot_max,
    straight_through,
)


def part_maps(parts=4, size=6, batch=2):
    depth = 0.95 + 0.1 * torch.rand(batch, parts, size, size).double()
    return depth, torch.rand(batch, parts, 3, size, size).double()


def test_one_hot_max_marks_the_largest():
    values = torch.randn(5, 7, 3)
    for dim in (0, 1, 2, -1):
        found = one_hot_max(values, dim)
        assert torch.equal(found.argmax(dim), values.argmax(dim))
        assert torch.equal(found.sum(dim), torch.ones_like(found.sum(dim)))


def test_of_equals_the_first_is_marked():
    assert one_hot_max(torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), 1).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_straight_through_is_hard_forward_and_soft_backward():
    logits = torch.randn(3, 5, requires_grad=True)
    weights = torch.randn(3, 5)
    hard = straight_through(logits.softmax(1), 1)
    torch.testing.assert_close(hard, one_hot_max(logits.detach(), 1))
    (found,) = torch.autograd.grad((hard * weights).sum(), logits)
    (wanted,) = torch.autograd.grad((logits.softmax(1) * weights).sum(), logits)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(("channels", "parts"), [(12, 6), (13, 4), (8, 1)])
def test_every_channel_belongs_to_exactly_one_part(channels, parts):
    module = Decomposition(channels, parts)
    attention = module.attention().detach()
    assert attention.shape == (parts, channels)
    torch.testing.assert_close(attention.sum(dim=0), torch.ones(channels))
    assert ((attention - attention.round()).abs() < 1e-6).all()
    assert (attention.round().sum(dim=1) >= 1).all(), "every part starts with a channel"


def test_the_attention_has_the_gradient_of_the_softmax():
    module, weights = Decomposition(12, 3), torch.randn(3, 12)
    (found,) = torch.autograd.grad((module.attention() * weights).sum(), module.logits)
    (wanted,) = torch.autograd.grad((module.logits.softmax(1).T * weights).sum(), module.logits)
    torch.testing.assert_close(found, wanted)
    assert found.abs().sum() > 0


def test_shares_add_up_to_the_embedding_and_do_not_overlap():
    embedding = torch.randn(5, 12)
    codes = Decomposition(12, 4)(embedding).detach()
    assert codes.shape == (5, 4, 12)
    torch.testing.assert_close(codes.sum(dim=1), embedding)
    assert ((codes != 0).sum(dim=1) == 1).all()


def test_without_shared_attention_every_part_gets_all_channels():
    embedding = torch.randn(5, 12)
    codes = Decomposition(12, 4, shared=False)(embedding)
    assert torch.equal(codes, embedding[:, None].expand(5, 4, 12))


def inside(depth):
    """A support that is positive everywhere, for depths (B, M, S, S)."""
    return torch.ones_like(depth[:, :1])


def test_the_nearest_part_wins_and_brings_its_albedo():
    depth, albedo = part_maps()
    whole = assemble(depth, albedo, inside(depth), sharpness=500)
    nearest = depth.argmin(dim=1)
    assert torch.equal(whole.visibility.argmax(dim=1), nearest)
    torch.testing.assert_close(whole.visibility.sum(dim=1), torch.ones(2, 6, 6).double())
    wanted = torch.take_along_dim(albedo, nearest[:, None, None], dim=1)[:, 0]
    torch.testing.assert_close(whole.albedo, wanted)


def test_shapes_of_the_object():
    depth, albedo = part_maps(parts=3, size=5)
    whole = assemble(depth, albedo, inside(depth), sharpness=100)
    assert whole.depth.shape == (2, 5, 5) and whole.albedo.shape == (2, 3, 5, 5)
    assert whole.visibility.shape == whole.soft.shape == (2, 4, 5, 5)


def test_without_support_the_background_is_seen_and_the_surface_goes_on():
    depth, albedo = part_maps()
    support = inside(depth)
    support[:, :, :3] = -0.2
    whole = assemble(depth, albedo, support, sharpness=500)
    assert (whole.visibility[:, -1, :3] > 0.5).all() and (whole.visibility[:, -1, 3:] < 0.5).all()
    assert torch.equal(whole.depth, assemble(depth, albedo, inside(depth), 500).depth)


def test_permuting_the_parts_permutes_their_visibility_and_nothing_else():
    depth, albedo = part_maps()
    order = torch.tensor([2, 0, 3, 1])
    whole = assemble(depth, albedo, inside(depth), 300)
    other = assemble(depth[:, order], albedo[:, order], inside(depth), 300)
    torch.testing.assert_close(other.depth, whole.depth)
    torch.testing.assert_close(other.albedo, whole.albedo)
    torch.testing.assert_close(other.visibility[:, :-1], whole.visibility[:, :-1][:, order])
    torch.testing.assert_close(other.visibility[:, -1], whole.visibility[:, -1])
    torch.testing.assert_close(other.soft[:, :-1], whole.soft[:, :-1][:, order])


def test_the_sharper_the_softmax_the_nearer_the_minimum():
    depth, albedo = part_maps()
    errors = [
        float((assemble(depth, albedo, inside(depth), k).depth - depth.amin(dim=1)).abs().max())
        for k in (10, 100, 1000, 1e5)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-5


def test_the_depth_is_the_mean_under_the_softmax_of_the_parts():
    depth, albedo = part_maps()
    weights = (-40 * depth).exp()
    wanted = (weights * depth).sum(dim=1) / weights.sum(dim=1)
    torch.testing.assert_close(assemble(depth, albedo, inside(depth), 40).depth, wanted)


def test_the_depth_of_one_part_is_its_depth():
    depth, albedo = part_maps(parts=1)
    whole = assemble(depth, albedo, inside(depth), 100)
    torch.testing.assert_close(whole.depth, depth[:, 0])
    torch.testing.assert_close(whole.albedo, albedo[:, 0])


def test_parts_and_background_have_a_gradient():
    depth, albedo = part_maps(parts=2)
    depth, support = depth.requires_grad_(), (0.1 * torch.randn(2, 1, 6, 6).double()).requires_grad_()
    whole = assemble(depth, albedo, support, 100)
    assert (whole.visibility[:, -1] > 0.5).any() and (whole.visibility[:, -1] < 0.5).any()
    whole.visibility[:, 0].sum().backward()
    assert (depth.grad[:, 0] <= 0).all() and depth.grad.min() < -1e-3, "more is seen of a nearer part"
    assert (support.grad >= 0).all() and support.grad.max() > 1e-3, "and if there is more support"


def test_gradients_of_the_depth():
    depth, albedo = part_maps(parts=3, size=3, batch=1)
    assert gradcheck(lambda d: assemble(d, albedo, inside(depth), 30).depth, (depth.requires_grad_(),))
    assert gradcheck(lambda d: assemble(d, albedo, inside(depth), 30).soft, (depth,))


@pytest.mark.parametrize("start", ["face", "bands"])
@pytest.mark.parametrize("parts", [1, 2, 6, 9, 12, 15])
def test_every_part_sees_something_at_the_start(parts, start):
    depth = 1 + 0.1 * initial_depth(parts, 32, start)[None].tanh()
    whole = assemble(depth, torch.zeros(1, parts, 3, 32, 32), initial_support(32)[None, None], 600)
    assert depth.shape == (1, parts, 32, 32)
    assert (whole.visibility.sum(dim=(2, 3)) > 0).all(), "each part, and the background"


def test_the_sides_of_a_head_go_straight_back_from_beyond_the_outline():
    points = torch.rand(2, 5, 5, 3, generator=torch.Generator().manual_seed(1)).double() + 0.5
    face = torch.zeros(2, 5, 5, dtype=torch.bool)
    face[:, 1:4, 1:4] = True
    back = torch.full((5, 5), 1.2).double().requires_grad_()
    closed = close(points, face, back)
    assert torch.equal(closed[..., :2], points[..., :2]) and torch.equal(closed[face], points[face])
    wanted = points[~face][:, 2].clamp(min=1.2)
    torch.testing.assert_close(closed[~face][:, 2].detach(), wanted, atol=1e-7, rtol=0)  # 1.2 in float32
    assert (points[~face][:, 2] > 1.2).any() and (points[~face][:, 2] < 1.2).any()
    closed[..., 2].sum().backward()
    assert (back.grad[1:4, 1:4] == 0).all() and back.grad[0].max() == 2


def test_beyond_the_outline_the_nearest_part_goes_on_and_elsewhere_visibility_stays():
    depth, albedo = part_maps()
    support = inside(depth)
    support[:, :, :3] = -0.2
    whole = assemble(depth, albedo, support, sharpness=500)
    assert torch.equal(whole.face(), (support > 0)[:, 0])
    cover = whole.cover()
    torch.testing.assert_close(cover[:, :, 3:], whole.visibility[:, :-1, 3:])
    assert torch.equal(cover[:, :, :3].argmax(dim=1), depth[:, :, :3].argmin(dim=1))
    torch.testing.assert_close(cover.sum(dim=1), torch.ones_like(cover[:, 0]))
