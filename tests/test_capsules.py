"""The decomposition deals every channel to one part; in assembly the nearest part wins."""

import pytest
import torch
from torch.autograd import gradcheck

from igc.capsules import (
    Assembly,
    Decomposition,
    assemble,
    behind_nearest,
    blend,
    bowl,
    close,
    in_picture,
    initial_support,
    one_hot_max,
    skirt,
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


def test_a_channel_can_move_to_another_part():
    """A hundred steps of Adam suffice: the margin at the start is small."""
    module, target = Decomposition(12, 3), torch.zeros(3, 12)
    target[0] = 1
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        (module.attention() - target).square().sum().backward()
        optimiser.step()
    torch.testing.assert_close(module.attention().detach(), target)


def test_shares_add_up_to_the_embedding_and_do_not_overlap():
    embedding = torch.randn(5, 12)
    codes = Decomposition(12, 4)(embedding).detach()
    assert codes.shape == (5, 4, 12)
    torch.testing.assert_close(codes.sum(dim=1), embedding)
    assert ((codes != 0).sum(dim=1) == 1).all()


def test_without_shared_attention_every_part_gets_all_channels():
    embedding = torch.randn(5, 12)
    module = Decomposition(12, 4, shared=False)
    codes = module(embedding)
    assert not list(module.parameters()), "there is nothing to be dealt out"
    assert torch.equal(codes, embedding[:, None].expand(5, 4, 12))


def inside(depth):
    """A support that is positive everywhere, for depths (B, M, S, S)."""
    return torch.ones_like(depth[:, :1])


def put_together(depth, albedo, support, sharpness):
    """`assemble` with no point moved."""
    return assemble(depth, albedo, support, depth.new_zeros(len(depth), 2, *depth.shape[2:]), sharpness)


def test_the_nearest_part_wins_and_brings_its_albedo():
    depth, albedo = part_maps()
    whole = put_together(depth, albedo, inside(depth), sharpness=1e6)
    nearest = depth.argmin(dim=1)
    assert torch.equal(whole.visibility.argmax(dim=1), nearest)
    torch.testing.assert_close(whole.visibility.sum(dim=1), torch.ones(2, 6, 6).double())
    wanted = torch.take_along_dim(albedo, nearest[:, None, None], dim=1)[:, 0]
    torch.testing.assert_close(whole.albedo, wanted)


def test_shapes_of_the_object():
    depth, albedo = part_maps(parts=3, size=5)
    whole = put_together(depth, albedo, inside(depth), sharpness=100)
    assert whole.depth.shape == (2, 5, 5) and whole.albedo.shape == (2, 3, 5, 5)
    assert whole.visibility.shape == whole.soft.shape == (2, 4, 5, 5)
    assert whole.shift.shape == (2, 2, 5, 5)


def test_without_support_the_background_is_seen_and_the_surface_goes_on():
    depth, albedo = part_maps()
    support = inside(depth)
    support[:, :, :3] = -0.2
    whole = put_together(depth, albedo, support, sharpness=500)
    assert (whole.visibility[:, -1, :3] > 0.5).all() and (whole.visibility[:, -1, 3:] < 0.5).all()
    assert torch.equal(whole.depth, put_together(depth, albedo, inside(depth), 500).depth)


def test_permuting_the_parts_permutes_their_visibility_and_nothing_else():
    depth, albedo = part_maps()
    order = torch.tensor([2, 0, 3, 1])
    whole = put_together(depth, albedo, inside(depth), 300)
    other = put_together(depth[:, order], albedo[:, order], inside(depth), 300)
    torch.testing.assert_close(other.depth, whole.depth)
    torch.testing.assert_close(other.albedo, whole.albedo)
    torch.testing.assert_close(other.visibility[:, :-1], whole.visibility[:, :-1][:, order])
    torch.testing.assert_close(other.visibility[:, -1], whole.visibility[:, -1])
    torch.testing.assert_close(other.soft[:, :-1], whole.soft[:, :-1][:, order])


def test_the_sharper_the_softmax_the_nearer_the_minimum():
    depth, albedo = part_maps()
    errors = [
        float((put_together(depth, albedo, inside(depth), k).depth - depth.amin(dim=1)).abs().max())
        for k in (10, 100, 1000, 1e5)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-5


def test_the_depth_is_the_mean_under_the_softmax_of_the_parts():
    depth, albedo = part_maps()
    weights = (-40 * depth).exp()
    wanted = (weights * depth).sum(dim=1) / weights.sum(dim=1)
    torch.testing.assert_close(put_together(depth, albedo, inside(depth), 40).depth, wanted)


def test_the_depth_of_one_part_is_its_depth():
    depth, albedo = part_maps(parts=1)
    whole = put_together(depth, albedo, inside(depth), 100)
    torch.testing.assert_close(whole.depth, depth[:, 0])
    torch.testing.assert_close(whole.albedo, albedo[:, 0])


def test_parts_and_background_have_a_gradient():
    depth, albedo = part_maps(parts=2)
    depth, support = depth.requires_grad_(), (0.1 * torch.randn(2, 1, 6, 6).double()).requires_grad_()
    whole = put_together(depth, albedo, support, 100)
    assert (whole.visibility[:, -1] > 0.5).any() and (whole.visibility[:, -1] < 0.5).any()
    whole.visibility[:, 0].sum().backward()
    assert (depth.grad[:, 0] <= 0).all() and depth.grad.min() < -1e-3, "more is seen of a nearer part"
    assert (support.grad >= 0).all() and support.grad.max() > 1e-3, "and if there is more support"


def test_gradients_of_the_depth():
    depth, albedo = part_maps(parts=3, size=3, batch=1)
    assert gradcheck(lambda d: put_together(d, albedo, inside(depth), 30).depth, (depth.requires_grad_(),))
    assert gradcheck(lambda d: put_together(d, albedo, inside(depth), 30).soft, (depth,))


def test_parts_stand_behind_the_surface_as_their_shares_say():
    logits, surface = 5 * torch.randn(4, 6, 6).double(), 1 + 0.1 * torch.rand(2, 1, 6, 6).double()
    depth = surface + behind_nearest(logits) / 300
    torch.testing.assert_close((-300 * depth).softmax(dim=1), logits.softmax(dim=0).expand(2, 4, 6, 6))
    whole = put_together(depth, torch.rand(2, 4, 3, 6, 6).double(), None, 300)
    torch.testing.assert_close(whole.depth, surface[:, 0], atol=1e-12, rtol=0)
    winner = depth.gather(1, logits.argmax(dim=0).expand(2, 1, 6, 6))
    assert (winner <= surface + 1e-12).all(), "the nearest is in front of it"


def test_where_borders_run_does_not_change_the_shape():
    """Not even far from them, where all parts but one have no share: and the gradient says the same."""
    logits = (200 * torch.randn(3, 6, 6)).requires_grad_()
    depth = 1 + behind_nearest(logits)[None] / 600
    whole = put_together(depth, torch.rand(1, 3, 3, 6, 6), None, 600)
    assert (whole.depth - 1).abs().max() < 1e-5
    whole.depth.sum().backward()
    assert logits.grad.abs().max() < 1e-3
    small = torch.randn(3, 2, 2).double().requires_grad_()
    assert gradcheck(behind_nearest, (small,))


def test_the_albedo_is_the_mean_under_the_softmax_of_the_parts():
    depth, albedo = part_maps()
    weights = (-40 * depth).softmax(dim=1)[:, :, None]
    whole = put_together(depth, albedo, inside(depth), 40)
    torch.testing.assert_close(whole.albedo, (weights * albedo).sum(dim=1))


def test_without_a_background_all_is_surface():
    depth, albedo = part_maps()
    whole = put_together(depth, albedo, None, 300)
    assert (whole.visibility[:, -1] == 0).all() and (whole.soft[:, -1] == 0).all() and whole.face().all()
    torch.testing.assert_close(whole.cover().sum(dim=1), torch.ones_like(whole.depth))


def test_parts_draw_together_by_their_shares():
    share, maps = torch.randn(3, 4, 4).softmax(dim=0), torch.randn(2, 3, 4, 4)
    found = blend(share, maps)
    torch.testing.assert_close(found, torch.einsum("mhw,bmhw->bhw", share, maps)[:, None])
    colours = blend(share[:, None], torch.randn(2, 3, 3, 4, 4))
    assert colours.shape == (2, 1, 3, 4, 4)


def test_the_mirror_image_of_an_object_is_moved_to_the_other_side():
    depth, albedo = part_maps()
    whole = assemble(depth, albedo, inside(depth), torch.randn(2, 2, 6, 6).double(), 300)
    flipped = whole.flipped()
    assert torch.equal(flipped.shift[:, 0], -whole.shift[:, 0].flip(-1))
    assert torch.equal(flipped.shift[:, 1], whole.shift[:, 1].flip(-1))
    for name in set(Assembly._fields) - {"shift"}:
        assert torch.equal(getattr(flipped, name), getattr(whole, name).flip(-1))
    for back, first in zip(flipped.flipped(), whole, strict=True):
        assert torch.equal(back, first)


def test_a_skirt_goes_outwards_all_around():
    points = torch.randn(2, 5, 5, 3).double()
    found = skirt(points, 4.0)
    inside = slice(1, -1)
    assert torch.equal(found[:, inside, inside], points[:, inside, inside])
    assert torch.equal(found[..., 2], points[..., 2])
    ring = torch.ones(5, 5, dtype=torch.bool)
    ring[inside, inside] = False
    moved = (found - points)[:, ring][..., :2]
    away = points[:, ring][..., :2] - points[..., :2].mean(dim=(1, 2))[:, None]
    torch.testing.assert_close(moved.norm(dim=-1), torch.full((2, 16), 4.0).double())
    torch.testing.assert_close((moved * away).sum(dim=-1), 4 * away.norm(dim=-1))


def test_where_things_start():
    """Round, deepest at the rim, and the same upside down and in a mirror."""
    for start in (bowl(16), initial_support(16), in_picture(16, 1.25).float()):
        assert torch.equal(start, start.flip(-1)) and torch.equal(start, start.flip(-2))
    assert bowl(16).argmin() in (7 * 16 + 7, 7 * 16 + 8, 8 * 16 + 7, 8 * 16 + 8)
    assert (bowl(16)[8].diff()[8:] > 0).all()
    support = initial_support(32)
    assert support[16, 16] > 1 and (support[:, :4] < 0).all() and 0.3 < (support > 0).float().mean() < 0.6
    assert in_picture(20, 1.25).sum() == 16 * 16, "a picture is four fifths as wide as its frame"


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
    whole = put_together(depth, albedo, support, sharpness=500)
    assert torch.equal(whole.face(), (support > 0)[:, 0])
    cover = whole.cover()
    torch.testing.assert_close(cover[:, :, 3:], whole.visibility[:, :-1, 3:])
    assert torch.equal(cover[:, :, :3].argmax(dim=1), depth[:, :, :3].argmin(dim=1))
    torch.testing.assert_close(cover.sum(dim=1), torch.ones_like(cover[:, 0]))
