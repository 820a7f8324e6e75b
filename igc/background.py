"""What is behind the face, guessed from the border of the picture alone (ours).

What we know of the paper says nothing of the background. A learned background network can draw the face
too, and then no part has a reason to live. So ours may only see the outermost pixels: it stretches a
membrane over the picture that is fixed at the left and right border and free at the two others, one of which
necks and shoulders come in by (Laplace's equation). It follows plain, graded and blurred backgrounds and
cannot draw anything in the middle.
"""

from functools import lru_cache

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import splu
from torch import Tensor, nn


class Background(nn.Module):
    """Images (B, 3, S, S) to backgrounds (B, 3, S, S): harmonic inside, equal to the blurred border on the
    left and on the right.

    A fixed linear map of the border's pixels; it has no weights and passes no gradient to the image.
    """

    def __init__(self, size: int, band: int = 2):
        super().__init__()
        self.band = band
        self.register_buffer("fill", membrane(size), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        size = images.shape[-1]
        smoothed = torch.nn.functional.avg_pool2d(
            images.detach(), 2 * self.band + 1, stride=1, padding=self.band, count_include_pad=False
        )
        ring = smoothed.flatten(2)[..., _ring(size)]
        return (ring @ self.fill).unflatten(-1, (size, size))


class Plain(nn.Module):
    """What stands for a background where all is surface: the picture's mean colour, (B, 3, S, S)."""

    def forward(self, images: Tensor) -> Tensor:
        return images.detach().mean(dim=(-1, -2), keepdim=True).expand_as(images)


def foreground(images: Tensor, background: Tensor) -> Tensor:
    """How surely each pixel is not background, (B, 1, S, S) in [0, 1]: it differs from what `Background`
    expects there, or its neighbours do (ours). `images`, `background` (B, 3, S, S)."""
    difference = (images - background).square().sum(dim=1, keepdim=True).sqrt()
    apart = 1 - (-(difference / 0.1).square()).exp()
    return torch.nn.functional.avg_pool2d(apart, 3, stride=1, padding=1, count_include_pad=False)


@lru_cache(maxsize=4)
def membrane(size: int) -> Tensor:
    """(R, S*S): the harmonic extension of the R = 2 S pixels of a square's left and right border to all of
    its pixels; the upper and the lower border are free."""
    count = size * size
    path = sparse.diags([np.ones(size - 1), np.ones(size - 1)], [-1, 1])
    neighbours = sparse.kronsum(path, path).tocsr()
    ring = _ring(size).numpy()
    inside = np.setdiff1d(np.arange(count), ring)
    degree = np.asarray(neighbours.sum(axis=1)).ravel()[inside]
    system = sparse.diags(degree) - neighbours[inside][:, inside]
    fill = np.zeros((count, len(ring)), dtype=np.float64)
    fill[ring, np.arange(len(ring))] = 1
    fill[inside] = splu(system.tocsc()).solve(neighbours[inside][:, ring].toarray().astype(np.float64))
    return torch.from_numpy(fill.T.astype(np.float32)).contiguous()


def _ring(size: int) -> Tensor:
    """Flat indices of the pixels of a square's left and right border."""
    return torch.arange(size * size).reshape(size, size)[:, [0, -1]].flatten()
