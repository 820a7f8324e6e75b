"""The terms of the objective: where each is smallest, what it punishes, and that its gradient is usable."""

import math

import pytest
import torch

from igc import losses
from igc.background import foreground


def soft_parts(batch=3, parts=4, size=16):
    return torch.randn(batch, parts + 1, size, size).mul(2).softmax(dim=1)


def images(batch=3, size=16):
    return torch.rand(batch, 3, size, size)


TERMS = {
    "reconstruct": (lambda image, target, scale: losses.reconstruct(image, target, scale, 0.5),
                    lambda: (images(), images(), 0.1 + torch.rand(3, 1, 16, 16))),
    "cover_foreground": (losses.cover_foreground, lambda: tuple(torch.rand(2, 3, 1, 16, 16))),
    "fill_foreground": (losses.fill_foreground,
                        lambda: (*torch.rand(3, 3, 16, 16),
                                 torch.rand(3, 16, 16) > 0.9)),
    "consistent_parts": (losses.consistent_parts,
                         lambda: (torch.randn(3, 5, 4, 4), soft_parts()[:, :-1])),
    "smooth_depth": (losses.smooth_depth, lambda: (1 + torch.rand(3, 16, 16), torch.rand(3, 16, 16))),
    "deformation": (losses.deformation, lambda: (torch.randn(3, 1, 8, 8), torch.randn(3, 1, 4, 4),
                                                 torch.randn(3, 5, 3))),
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


@pytest.mark.parametrize("name", ["consistent_parts"])
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
    for scale in (losses.USUAL, 1.0):
        found = losses.reconstruct(target + 0.1, target, torch.full((3, 1, 16, 16), scale), 0.5)
        wanted = math.sqrt(2) * 0.1 / scale + math.log(scale) + 2 * 0.1 * losses.USUAL / scale
        torch.testing.assert_close(found, torch.tensor(wanted))


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


def test_planes_do_not_bend_and_bowls_do():
    axis, face = torch.arange(64).double(), torch.ones(2, 64, 64).double()
    plane = 1 + 0.002 * axis[None, :] - 0.001 * axis[:, None]
    assert losses.smooth_depth(plane.expand(2, 64, 64), face) < 1e-12
    bowl = (1 + 3e-5 * axis.square()).expand(2, 64, 64)
    relief = float((bowl - bowl.mean()).abs().mean())
    wanted = math.hypot(6e-5 / relief, 1e-3) - 1e-3
    assert float(losses.smooth_depth(bowl, face)) == pytest.approx(wanted)


def test_how_deep_a_face_is_does_not_matter_for_how_smooth_it_is():
    face, bumps = torch.zeros(1, 16, 16), torch.randn(1, 16, 16)
    face[:, 4:12, 4:12] = 1
    known = losses.smooth_depth(1 + 0.05 * bumps, face)
    torch.testing.assert_close(losses.smooth_depth(1 + 0.01 * bumps, face), known, rtol=1e-3, atol=0)
    flat = losses.smooth_depth(torch.ones(1, 16, 16), face)
    assert torch.isfinite(flat) and flat < 1e-6
    rough = bumps.clone()
    rough[:, :2] *= 3
    assert losses.smooth_depth(1 + 0.05 * rough, face) > known, "beyond the face it bends at a price as well"


def test_a_departure_from_the_mean_shape_costs_its_mean_square():
    assert losses.deformation(torch.zeros(2, 3, 4, 4)) == 0
    assert losses.deformation(torch.tensor([-3.0, 1.0])) == 5
    assert losses.deformation(torch.tensor([-3.0, 1.0]), None, torch.full((2, 2), 2.0)) == 9


def test_a_residual_counts_less_where_it_is_expected():
    """In the likelihood, and as much less beside it."""
    target, scale = images(), torch.full((3, 1, 16, 16), 0.1)
    scale[..., :8] = 0.4
    left, right = target.clone(), target.clone()
    left[..., :8] += 0.1
    right[..., 8:] += 0.1

    def beside(image, scale):
        alone = (math.sqrt(2) * (image - target).abs().mean(1, True) / scale + scale.log()).mean()
        return losses.reconstruct(image, target, scale, 0.5) - alone

    torch.testing.assert_close(beside(right, scale), 4 * beside(left, scale), rtol=1e-3, atol=0)
    torch.testing.assert_close(beside(left, scale), 10 * beside(left, 10 * scale), rtol=1e-3, atol=0)


def waves(size, count, seed=0):
    """The same `count` smooth maps (3, count, size, size) within [0, 1] at any size."""
    random = torch.Generator().manual_seed(seed)
    axis = (torch.arange(size) + 0.5) / size
    frequency = torch.randint(-2, 3, (2, 4, 3, count, 1, 1), generator=random)
    phase = torch.rand(4, 3, count, 1, 1, generator=random)
    inner = frequency[0] * axis[:, None] + frequency[1] * axis + phase
    return 0.5 + 0.125 * (2 * math.pi * inner).sin().sum(dim=0)


SAMPLED = {
    "reconstruct": lambda size: losses.reconstruct(
        waves(size, 3), waves(size, 3, 1), 0.1 + waves(size, 1, 2), 0.5
    ),
    "gradients": lambda size: losses.reconstruct(
        waves(size, 3), waves(size, 3, 1), torch.ones(3, 1, size, size), 10.0
    ),
    "cover_foreground": lambda size: losses.cover_foreground(waves(size, 1), waves(size, 1, 1)),
    "fill_foreground": lambda size: losses.fill_foreground(
        *waves(size, 3).unbind(1), waves(size, 1, 1)[:, 0] > 0.7
    ),
    "consistent_parts": lambda size: losses.consistent_parts(
        waves(size // 4, 8), (8 * waves(size, 4, 1)).softmax(dim=1)
    ),
    "smooth_depth": lambda size: losses.smooth_depth(*(1 + 0.1 * waves(size, 2)).unbind(1)),
    "deformation": lambda size: losses.deformation(waves(size // 2, 1), waves(size // 4, 1), waves(5, 1)),
}


def test_every_term_is_looked_at_in_two_resolutions():
    assert set(SAMPLED) - {"gradients"} == set(TERMS)


@pytest.mark.parametrize("name", SAMPLED)
def test_terms_are_the_same_at_64_and_at_128_pixels(name):
    coarse, fine = (float(SAMPLED[name](size)) for size in (64, 128))
    assert abs(coarse) > 1e-3 and fine == pytest.approx(coarse, rel=0.1)
