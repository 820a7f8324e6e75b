"""The networks: one encoder from an image to embeddings, and small decoders from a capsule to its maps.

Canonical maps are aligned over faces (an eye is where eyes are), so fully connected decoders do what
convolutional ones do at far lower cost; smoothness comes from the low resolution they draw at.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Encoder(nn.Module):
    """Images (B, 3, S, S) to a feature map (B, 2w, S/4, S/4) and a vector (B, `features`)."""

    def __init__(self, size: int, width: int, features: int):
        super().__init__()
        self.local = nn.Sequential(_down(3, width, size // 2), _down(width, 2 * width, size // 4))
        self.globally = nn.Sequential(
            _down(2 * width, 4 * width, size // 8),
            _down(4 * width, 4 * width, size // 16),
            nn.Flatten(),
            nn.Linear(4 * width * (size // 16) ** 2, features),
            nn.LayerNorm(features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        local = self.local(2 * images - 1)
        return local, self.globally(local)


class PartDecoder(nn.Module):
    """Decodes capsule vectors (B, M, C) to low-resolution maps (B, M, *shape): how one face departs from what
    all faces have in common, by one hidden layer with a bias a part and one linear layer shared by all parts.
    """

    def __init__(self, channels: int, hidden: int, shape: tuple[int, ...]):
        super().__init__()
        parts, *self.shape = shape
        self.input = nn.Linear(channels, hidden, bias=False)
        self.bias = nn.Parameter(0.1 * torch.randn(parts, hidden))
        self.output = nn.Linear(hidden, math.prod(self.shape), bias=False)
        nn.init.normal_(self.output.weight, std=0.02)

    def forward(self, capsules: Tensor) -> Tensor:
        """The departure (B, M, *shape) from what is common, to be added to it."""
        hidden = F.relu(self.input(capsules) + self.bias)
        return self.output(hidden).unflatten(-1, self.shape)


def upsample(maps: Tensor, size: int) -> Tensor:
    """Bicubic enlargement of (..., h, h) maps to (..., size, size), as two products with fixed matrices,
    which are faster than `interpolate` on a CPU."""
    matrix = interpolation_matrix(maps.shape[-1], size, maps.device, maps.dtype)
    return matrix @ (maps @ matrix.T)


@lru_cache(maxsize=32)
def interpolation_matrix(small: int, large: int, device=None, dtype=None) -> Tensor:
    """(large, small): bicubic interpolation along one axis, pixel edges aligned."""
    with torch.inference_mode(False):  # it is kept, and a later step of training must be able to save it
        unit = torch.eye(small).reshape(1, 1, small, small)
        return F.interpolate(unit, size=(large, small), mode="bicubic")[0, 0].to(device, dtype)


def _down(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """A convolution that halves the resolution, to `size`, normalised over groups of 8 channels or fewer."""
    groups = max(1, outputs // 8)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.GroupNorm(groups if outputs % groups == 0 else 1, outputs),
        nn.LeakyReLU(0.1),
    )
