"""The terms of the objective: where each is smallest, what it punishes, and that its gradient is usable."""

import math

import pytest
import torch

from igc import losses
from igc.background import foreground

FOV = math.radians(10)


def soft_parts(batch=3, parts=4, size=16):
    return torch.randn(batch, parts + 1, size, size).mul(2).softmax(dim=1)


def images(batch=3, size=16):
    return torch.rand(batch, 3, size, size)


UNFAIR = torch.tensor([0.01, 1.0, 1.0, 1.0, 1.0])[:, None, None]

TERMS = {
    "reconstruct": (lambda image, target, scale: losses.reconstruct(image, target, scale, 0.5),
                    lambda: (images(), images(), 0.1 + torch.rand(3, 1, 16, 16))),
    "cover_foreground": (losses.cover_foreground, lambda: tuple(torch.rand(2, 3, 1, 16, 16))),
    "fill_foreground": (losses.fill_foreground,
                        lambda: (*torch.rand(3, 3, 16, 16),
                                 torch.rand(3, 16, 16) > 0.9)),
    "keep_alive": (losses.keep_alive, lambda: (soft_parts() * UNFAIR,)),
    "consistent_parts": (losses.consistent_parts,
                         lambda: (torch.randn(3, 5, 4, 4), soft_parts()[:, :-1])),
    "compact_parts": (losses.compact_parts, lambda: (soft_parts(),)),
    "smooth_depth": (lambda depth: losses.smooth_depth(depth, FOV), lambda: (1 + torch.rand(3, 4, 16, 16),)),
    "smooth_support": (losses.smooth_support, lambda: (torch.randn(3, 1, 16, 16),)),
    "alike": (losses.alike, lambda: (torch.randn(3, 4, 8, 8),)),
    "plain_albedo": (losses.plain_albedo, lambda: (torch.randn(3, 4, 3, 8, 8),)),
    "centred_pose": (lambda pose: losses.centred_pose(pose, torch.tensor([0.1, -0.2, 0.0, 0.3]))[0],
                     lambda: (torch.randn(3, 6),)),
    "small_translation": (losses.small_translation, lambda: (torch.randn(3, 6),)),
    "centred_depth": (losses.centred_depth, lambda: (1 + 0.1 * torch.rand(3, 16, 16), soft_parts())),
}  # fmt: skip


def test_every_term_is_tested_here():
    public = {name for name, value in vars(losses).items() if callable(value) and not name.startswith("_")}
    assert {name for name in public if getattr(losses, name).__module__ == losses.__name__} == set(TERMS)


@pytest.mark.parametrize("name", TERMS)
def test_terms_are_finite_scalars_with_finite_gradients(name):
    term, inputs = TERMS[name]
    inputs = inputs()
    inputs[0].requires_grad_()
    value = term(*inputs)
    assert value.shape == () and torch.isfinite(value)
    (gradient,) = torch.autograd.grad(value, inputs[0])
    assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0


@pytest.mark.parametrize("name", TERMS)
def test_the_order_of_the_images_does_not_matter(name):
    term, inputs = TERMS[name]
    inputs, order = inputs(), [2, 0, 1]
    torch.testing.assert_close(term(*inputs), term(*(part[order] for part in inputs)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["keep_alive", "compact_parts", "smooth_depth", "consistent_parts"])
def test_the_order_of_the_parts_does_not_matter(name):
    term, inputs = TERMS[name]
    *others, parts = inputs()
    background = parts.shape[1] == 5
    order = [3, 1, 0, 2, 4] if background else [3, 1, 0, 2]
    torch.testing.assert_close(term(*others, parts), term(*others, parts[:, order]), rtol=1e-4, atol=1e-5)


def test_reconstruction_is_best_where_the_images_agree():
    target, scale = images(), torch.full((3, 1, 16, 16), 0.2)
    perfect = losses.reconstruct(target, target, scale, 0.5)
    torch.testing.assert_close(perfect, torch.tensor(0.2).log())
    for wrong in (0.9 * target, target.flip(-1), target + 0.01):
        assert losses.reconstruct(wrong, target, scale, 0.5) > perfect


def test_reconstruction_is_best_at_the_scale_of_the_residual():
    target, residual = images(), 0.1
    values = [
        losses.reconstruct(target + residual, target, torch.full((3, 1, 16, 16), scale), 0.5)
        for scale in (0.05, math.sqrt(2) * residual, 0.4)
    ]
    assert values[1] < values[0] and values[1] < values[2]


def test_reconstruction_of_a_constant_error_is_known():
    target = images()
    found = losses.reconstruct(target + 0.1, target, torch.ones(3, 1, 16, 16), 0.5)
    torch.testing.assert_close(found, torch.tensor(math.sqrt(2) * 0.1 + 2 * 0.1))


def test_the_weight_of_image_gradients_counts():
    target, image = images(), images()
    scale = torch.ones(3, 1, 16, 16)
    assert losses.reconstruct(image, target, scale, 1.0) > losses.reconstruct(image, target, scale, 0.0)


def test_coverage_follows_what_differs_from_the_background():
    background = torch.zeros(1, 3, 16, 16)
    target = background.clone()
    target[..., :8] = 1
    left = torch.zeros(1, 1, 16, 16)
    left[..., :8] = 1
    cue = foreground(target, background)
    assert losses.cover_foreground(left, cue) < 0.02, "all but the blurred edge"
    assert losses.cover_foreground(torch.zeros_like(left), cue) > 0.45
    assert losses.cover_foreground(torch.ones_like(left), cue) > 0.4
    assert losses.cover_foreground(1 - left, cue) > 0.9
    assert losses.cover_foreground(torch.zeros_like(left), foreground(background, background)) == 0


def pull(inside, cue, covered=0.0, hidden=False):
    """Which way one canonical point is pulled: 1 to be more of the face, -1 to be less, 0 nowhere."""
    inside = torch.full((1, 1, 1), inside, requires_grad=True)
    cue, covered = torch.full((1, 1, 1), cue), torch.full((1, 1, 1), covered)
    losses.fill_foreground(inside, cue, covered, torch.full((1, 1, 1), hidden)).backward()
    return -int(inside.grad.sign())


def test_a_canonical_point_is_face_where_it_falls_on_foreground():
    assert pull(0.8, cue=1.0, covered=1.0) == 1, "it is face, and is to stay so"
    assert pull(0.2, cue=1.0, covered=0.0) == 1, "what it would cover is not covered yet"
    assert pull(0.8, cue=0.0) == pull(0.2, cue=0.0) == -1, "it would cover background"


def test_a_canonical_point_that_would_not_be_seen_is_not_asked():
    assert pull(0.2, cue=1.0, covered=1.0) == 0, "other points cover that place"
    assert pull(0.8, cue=1.0, covered=1.0, hidden=True) == 0, "it lies behind the face"
    assert pull(0.8, cue=math.nan) == pull(0.2, cue=math.nan) == 0, "it falls out of the picture"


def test_a_part_that_vanishes_is_punished():
    fair = torch.full((2, 5, 8, 8), 0.2)
    fair[:, -1] = 0.2
    vanished = fair.clone()
    vanished[:, 0], vanished[:, 1] = 1e-5, 0.4
    assert losses.keep_alive(vanished) > losses.keep_alive(fair) + 0.5
    small = fair.clone().requires_grad_()
    shrunk = small * torch.tensor([0.01, 1.0, 1.0, 1.0, 1.0])[:, None, None]
    losses.keep_alive(shrunk).backward()
    assert (small.grad[:, 0] < 0).all(), "more of the small part lowers the term"


def test_how_large_the_face_is_does_not_matter_for_the_parts_shares():
    face = torch.rand(2, 4, 8, 8)
    whole, half = (torch.cat((s * face, 1 - s * face.sum(1, keepdim=True)), 1) for s in (0.2, 0.1))
    torch.testing.assert_close(losses.keep_alive(whole), losses.keep_alive(half), atol=1e-4, rtol=1e-3)


def halves(batch):
    """Masks of a left and a right part (B, 2, 8, 8)."""
    masks = torch.zeros(batch, 2, 8, 8)
    masks[:, 0, :, :4], masks[:, 1, :, 4:] = 1, 1
    return masks


def test_parts_that_look_alike_over_faces_cost_less_than_shuffled_ones():
    looks = torch.randn(2, 6)
    features = torch.where(torch.arange(8) < 4, looks[0, :, None], looks[1, :, None])
    features = features[None, :, None].expand(8, 6, 8, 8) + 0.05 * torch.randn(8, 6, 8, 8)
    shuffled = features.clone()
    shuffled[::2] = features[::2].flip(-1)
    consistent = losses.consistent_parts(features, halves(8))
    assert consistent < 0.05
    assert losses.consistent_parts(shuffled, halves(8)) > consistent + 0.3


def test_one_part_alone_cannot_be_told_from_others():
    assert losses.consistent_parts(torch.randn(3, 5, 4, 4), torch.rand(3, 1, 16, 16)) == 0


def test_absent_parts_do_not_disturb_the_comparison():
    masks = halves(4)
    masks[0, 1] = 0
    features = torch.randn(4, 5, 8, 8, requires_grad=True)
    value = losses.consistent_parts(features, masks)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(features.grad).all()
    assert losses.consistent_parts(features.detach(), torch.zeros(4, 2, 8, 8)) == 0


def test_compact_parts_is_the_variance_of_the_place():
    soft = torch.zeros(1, 2, 32, 32)
    soft[:, 0] = 1
    axis = torch.linspace(-1, 1, 8)
    torch.testing.assert_close(losses.compact_parts(soft), 2 * axis.var(correction=0))
    soft[:, 0, 4:] = 0
    soft[:, 0, :, 4:] = 0
    torch.testing.assert_close(losses.compact_parts(soft), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_scattered_parts_cost_more_than_compact_ones():
    together, apart = torch.zeros(1, 2, 32, 32), torch.zeros(1, 2, 32, 32)
    together[:, 0, 8:16, 8:16] = 1
    apart[:, 0, :8, :8], apart[:, 0, -8:, -8:] = 1, 1
    assert losses.compact_parts(apart) > 10 * losses.compact_parts(together)


def test_planes_do_not_bend_and_bowls_do():
    axis = torch.arange(16).double()
    plane = 1 + 0.002 * axis[None, :] - 0.001 * axis[:, None]
    assert losses.smooth_depth(plane.expand(2, 3, 16, 16), FOV) < 1e-15
    pixel = 2 * math.tan(FOV / 2) / 16
    bowl = 1 + 0.3 * pixel * axis.square().expand(2, 3, 16, 16)
    assert float(losses.smooth_depth(bowl, FOV)) == pytest.approx(math.hypot(0.6, 0.01) - 0.01)


def test_a_departure_from_the_mean_shape_costs_its_mean_square():
    assert losses.alike(torch.zeros(2, 3, 4, 4)) == 0
    assert losses.alike(torch.tensor([-3.0, 1.0])) == 5


def test_detail_costs_its_mean_absolute_value():
    assert losses.plain_albedo(torch.zeros(2, 3, 4)) == 0
    assert losses.plain_albedo(torch.tensor([-3.0, 1.0])) == 2


def test_poses_are_centred_over_many_batches_not_one_by_one():
    torch.manual_seed(0)
    mean, terms = torch.zeros(4), []
    for _ in range(400):
        pose = torch.randn(16, 6)
        pose[:, 2] *= 1 / losses.TIED
        pose[:, 3:] += 1
        term, mean = losses.centred_pose(pose, mean)
        terms.append(float(term) * (1 - losses.KEPT))
    assert max(terms) < 0.05 and not mean.requires_grad, (
        "one batch's mean has squares of 3 / 16; translations are free"
    )
    for _ in range(400):
        term, mean = losses.centred_pose(torch.full((4, 6), 0.1), mean)
    wanted = torch.tensor([0.1, 0.1, 0.1, 0.01 * losses.TIED])
    torch.testing.assert_close(mean, wanted, atol=2e-3, rtol=0)


def test_the_pull_to_the_centre_is_twice_the_mean():
    pose = torch.zeros(4, 6, requires_grad=True)
    losses.centred_pose(pose, torch.tensor([0.2, 0.0, -0.1, 0.5]))[0].backward()
    wanted = 2 * losses.KEPT * torch.tensor([0.2, 0.0, -0.1]) / 4
    torch.testing.assert_close(pose.grad[:, :3], wanted.expand(4, 3), msg="no yaw, no roll: nothing is tied")
    assert (pose.grad[:, 3:] == 0).all()


def test_a_roll_that_goes_with_the_yaw_is_undone():
    yaw = torch.linspace(-0.7, 0.7, 16)
    turned, other = torch.zeros(16, 6), torch.zeros(16, 6)
    turned[:, 1], other[:, 1] = yaw, yaw
    turned[:, 2], other[:, 2] = 0.1 * yaw, 0.1 * yaw.abs() - 0.1 * yaw.abs().mean()
    turned.requires_grad_()
    term, mean = losses.centred_pose(turned, torch.zeros(4))
    assert float(mean[3]) == pytest.approx((1 - losses.KEPT) * losses.TIED * 0.1 * float(yaw.square().mean()))
    term.backward()
    slope = (turned.grad[:, 2] * yaw).sum() / yaw.square().sum()
    assert slope > 0, "descent takes the roll back"
    assert losses.centred_pose(other, torch.zeros(4))[0] < 1e-6 < term, "an even roll costs nothing"


def test_translations_are_small_one_by_one():
    pose = torch.zeros(2, 6)
    pose[:, :3] = 1
    assert losses.small_translation(pose) == 0
    pose[0, 3:], pose[1, 3:] = 0.1, -0.1
    assert float(losses.small_translation(pose)) == pytest.approx(0.03, rel=1e-5)


def test_the_face_lies_about_one_and_the_background_anywhere():
    visibility = torch.zeros(2, 3, 8, 8)
    visibility[:, 0, :4], visibility[:, 2, 4:] = 1, 1
    depth = torch.ones(2, 8, 8)
    depth[:, 4:] = 3
    depth[:, 0], depth[:, 1] = 1.1, 0.9
    assert float(losses.centred_depth(depth, visibility)) == pytest.approx(0, abs=1e-10)
    assert float(losses.centred_depth(depth + 0.1, visibility)) == pytest.approx(0.01, rel=1e-4)
    nothing = torch.zeros(2, 3, 8, 8)
    nothing[:, 2] = 1
    assert losses.centred_depth(depth, nothing) == 0
