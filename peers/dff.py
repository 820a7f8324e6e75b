"""DFF, deep feature factorisation: non-negative factors of a network's features are parts.

Two rows of the table: features of our own encoder as it is shipped, and of the same network untrained. No
downloaded weights.
"""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import NMF
from torch import Tensor

from igc.config import ModelConfig
from igc.errors import UserError
from igc.model import IGCNet
from peers.base import Peer, as_bytes, chunked, foreground, instability

PLACES = 20_000
"""Places of the feature maps that the factors are fitted to."""
SOURCE = "E. Collins, R. Achanta, S. Suesstrunk, Deep Feature Factorization for Concept Discovery, ECCV 2018"
COMMON = (
    "Features of a small encoder in place of VGG-19, which was trained with ImageNet's labels.",
    "The factors are fitted once, to places of the foreground of the training images; new images only get "
    "weights. The published one factorises the very images that it segments.",
    "Background is taken out by the shared cue for the foreground.",
    "Which of the last three maps is factorised is searched; the published one takes the last.",
    "Weights are divided by their means over the training images, so that no factor wins by its scale.",
)


class _DFF(Peer):
    source = SOURCE
    settings = ({"layer": 4}, {"layer": 3}, {"layer": 2})
    """`layer`: which of the encoder's maps is factorised, the last first; S/16, S/8 and S/4 pixels wide."""

    encoder: IGCNet

    def fit(self, dataset, minutes: float, report=None) -> None:
        pixels = as_bytes(dataset)
        rng = np.random.default_rng(self.seed)
        images = pixels[rng.permutation(len(pixels))[:1024]].float() / 255
        maps = self.activations(images)
        mask = F.adaptive_avg_pool2d(foreground(images)[:, None].float(), maps.shape[-1])[:, 0] > 0.5
        rows = maps.movedim(1, -1)[mask].numpy()
        if len(rows) < self.parts:
            raise UserError(f"{self.name} found no foreground in the images: bring images of faces.")
        rows = rows[rng.permutation(len(rows))[:PLACES]]
        self.factors = NMF(self.parts, init="nndsvda", random_state=self.seed, max_iter=200, tol=1e-3)
        self.scale = self.factors.fit_transform(rows).mean(axis=0) + 1e-9

    def labels(self, images: Tensor) -> Tensor:
        def label(images: Tensor) -> Tensor:
            maps = self.activations(images).movedim(1, -1)
            weights = self.factors.transform(maps.reshape(-1, maps.shape[-1]).numpy()) / self.scale
            heat = torch.from_numpy(weights).float().reshape(*maps.shape[:3], -1).movedim(-1, 1)
            heat = F.interpolate(heat, size=images.shape[-2:], mode="bilinear", align_corners=False)
            return (heat.argmax(dim=1) + 1) * foreground(images)

        return chunked(label, images)

    def validation_loss(self, images: Tensor) -> float:
        return instability(self.labels, images, self.parts, self.seed)

    def activations(self, images: Tensor) -> Tensor:
        """Non-negative features (B, F, s, s) of the chosen layer."""
        blocks = [*self.encoder.encoder.local, *self.encoder.encoder.globally[:2]]

        def run(images: Tensor) -> Tensor:
            maps = 2 * images - 1
            for block in blocks[: self.setting["layer"]]:
                maps = block(maps)
            return maps.relu()

        return chunked(run, images)


class DFF(_DFF):
    name = "DFF, our features"
    deviations = (
        *COMMON,
        "The encoder is that of our shipped model, so its training, longer and on more images than "
        "the table's, is not counted.",
    )

    def __init__(
        self, size: int, parts: int = 6, seed: int = 0, model: str | IGCNet = "synthetic-64", **setting
    ):
        """`model`: a folder that training wrote, a shipped model's name, or a model."""
        super().__init__(size, parts, seed, **setting)
        self.encoder = model if isinstance(model, IGCNet) else IGCNet.from_pretrained(model)
        if self.encoder.config.size != size:
            raise UserError(
                f"the model {model} takes {self.encoder.config.size} pixels, not {size}: name another."
            )


class DFFUntrained(_DFF):
    name = "DFF, untrained"
    deviations = (*COMMON, "The encoder has random weights.")

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        super().__init__(size, parts, seed, **setting)
        self.encoder = IGCNet(ModelConfig(size=size, parts=parts)).eval()
