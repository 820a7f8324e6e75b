"""Toys that every system of parts should solve: three discs of distinct colours that move about."""

from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from igc.metrics import part_scores
from peers import base, morphable

COLOURS = ((0.9, 0.1, 0.1), (0.1, 0.8, 0.2), (0.15, 0.25, 0.95))


class Discs:
    """A data set of images (3, S, S): a red disc left, a green one right and a blue one below, which touch or
    nearly so and move together and a little by themselves, on light grey."""

    def __init__(self, count: int = 128, size: int = 32, seed: int = 0):
        self.size, self.count = size, count
        rng = torch.Generator().manual_seed(seed)
        together = 0.12 * (2 * torch.rand(count, 1, 2, generator=rng) - 1)
        alone = 0.02 * (2 * torch.rand(count, 3, 2, generator=rng) - 1)
        home = torch.tensor([[0.36, 0.4], [0.64, 0.4], [0.5, 0.63]])
        centre = (home + together + alone) * size
        axis = torch.arange(size) + 0.5
        square = (axis - centre[..., :1, None]).square() + (axis[:, None] - centre[..., 1:, None]).square()
        inside = square < (0.15 * size) ** 2
        self.labels = torch.zeros(count, size, size, dtype=torch.int64)
        self.images = torch.full((count, 3, size, size), 0.85)
        for part, colour in enumerate(COLOURS):
            self.labels[inside[:, part]] = part + 1
            self.images = torch.where(inside[:, part, None], torch.tensor(colour)[:, None, None], self.images)

    def __len__(self) -> int:
        return self.count

    def fingerprint(self) -> str:
        return f"discs/{self.count}x{self.size}px"

    def batch(self, indices, truth: bool = False) -> dict[str, Tensor]:
        chosen = torch.as_tensor(list(indices), dtype=torch.long)
        return {"image": self.images[chosen]} | ({"labels": self.labels[chosen]} if truth else {})


def score(peer, discs: Discs) -> float:
    """ARI of a fitted system's labels with the discs, on the discs."""
    return part_scores(peer.labels(discs.images), discs.labels, (1, 2, 3))["ari"]


@contextmanager
def clock(steps: int):
    """The fits' clock makes `steps` looks a second: a budget buys the same steps on a busy machine."""
    looks = count()
    stopped = SimpleNamespace(perf_counter=lambda: next(looks) / steps)
    with pytest.MonkeyPatch.context() as patch:
        for module in (base, morphable):
            patch.setattr(module, "time", stopped)
        yield


def learns(peer, wanted: float = 0.7, steps: int = 300) -> bool:
    """Whether a system finds the discs in images that it has not seen."""
    peer.flip = False  # what is left stays left
    with clock(steps):
        peer.fit(Discs(), 1 / 60)
    return score(peer, Discs(48, seed=1)) > wanted


def train(model, images: Tensor, steps: int, lr: float = 4e-3) -> None:
    """As `base.train_loop` does, but by steps and not by time, so that the result is always the same."""
    optimiser = torch.optim.Adam(model.parameters(), lr, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps, pct_start=0.1)
    rng = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimiser.zero_grad()
        model.loss(images[torch.randint(len(images), (16,), generator=rng)]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    model.eval()
