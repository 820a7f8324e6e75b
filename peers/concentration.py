"""SCOPS: a segmentation network that learns from the geometry of parts alone: concentration and equivariance.

Two rows: without and with SCOPS's semantic consistency. The published one compares features of a VGG network
that was trained with ImageNet's labels; ours compares colours, as no weights are downloaded.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc import ranks
from peers.base import Peer, chunked, cue, instability, small_changes, train_loop

BEND = 0.05
"""Spread of the random displacements of 4 x 4 control points, the half image being one unit."""

SHARPNESS = 5.0
"""Of the softmax: the parts must differ from the start, as equal shares are a saddle of the concentration."""

LEAST = 0.8
"""Share of an equal part below which a part pays. Tried in fits of two minutes, judged by how parts follow a
picture that is altered (`peers.base.instability`): 0.26 with 0.5, 0.11 with 0.8; with a tenth of the weight
one part takes most of the head."""


class Concentration(Peer):
    name = "concentration"
    source = "W.-C. Hung et al., SCOPS: Self-Supervised Co-Part Segmentation, CVPR 2019"
    deviations = (
        "Without semantic consistency and its orthonormal bases; so that no part vanishes, a price on small "
        "parts stands in.",
        "A small U-net from random weights in place of DeepLab with a ResNet-50 that ImageNet trained.",
        "A smooth warp by 4 x 4 control points in place of the thin-plate spline.",
        "The foreground is the shared cue's, in place of a saliency map.",
        "Equivariance weighs less beside concentration than published.",
        "Adam with the schedule that all systems of the table share, and batches of 16.",
    )
    settings = ({"concentration": 1.0}, {"concentration": 0.3}, {"concentration": 3.0})
    """`concentration`: weight of the geometric concentration."""

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        super().__init__(size, parts, seed, **setting)
        self.model = Network(parts)

    def fit(self, dataset, minutes: float, report=None) -> None:
        train_loop(self.model, dataset, self._loss, minutes, 16, 2e-3, self.seed, report, flip=self.flip)

    def labels(self, images: Tensor) -> Tensor:
        def label(images: Tensor) -> Tensor:
            soft = F.interpolate(
                self.model(images), size=images.shape[-2:], mode="bilinear", align_corners=False
            )
            return (soft[:, :-1].argmax(dim=1) + 1) * (soft[:, -1] < 0.5)

        return chunked(label, images)

    def validation_loss(self, images: Tensor) -> float:
        return instability(self.labels, images, self.parts, self.seed)

    def _loss(self, images: Tensor) -> Tensor:
        soft = self.model(images)
        covered = 1 - soft[:, -1:]
        small = F.adaptive_avg_pool2d(cue(images)[:, None], soft.shape[-1])
        loss = F.binary_cross_entropy(covered.clamp(1e-4, 1 - 1e-4), small)
        loss = loss + self.setting["concentration"] * concentrated(soft[:, :-1])
        loss = loss + equivariant(self.model, images, soft) + keep_alive(soft, LEAST)
        if semantic := self.setting.get("semantic"):
            loss = loss + semantic * self.model.described(soft[:, :-1], images, small)
        return loss


class Scops(Concentration):
    name = "SCOPS"
    deviations = (
        "Semantic consistency compares the colours of a pixel and its surroundings, not features of a VGG-19 "
        "that ImageNet's labels trained.",
        "So that no part vanishes there is a price on small parts.",
        *Concentration.deviations[1:],
    )
    settings = tuple({"concentration": 1.0, "semantic": semantic} for semantic in (10.0, 3.0, 1.0))
    """`semantic`: weight of semantic consistency."""


def concentrated(parts: Tensor) -> Tensor:
    """Mean squared distance of the parts (B, M, s, s) to their centres, the half image being one unit."""
    centre, area = centres(parts)
    axis = _axis(parts)
    square = (axis - centre[..., :1, None]).square() + (axis[:, None] - centre[..., 1:, None]).square()
    return ((square * parts).sum(dim=(2, 3)) / area).mean()


def centres(parts: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (B, M, 2), x and y in [-1, 1], and areas (B, M) in pixels of soft parts (B, M, s, s)."""
    area, axis = parts.sum(dim=(2, 3)) + 1e-3, _axis(parts)
    x, y = (parts * axis).sum(dim=(2, 3)) / area, (parts * axis[:, None]).sum(dim=(2, 3)) / area
    return torch.stack((x, y), dim=-1), area


def equivariant(model: nn.Module, images: Tensor, soft: Tensor) -> Tensor:
    """The parts of a warped and tinted picture are the warped parts: divergence of the maps, and squared
    distance of the centres."""
    grid, gain = small_changes(len(images))
    flow = F.affine_grid(grid, list(images.shape), align_corners=False)
    bend = F.interpolate(BEND * torch.randn(len(images), 2, 4, 4), images.shape[-1], mode="bicubic")
    flow = flow + bend.movedim(1, -1)
    warped = F.grid_sample(images, flow, padding_mode="border", align_corners=False)
    found = model((warped * gain).clamp(0, 1))
    coarse = F.adaptive_avg_pool2d(flow.movedim(-1, 1), soft.shape[-1]).movedim(1, -1)
    wanted = F.grid_sample(soft, coarse, padding_mode="border", align_corners=False)
    divergence = (wanted * ((wanted + 1e-5).log() - (found + 1e-5).log())).sum(dim=1).mean()
    (here, _), (there, _) = centres(found[:, :-1]), centres(wanted[:, :-1])
    return divergence + (here - there).square().sum(dim=-1).mean()


def _axis(maps: Tensor) -> Tensor:
    """Centres of pixels along one side, in [-1, 1]."""
    size = maps.shape[-1]
    return (2 * torch.arange(size) + 1) / size - 1


class Network(nn.Module):
    """A U-net: images (B, 3, S, S) to parts and, last, the background (B, M+1, S/2, S/2), summing to one."""

    def __init__(self, parts: int, width: int = 16):
        super().__init__()
        wide = (width, 2 * width, 2 * width, 4 * width)
        self.down = nn.ModuleList(_conv(a, b, 2) for a, b in zip((3, *wide[:-1]), wide))
        self.up = nn.ModuleList(_conv(a + b, b, 1) for a, b in zip(wide[:0:-1], wide[-2::-1]))
        self.out = nn.Conv2d(width, parts + 1, 1)
        self.bases = nn.Parameter(0.5 + 0.1 * torch.randn(parts, 9))

    def forward(self, images: Tensor) -> Tensor:
        maps, skips = 2 * images - 1, []
        for block in self.down:
            maps = block(maps)
            skips.append(maps)
        for block, skip in zip(self.up, skips[-2::-1]):
            larger = F.interpolate(maps, scale_factor=2, mode="nearest")
            maps = block(torch.cat((larger, skip), dim=1))
        return (SHARPNESS * self.out(maps)).softmax(dim=1)

    def described(self, parts: Tensor, images: Tensor, face: Tensor) -> Tensor:
        """SCOPS's semantic consistency: each pixel's features are those of its part (squares, over the face);
        and orthonormality: the parts' features differ."""
        near = F.adaptive_avg_pool2d(images, parts.shape[-1])
        wider = [F.avg_pool2d(near, k, 1, k // 2, count_include_pad=False) for k in (3, 7)]
        features = torch.cat((near, *wider), dim=1)
        error = features - torch.einsum("bmhw,mf->bfhw", parts, self.bases)
        unit = F.normalize(self.bases - self.bases.mean(dim=0), dim=1)
        alike = (unit @ unit.T - torch.eye(len(unit))).square().mean()
        return (error.square() * face).sum() / (face.sum() * features.shape[1]) + 0.01 * alike


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 2 + stride if stride > 1 else 3, stride, padding=1, bias=False),
        nn.GroupNorm(outputs // 8, outputs),
        nn.LeakyReLU(0.1),
    )


def keep_alive(visibility: Tensor, least: float = 0.2) -> Tensor:
    """Every part owns at least `least` of an equal share of the face, on average over the batch (ours): how
    far, in logarithms, it falls short, summed over the parts; so the pull does not fade as a part vanishes.

    `visibility` (B, M+1, S, S), one-hot, with a gradient that reaches parts which are not seen.
    """
    area = ranks.mean(visibility[:, :-1].mean(dim=(0, 2, 3)))
    fair = least / max(1, visibility.shape[1] - 1)
    share = area / area.sum().clamp(min=1e-6) + 0.1 * fair
    return F.relu(math.log(fair) - share.log()).sum()
