"""What all peers share: the interface, the images in memory, the cue for the face, and one training loop.

A peer is fitted on images, within a budget of wall time, and then asked for labels, depth, features and
pictures of others. What it has no answer for it answers with None. Everything runs on the CPU.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from sklearn.metrics import mutual_info_score
from torch import Tensor, nn
from tqdm import tqdm

from igc.background import Background
from igc.comparison import ALONE
from igc.data import read_all
from igc.errors import UserError
from igc.machine import keep_memory

IMAGES = ALONE
"""`Peer.given` of a system that is fitted on images and nothing else."""


class Peer:
    """One system of the table. A subclass sets the five names below, builds its network in `__init__`, and
    overrides what it can do."""

    name: str = ""
    """As the table shows it."""
    source: str = ""
    """Authors, title, venue and year."""
    deviations: tuple[str, ...] = ()
    """How this compact version departs from the published one, a sentence each."""
    given: str = IMAGES
    """`IMAGES`, or what truth it is given, in words."""
    settings: tuple[dict, ...] = ({},)
    """The settings that the search tries; each is a dict of keyword arguments."""
    flip: bool = True
    """Whether half of the images are mirrored as they are drawn for a batch, as in ours."""

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        """`size`: S, pixels of a side. `parts`: M. `seed`: of weights and order, set here for what follows.
        `setting`: one of `settings`; a name that the first of them lacks raises UserError."""
        unknown = sorted(set(setting) - set(self.settings[0]))
        if unknown:
            known = ", ".join(self.settings[0]) or "none"
            raise UserError(f"{self.name} has no setting {unknown[0]!r}: it has {known}.")
        self.size, self.parts, self.seed = size, parts, seed
        self.setting = {**self.settings[0], **setting}
        self.model: nn.Module | None = None
        torch.manual_seed(seed)

    def fit(self, dataset, minutes: float, report: Callable[[int, float], None] | None = None) -> None:
        """Learns from the images of `dataset` for `minutes` of wall time; `report(step, loss)` hears of it.

        `dataset` has `len`, `size` and `batch(indices, truth=False)`: a dict with `image`, (B, 3, S, S).
        """

    def descend(self, dataset, minutes: float, report=None) -> None:
        """`fit` of a network that has a `loss(images)`, with the batch size and rate of its setting."""
        batch_size, rate = self.setting["batch_size"], self.setting["lr"]
        train_loop(
            self.model, dataset, self.model.loss, minutes, batch_size, rate, self.seed, report, flip=self.flip
        )

    def labels(self, images: Tensor) -> Tensor | None:
        """Parts (B, S, S) int64 of images (B, 3, S, S): 0 background, 1..M. None if it has no parts."""
        return None

    def depth(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """View depth (B, S, S), 0 outside of the face, and view normals (B, 3, S, S), or None."""
        return None

    def features(self, images: Tensor) -> Tensor | None:
        """What it knows of a face (B, F), for telling people apart by, or None."""
        return None

    def looked(self, images: Tensor) -> Tensor | None:
        """What it sees of a face (B, F) when it looks at the image once more, along the geometry that it has
        found there, or None."""
        return None

    def pictures(self, images: Tensor) -> Tensor | None:
        """Its reconstructions (B, 3, S, S), or None."""
        return None

    @property
    def parameters(self) -> int:
        """How many numbers are learned by gradient; 0 where nothing is."""
        if self.model is None:
            return 0
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def validation_loss(self, images: Tensor) -> float | None:
        """What the search of settings minimises, on images that were not fitted, without any label; it must
        mean the same in all settings. None where there is nothing to choose."""
        return None


class Loaded:
    """The images of a data set, drawn or read once and kept as bytes; a data set itself, without truth."""

    def __init__(self, dataset):
        self.size, self.name = dataset.size, dataset.fingerprint()
        self.pixels = as_bytes(dataset)

    @classmethod
    def of(cls, pixels: Tensor, name: str = "images") -> "Loaded":
        """Images that are bytes already, uint8 (N, 3, S, S)."""
        self = cls.__new__(cls)
        self.size, self.name, self.pixels = pixels.shape[-1], name, pixels
        return self

    def __len__(self) -> int:
        return len(self.pixels)

    def fingerprint(self) -> str:
        return self.name

    def batch(self, indices, truth: bool = False) -> dict[str, Tensor]:
        return {"image": self.pixels[torch.as_tensor(list(indices), dtype=torch.long)].float() / 255}


def as_bytes(dataset) -> Tensor:
    """All images of a data set, uint8 (N, 3, S, S)."""
    if isinstance(dataset, Loaded):
        return dataset.pixels
    return (read_all(dataset, truth=False)["image"] * 255).round().to(torch.uint8)


def cue(images: Tensor) -> Tensor:
    """How surely each pixel of images (B, 3, S, S) is not background, (B, S, S) in [0, 1].

    What differs from the membrane that the picture's border spans, as ours is trained with
    (`igc.background.foreground`), but smoothed before it is judged: a seam of a pixel is kept, so that what
    cuts pictures by this cue loses no rim. No label is used.
    """
    membrane = _membrane(images.shape[-1])(images)
    difference = (images - membrane).square().sum(dim=1, keepdim=True).sqrt()
    return 1 - (-(F.avg_pool2d(difference, 3, 1, 1)[:, 0] / 0.1).square()).exp()


def foreground(images: Tensor, threshold: float = 0.5) -> Tensor:
    """Pixels (B, S, S) bool that are not background, for systems that know of none: the largest connected
    piece of what `cue` puts above `threshold`, with its holes filled."""
    masks = (cue(images) > threshold).numpy()
    for i, mask in enumerate(masks):
        pieces, count = ndimage.label(mask)
        if count:
            kept = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
            outside, _ = ndimage.label(np.pad(~kept, 1, constant_values=True))
            masks[i] = outside[1:-1, 1:-1] != outside[0, 0]
    return torch.from_numpy(masks)


def train_loop(
    model: nn.Module, dataset, loss_fn: Callable[..., Tensor], minutes: float, batch_size: int = 32,
    lr: float = 1e-3, seed: int = 0, report: Callable[[int, float], None] | None = None,
    sample: Callable[[torch.Generator], object] | None = None, flip: bool = False,
) -> dict:  # fmt: skip
    """Trains `model` with Adam until `minutes` of wall time are spent; returns {"steps", "seconds", "loss"}.

    Every step is `loss_fn(images)` on images (batch_size, 3, S, S) drawn at random, with `flip` half of them
    mirrored, or `loss_fn(sample(rng))`
    if the batches are to be made otherwise. As in ours, the learning rate rises at first and falls along a
    cosine to a twentieth, by the share of the time spent, and gradients are clipped to a norm of 1. Loading
    the images does not count. UserError if the loss is not finite.
    """
    keep_memory()
    pixels = as_bytes(dataset)
    rng = torch.Generator().manual_seed(seed)
    sample = sample or (lambda rng: _draw(pixels, batch_size, rng, flip))
    optimiser = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr, betas=(0.9, 0.99))
    budget, started, step, loss = 60 * minutes, time.perf_counter(), 0, torch.zeros(())
    model.train()
    with tqdm(total=round(budget), unit="s", desc="fitting", leave=False, disable=None) as bar:
        while (spent := time.perf_counter() - started) < budget:
            share = spent / budget
            for group in optimiser.param_groups:
                rising = min(1.0, max((step + 1) / 50, share / 0.05))
                falling = 0.5 * (1 + math.cos(math.pi * share))
                group["lr"] = lr * rising * (0.05 + 0.95 * falling)
            loss = loss_fn(sample(rng))
            if not torch.isfinite(loss):
                raise UserError(f"the loss is {loss.item()} in step {step + 1}: lower 'lr' ({lr}).")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            step += 1
            bar.update(int(spent) - bar.n)
            if report and step % 50 == 0:
                report(step, loss.item())
    model.eval()
    return {"steps": step, "seconds": time.perf_counter() - started, "loss": loss.item()}


@torch.no_grad()
def chunked(function: Callable[[Tensor], Tensor], images: Tensor, chunk: int = 64) -> Tensor:
    """`function` of all images, some at a time and without gradients; the results, joined."""
    return torch.cat([function(part) for part in images.split(chunk)])


def instability(labels: Callable[[Tensor], Tensor], images: Tensor, parts: int, seed: int = 0) -> float:
    """How little `labels` follow a picture that is slightly turned, moved, scaled and tinted: 1 - I / log M,
    where I is the mutual information of the altered pictures' labels and the altered labels, where either is
    not background, and M is `parts`. It is 0 for M parts of one size that follow exactly, and 1 where all
    pixels have one label or labels follow nothing: parts that hardly occur earn as little as such that do not
    follow. It needs no truth, so settings can be chosen by it."""
    grid, gain = small_changes(len(images), seed, strength=0.5)
    flow = F.affine_grid(grid, list(images.shape), align_corners=False)
    altered = F.grid_sample(images, flow, padding_mode="border", align_corners=False)
    found = labels((altered * gain).clamp(0, 1))
    wanted = labels(images)[:, None].float()
    wanted = F.grid_sample(wanted, flow, mode="nearest", padding_mode="border", align_corners=False)
    wanted = wanted[:, 0].round().long()
    either = (found > 0) | (wanted > 0)
    found, wanted = found[either].numpy(), wanted[either].numpy()
    if not len(found) or parts < 2:
        return 1.0
    return 1 - float(mutual_info_score(wanted, found)) / math.log(parts)


def small_changes(count: int, seed: int | None = None, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Random affine maps (count, 2, 3), for `affine_grid`, and gains of the colours (count, 3, 1, 1): turned
    by up to 15 degrees, scaled by up to 10 %, moved by up to 5 %, and colours changed by up to 15 %, all
    times `strength`."""
    rng = None if seed is None else torch.Generator().manual_seed(seed)
    u = strength * (2 * torch.rand(count, 7, generator=rng) - 1)
    angle, scale = math.radians(15) * u[:, 0], 1 + 0.1 * u[:, 1]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = (torch.stack((cos, -sin, 0.1 * u[:, 2]), dim=1), torch.stack((sin, cos, 0.1 * u[:, 3]), dim=1))
    return torch.stack(rows, dim=1), 1 + 0.15 * u[:, 4:, None, None]


def _draw(pixels: Tensor, count: int, rng: torch.Generator, flip: bool) -> Tensor:
    images = pixels[torch.randint(len(pixels), (count,), generator=rng)].float() / 255
    if flip:
        mirrored = torch.rand(count, 1, 1, 1, generator=rng) < 0.5
        images = torch.where(mirrored, images.flip(-1), images)
    return images


_MEMBRANES: dict[int, Background] = {}


def _membrane(size: int) -> Background:
    if size not in _MEMBRANES:
        _MEMBRANES[size] = Background(size)
    return _MEMBRANES[size]
