"""k-means over the position and the colour of the foreground's pixels."""

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from igc.errors import UserError
from igc.geometry import pixel_centres
from peers.base import Peer, as_bytes, foreground, instability

PIXELS = 50_000
"""Pixels that the centres are fitted to."""


class KMeansParts(Peer):
    name = "k-means"
    source = "S. Lloyd, Least squares quantization in PCM, IEEE Transactions on Information Theory 1982"
    deviations = ("Fitted to a sample of pixels of all images, so that a cluster means the same in each.",)
    settings = ({"place": 2.0}, {"place": 1.0}, {"place": 4.0})
    """`place`: weight of the position, the image being one unit wide, beside the colour in [0, 1]."""

    def fit(self, dataset, minutes: float, report=None) -> None:
        pixels = as_bytes(dataset)
        rng = np.random.default_rng(self.seed)
        images = pixels[rng.permutation(len(pixels))[:512]].float() / 255
        inputs = self._inputs(images)[foreground(images)].numpy()
        if len(inputs) < self.parts:
            raise UserError("k-means found no foreground in the images: bring images of faces.")
        chosen = rng.permutation(len(inputs))[:PIXELS]
        self.clusters = KMeans(self.parts, n_init=3, random_state=self.seed).fit(inputs[chosen])

    def labels(self, images: Tensor) -> Tensor:
        mask = foreground(images)
        labels = torch.zeros(mask.shape, dtype=torch.int64)
        if mask.any():
            found = self.clusters.predict(self._inputs(images)[mask].numpy())
            labels[mask] = torch.from_numpy(found.astype(np.int64)) + 1
        return labels

    def validation_loss(self, images: Tensor) -> float:
        return instability(self.labels, images, self.parts, self.seed)

    def _inputs(self, images: Tensor) -> Tensor:
        """Colour and weighted position (B, S, S, 5)."""
        size = images.shape[-1]
        place = (pixel_centres(size) / size * self.setting["place"]).expand(len(images), -1, -1, -1)
        return torch.cat((images.movedim(1, -1), place), dim=-1)
