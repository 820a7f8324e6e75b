"""Where parts lie: ellipses that start as cells of equal area and know nothing of faces."""

import pytest
import torch

from igc.capsules import in_picture, initial_support
from igc.ellipses import PACE, Ellipses, equal_cells

MASKS = {"head": initial_support(32) > 0, "picture": in_picture(32, 1.25)}


def start(parts=6, mask="head", seed=0):
    torch.manual_seed(seed)
    return Ellipses(parts, MASKS[mask])


def cells(module, size=32):
    with torch.no_grad():
        return module(size).argmax(dim=0)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("parts", "seed"), [(1, 0), (2, 0), (6, 0), (6, 1), (12, 0), (12, 2)])
def test_parts_start_with_equal_shares(parts, mask, seed):
    area = cells(start(parts, mask, seed))[MASKS[mask]].bincount(minlength=parts)
    few = max(6, 0.06 * area.sum() / parts)  # three pixels of the coarse mask and their mirror images
    assert (area - area.sum() / parts).abs().max() <= few, area


def test_cells_and_logits_are_mirror_symmetric():
    module = start()
    assert torch.equal(cells(module, 64), cells(module, 64).flip(-1))
    with torch.no_grad():
        for each in module.parameters():
            each.add_(0.05 * torch.randn_like(each))
        torch.testing.assert_close(module(33), module(33).flip(-1))
        assert not torch.allclose(module(33), module(33).flip(-2), atol=0.1)


def test_every_seed_has_cells_of_its_own():
    first, again, other = cells(start()), cells(start()), cells(start(seed=1))
    assert torch.equal(first, again)
    assert (first != other).float().mean() > 0.3


def test_nothing_tells_up_from_down(monkeypatch):
    """Random numbers that are turned upside down turn the cells, and nothing else."""
    x, y = torch.rand(2, 6, dtype=torch.float64)
    found = []
    for height in (y, 1 - y):
        monkeypatch.setattr(torch, "rand", lambda *_, h=height, **__: torch.stack((x, h)))
        found.append(Ellipses(6, MASKS["head"]))
    above, below = found
    torch.testing.assert_close(above.centre * torch.tensor([1.0, -1.0]), below.centre)
    torch.testing.assert_close(above.bias, below.bias)
    with torch.no_grad():
        torch.testing.assert_close(above(32).flip(-2), below(32), atol=1e-3, rtol=1e-4)


def test_gradients_reach_all_parameters():
    """At once, but for the slant of what is a circle at the start."""
    module = start()
    assert (module.radii == 0).all() and (module.slant == 0).all()
    module.radii.data.copy_(0.05 * torch.randn(6, 2))
    (module(32).softmax(dim=0) * torch.randn(6, 32, 32)).sum().backward()
    for name, weight in module.named_parameters():
        assert torch.isfinite(weight.grad).all() and (weight.grad != 0).all(), name


def test_sharp_borders_are_between_ones_and_zeros_and_lie_where_wide_ones_do():
    module = start()
    shares = {}
    for sharp in (3.0, 1e6):
        module.sharp.fill_(sharp)
        shares[sharp] = module(64).softmax(dim=0)
    hard = shares[1e6]
    assert torch.equal(hard, hard.round()) and (hard.sum(dim=0) == 1).all()
    assert torch.equal(hard.argmax(dim=0), shares[3.0].argmax(dim=0))
    assert shares[3.0].amax(dim=0).mean() < 0.9


@pytest.mark.parametrize(("name", "index"), [("centre", (0, 1)), ("radii", (0, 1)), ("slant", (0,))])
def test_a_part_moves_as_it_is_told(name, index):
    """Logits against the ellipse's own formula at one point."""
    module = start(1)
    with torch.no_grad():
        getattr(module, name)[index] = 0.1
        module.radii[0, 0] = 0.2
        row, column = 20, 25
        place = torch.tensor([(column + 0.5) / 16 - 1, (row + 0.5) / 16 - 1])
        (x, y), turn = PACE * module.centre[0], PACE * module.slant[0]
        across, down = (place[0] ** 2 + 0.0025).sqrt() - x, place[1] - y
        wide, high = 0.4 * (PACE * module.radii[0]).exp()
        first = (turn.cos() * across + turn.sin() * down) / wide
        second = (turn.cos() * down - turn.sin() * across) / high
        wanted = 20 * (PACE * module.bias[0] - 0.5 * (first**2 + second**2))
        torch.testing.assert_close(module(32)[0, row, column], wanted)


def test_a_part_with_more_bias_reaches_farther():
    module = start()
    before = cells(module)
    module.bias.data[2] += 0.05
    after = cells(module)
    assert (after == 2).sum() > (before == 2).sum() > 0
    assert (after == 2)[before == 2].all()


def test_the_start_is_a_part_of_the_checkpoint():
    first, other = start(), start(seed=1)
    other.load_state_dict(first.state_dict())
    assert "sharp" in first.state_dict() and torch.equal(first(32), other(32))


def test_cells_are_found_in_a_mask_of_any_form():
    """Also in one that is not symmetric from top to bottom."""
    half = torch.zeros(32, 32, dtype=torch.bool)
    half[16:] = True
    x, y, bias = equal_cells(4, half)
    assert (y > 0).all() and (x > 0).all() and torch.isfinite(bias).all()
