"""The price on small parts, which keeps every part of the concentration peer alive."""

import torch
from torch.autograd import gradcheck

from peers.concentration import keep_alive

UNFAIR = torch.tensor([0.01, 1.0, 1.0, 1.0, 1.0])[:, None, None]


def test_a_part_that_vanishes_is_punished():
    fair = torch.full((2, 5, 8, 8), 0.2)
    vanished = fair.clone()
    vanished[:, 0], vanished[:, 1] = 1e-5, 0.4
    assert keep_alive(vanished) > keep_alive(fair) + 0.5
    small = fair.clone().requires_grad_()
    keep_alive(small * UNFAIR).backward()
    assert (small.grad[:, 0] < 0).all(), "more of the small part lowers the term"


def test_how_large_the_face_is_does_not_matter_for_the_parts_shares():
    face = torch.rand(2, 4, 8, 8)
    whole, half = (torch.cat((s * face, 1 - s * face.sum(1, keepdim=True)), 1) for s in (0.2, 0.1))
    torch.testing.assert_close(keep_alive(whole), keep_alive(half), atol=1e-4, rtol=1e-3)


def test_the_order_of_the_parts_does_not_matter():
    parts = torch.randn(3, 5, 16, 16).softmax(dim=1) * UNFAIR
    turned = parts[:, [3, 1, 0, 2, 4]]
    torch.testing.assert_close(keep_alive(parts), keep_alive(turned), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    parts = torch.rand(2, 4, 5, 5, dtype=torch.float64) * torch.tensor([0.02, 1, 1, 1])[:, None, None]
    assert gradcheck(keep_alive, (parts.requires_grad_(),))


def test_it_is_the_same_in_two_resolutions():
    coarse = torch.randn(3, 5, 16, 16).softmax(dim=1) * UNFAIR
    fine = torch.nn.functional.interpolate(coarse, scale_factor=2)
    torch.testing.assert_close(keep_alive(fine), keep_alive(coarse))
