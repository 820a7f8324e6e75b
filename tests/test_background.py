"""The membrane that is stretched over a picture from its border."""

import pytest
import torch

from igc.background import Background, Plain, membrane


def test_plain_pictures_are_reproduced():
    colour = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(2, 3, 32, 32)
    torch.testing.assert_close(Background(32)(colour), colour, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("direction", "close"), [((1.0, 0.0), 1.2e-2), ((0.0, -1.0), 0.2), ((0.5, 0.7), 0.15)]
)
def test_graded_pictures_are_nearly_reproduced(direction, close):
    """The upper and the lower border are free: a grey that changes downwards is flattened there."""
    axis = torch.linspace(-0.25, 0.25, 64)
    ramp = 0.5 + direction[0] * axis[None, :] + direction[1] * axis[:, None]
    image = ramp.expand(1, 3, 64, 64)
    torch.testing.assert_close(Background(64)(image), image, atol=close, rtol=0)
    torch.testing.assert_close(Background(64)(image)[:, :, 24:40], image[:, :, 24:40], atol=0.03, rtol=0)


def test_without_blur_pictures_that_are_linear_across_are_reproduced_exactly():
    image = (0.3 * torch.linspace(0, 1, 32)[None, :]).expand(1, 3, 32, 32)
    torch.testing.assert_close(Background(32, band=0)(image), image, atol=1e-5, rtol=0)


def test_only_the_left_and_the_right_border_are_looked_at():
    module, image = Background(32), torch.rand(2, 3, 32, 32)
    before = module(image)
    image[..., 3:-3] = torch.rand(2, 3, 32, 26)
    assert torch.equal(module(image), before)
    for border in (0, 31):
        image[..., border] = 1 - image[..., border]
        after = module(image)
        assert not torch.equal(after, before)
        before = after


def test_it_solves_laplaces_equation():
    """Against the oldest way: replace every inner pixel by the mean of its four neighbours, many
    times; on the free borders, of its three."""
    size, image = 16, torch.rand(1, 3, 16, 16, dtype=torch.float64)
    found = Background(size, band=0)(image.float())
    slow = image.clone()
    for _ in range(3000):
        around = slow[..., :-2, 1:-1] + slow[..., 2:, 1:-1] + slow[..., 1:-1, :-2] + slow[..., 1:-1, 2:]
        slow[..., 1:-1, 1:-1] = around / 4
        for free, next_to_it in ((0, 1), (-1, -2)):
            sideways = slow[..., free, :-2] + slow[..., free, 2:]
            slow[..., free, 1:-1] = (slow[..., next_to_it, 1:-1] + sideways) / 3
    torch.testing.assert_close(found, slow.float(), atol=1e-5, rtol=0)


def test_weights_of_the_border_are_shares():
    fill = membrane(16)
    assert fill.shape == (32, 256)
    assert (fill > -1e-6).all(), "the maximum principle"
    torch.testing.assert_close(fill.sum(dim=0), torch.ones(256), atol=1e-5, rtol=0)


def test_no_gradient_no_weights_and_nothing_in_a_checkpoint():
    module = Background(16)
    assert not list(module.parameters()) and not module.state_dict()
    assert not module(torch.rand(1, 3, 16, 16, requires_grad=True)).requires_grad


def test_what_stands_for_a_background_is_the_mean_colour():
    image = torch.rand(2, 3, 16, 16, requires_grad=True)
    found = Plain()(image)
    assert found.shape == image.shape and not found.requires_grad and not Plain().state_dict()
    torch.testing.assert_close(found[:, :, 3, 5], image.detach().mean(dim=(2, 3)))
    assert (found == found[..., :1, :1]).all()
