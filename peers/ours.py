"""Ours, as one row of the table: an `IGCNet` in a training run whose schedule follows the clock."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from igc import IGCNet, ModelConfig, TrainConfig, UserError, analysis, segment
from igc.evaluate import explain
from igc.training import Training
from peers.base import Loaded, Peer, as_bytes, chunked

STEPS = 2000
"""As many steps the schedule counts, however many the time is enough for."""
KNOWN = 512
"""Images of those it was fitted on that the axes of its features are taken from."""


class Ours(Peer):
    name = "IGC-Net (ours)"
    source = "C. Yu et al., Graphics Capsule: Learning Hierarchical 3D Face Representations, CVPR 2023"
    deviations = ("The book's architecture page tells where it departs from the paper.",)
    settings = (
        {"learning_rate": 1e-3, "batch_size": 16},
        {"learning_rate": 2e-3, "batch_size": 16},
        {"learning_rate": 1e-3, "batch_size": 32},
    )
    """Settings of `igc.TrainConfig`; all others keep their defaults."""

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        super().__init__(size, parts, seed, **setting)
        self.model = IGCNet(ModelConfig(size=size, parts=parts))

    def fit(self, dataset, minutes: float, report=None) -> None:
        pixels = as_bytes(dataset)
        self.known = pixels[:KNOWN].float() / 255
        batch = self.setting["batch_size"]
        if len(pixels) < batch:
            raise UserError(f"'images' ({len(pixels)}) is less than a batch ({batch}): raise it.")
        quiet = {"epochs": 100000, "picture_epochs": 10**6, "device": "cpu"}
        config = TrainConfig(seed=self.seed, **quiet, **self.setting)
        model_config = ModelConfig(size=self.size, parts=self.parts)
        with tempfile.TemporaryDirectory() as folder:
            run = OnTheClock(Loaded.of(pixels), model_config, config, Path(folder))
            self.model = run.until(60 * minutes).eval()

    def labels(self, images: Tensor) -> Tensor:
        return segment.labels(self.model, images)

    def depth(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = explain(self.model, images)
        return found["depth"], found["normal"]

    def features(self, images: Tensor) -> Tensor:
        """The codes of shape and albedo of all parts."""
        return torch.from_numpy(analysis.joined(analysis.describe(self.model, images).parts))

    def looked(self, images: Tensor) -> Tensor:
        """Shape and albedo of all parts, as `igc.analysis` observes them in the images; the axes are those of
        images that it was fitted on."""
        both, axes = torch.cat((self.known, images)), np.arange(len(self.known))
        described = analysis.describe(self.model, both, "observed", fit=axes)
        return torch.from_numpy(analysis.joined(described.parts)[len(axes) :])

    def pictures(self, images: Tensor) -> Tensor:
        return chunked(lambda part: self.model(part).image.clamp(0, 1), images)

    def validation_loss(self, images: Tensor) -> float:
        return float((self.pictures(images) - images).abs().mean())


class OnTheClock(Training):
    """A run whose schedule goes by the time that is spent, as `base.train_loop`'s does."""

    def until(self, budget: float) -> IGCNet:
        """Trains for `budget` seconds; the averaged model."""
        self.budget, self.started = budget, time.perf_counter()
        try:
            self.run(self)
        except KeyboardInterrupt:  # by `asked`, or by somebody who wants to stop before the time is up
            if self.share() < 1:
                raise
        return self.shown()

    def share(self) -> float:
        return min(1.0, (time.perf_counter() - self.started) / self.budget)

    def place(self) -> tuple[float, int]:
        return STEPS * self.share(), STEPS

    def asked(self, accelerator, step: int) -> bool:
        """Whether to stop now; in place of the stop button."""
        return self.share() >= 1
