"""Ours, as one row of the table: an `IGCNet` trained by `igc.fit` for as many images as the budget allows."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from igc import IGCNet, ModelConfig, TrainConfig, UserError, analysis, segment
from igc.evaluate import explain
from igc.train import fit
from peers.base import Loaded, Peer, as_bytes, chunked

PROBE = 24
"""Steps by which the speed is measured first; the schedule must know its end beforehand."""
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
        started, pixels = time.perf_counter(), as_bytes(dataset)
        self.known = pixels[:KNOWN].float() / 255
        batch = self.setting["batch_size"]
        if len(pixels) < batch:
            raise UserError(f"'images' ({len(pixels)}) is less than a batch ({batch}): raise it.")
        speed = self._train(pixels[: PROBE * batch], 1)
        left = 60 * minutes - (time.perf_counter() - started)
        total = max(int(speed * left), batch)
        epochs = -(-total // len(pixels))
        self._train(pixels[: max(batch, total // epochs)], epochs)

    def labels(self, images: Tensor) -> Tensor:
        return segment.labels(self.model, images)

    def depth(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = explain(self.model, images)
        return found["depth"], found["normal"]

    def features(self, images: Tensor) -> Tensor:
        """Shape and albedo of all parts, as `igc.analysis` observes them in the images; the axes are those of
        images that it was fitted on."""
        both, axes = torch.cat((self.known, images)), np.arange(len(self.known))
        described = analysis.describe(self.model, both, "observed", fit=axes)
        return torch.from_numpy(analysis.joined(described.parts)[len(axes) :])

    def pictures(self, images: Tensor) -> Tensor:
        return chunked(lambda part: self.model(part).image.clamp(0, 1), images)

    def validation_loss(self, images: Tensor) -> float:
        return float((self.pictures(images) - images).abs().mean())

    def _train(self, pixels: Tensor, epochs: int) -> float:
        """Trains a model from scratch, keeps it, and returns the speed in images a second."""
        with tempfile.TemporaryDirectory() as folder:
            config = TrainConfig(epochs=epochs, seed=self.seed, device="cpu", **self.setting)
            model_config = ModelConfig(size=self.size, parts=self.parts)
            record = fit(Loaded.of(pixels), model_config, config, Path(folder))
            self.model = IGCNet.from_pretrained(folder)
        return record["final"]["images_per_second"]
