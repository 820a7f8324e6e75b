"""Where parts start: cells that know nothing of faces."""

import pytest
import torch

from igc.capsules import in_picture, initial_support
from igc.cells import equal_cells, random_cells

MASKS = {"head": initial_support(32) > 0, "picture": in_picture(32, 1.25)}


def start(parts=6, mask="head", seed=0):
    torch.manual_seed(seed)
    return equal_cells(parts, MASKS[mask])


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("parts", "seed"), [(1, 0), (2, 0), (6, 0), (6, 1), (12, 0), (12, 2)])
def test_parts_start_with_equal_shares(parts, mask, seed):
    cells = start(parts, mask, seed)
    assert cells.shape == (parts, 32, 32) and (cells.sum(dim=0) == 1).all()
    area = cells[:, MASKS[mask]].sum(dim=1)
    few = max(6, 0.06 * area.sum() / parts)  # three pixels of the coarse mask and their mirror images
    assert (area - area.sum() / parts).abs().max() <= few, area


def test_cells_are_mirror_symmetric():
    cells = start()
    assert torch.equal(cells, cells.flip(-1))
    assert not torch.equal(cells, cells.flip(-2))


def test_every_seed_has_cells_of_its_own():
    first, again, other = start(), start(), start(seed=1)
    assert torch.equal(first, again)
    assert (first.argmax(dim=0) != other.argmax(dim=0)).float().mean() > 0.3


@pytest.mark.parametrize("mask", MASKS)
def test_nothing_tells_up_from_down(monkeypatch, mask):
    """Random numbers that are turned upside down turn the cells, and nothing else."""
    x, y = torch.rand(2, 6, dtype=torch.float64)
    found = []
    for height in (y, 1 - y):
        monkeypatch.setattr(torch, "rand", lambda *_, h=height, **__: torch.stack((x, h)))
        found.append(equal_cells(6, MASKS[mask]).argmax(dim=0))
    above, below = found
    assert (above.flip(-2) == below).float().mean() > 0.99, "but for points that are as near to two sites"


def test_cells_are_found_in_a_mask_of_any_form():
    """Also in one that is not symmetric from top to bottom; they go on beyond it."""
    half = torch.zeros(32, 32, dtype=torch.bool)
    half[16:] = True
    cells = equal_cells(4, half)
    area = cells[:, half].sum(dim=1)
    assert (area > 100).all() and (cells.sum(dim=0) == 1).all()


def test_random_cells_are_those_of_their_generator():
    inside = MASKS["head"]
    first, again = (random_cells(6, inside, torch.Generator().manual_seed(3)) for _ in range(2))
    state = torch.get_rng_state()
    other = random_cells(6, inside, torch.Generator().manual_seed(4))
    assert torch.equal(torch.get_rng_state(), state), "nobody else's random numbers are used"
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert (first.sum(dim=0) == 1).all() and torch.equal(first, first.flip(-1))
