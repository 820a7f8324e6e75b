"""A graphics code: an auto-encoder whose units are made to mean pose, light, shape and albedo.

Kulkarni, Whitney, Kohli and Tenenbaum, "Deep Convolutional Inverse Graphics Network" (DC-IGN), NeurIPS 2015.
It is trained on batches in which one factor varies and all else stays. In such a batch only the factor's own
units are free: the others are clamped to their mean over the batch, get no gradient from the picture, and
are pulled together instead.
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc.data import SyntheticFaces, scene
from igc.data.heads import EXPRESSION, SHAPE
from igc.data.paint import COLOUR
from igc.errors import UserError
from peers.base import Loaded, Peer, chunked, train_loop

FACTORS = {"pitch": 1, "yaw": 1, "light": 4, "scene": 8, "expression": 4, "shape": 0, "albedo": 0}
"""Units of the code that stand for each factor; 0: as many as the setting says. `scene` is roll, place and
background."""
OFTEN = {"pitch": 1, "yaw": 1, "light": 1, "scene": 1, "expression": 1, "shape": 3, "albedo": 3}
"""How often each factor is the one that varies."""
ALL = "all"
"""Stands for a factor in a batch in which all of them vary and no unit is clamped."""
IDENTITY = ("shape", "albedo")
BATCH, KEPT = 16, 512
"""Pictures of a batch, and how many batches are kept to be used again."""


class GraphicsCodeNet(nn.Module):
    """Encoder and decoder. `size`: S, a multiple of 8. `units`: for shape, and as many for albedo.
    `invariance`: how strongly clamped units are pulled to their mean. `divergence`: weight of the code's
    distance from a normal distribution."""

    def __init__(self, size: int, units: int = 32, invariance: float = 0.3, divergence: float = 1e-3):
        super().__init__()
        self.invariance, self.divergence = invariance, divergence
        self.where, start = {}, 0
        for factor, count in FACTORS.items():
            self.where[factor] = slice(start, start + (count or units))
            start = self.where[factor].stop
        self.where[ALL] = slice(0, start)
        self.units, small = start, size // 8
        down, inputs = [], 3
        for width in (32, 64, 96):
            down += [nn.Conv2d(inputs, width, 5, 2, 2), nn.ReLU()]
            inputs = width
        self.encoder = nn.Sequential(
            *down, nn.Flatten(), nn.Linear(96 * small**2, 256), nn.LayerNorm(256), nn.ReLU(),
            nn.Linear(256, 2 * self.units),
        )  # fmt: skip
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("centre", torch.zeros(self.units))
        self.register_buffer("variance", torch.ones(self.units))
        up = [nn.Linear(self.units, 256), nn.ReLU(), nn.Linear(256, 96 * small**2), nn.ReLU()]
        up += [nn.Unflatten(1, (96, small, small))]
        for width in (64, 32, 16):
            up += [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        self.decoder = nn.Sequential(*up, nn.Conv2d(16, 3, 3, padding=1), nn.Sigmoid())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S) in [0, 1] to means and log variances of the code, (B, units) each.

        The means are in standard deviations of what was seen in the last hundred or so batches: without
        that, the pull on clamped units shrinks the code to nothing before the decoder can read it."""
        mean, spread = self.encoder(2 * images - 1).chunk(2, dim=1)
        if self.training:
            with torch.no_grad():
                self.seen += 1
                share = (1 / self.seen).clamp(min=0.02)
                self.centre.lerp_(mean.mean(dim=0), share)
                self.variance.lerp_((mean - self.centre).square().mean(dim=0), share)
        return (mean - self.centre) / (self.variance + 1e-8).sqrt(), spread.clamp(-4, 4) - 3

    def loss(self, batch: tuple[Tensor, str]) -> Tensor:
        """The objective on images (B, 3, S, S) in which one factor varies, and its name."""
        images, factor = batch
        mean, spread = self(images)
        code = mean + torch.randn_like(mean) * (0.5 * spread).exp()
        code, astray = clamp(code, mean, self.where[factor])
        residual = (self.decoder(code) - images).square().mean() / images.var().clamp(min=1e-4)
        free = slice(self.where[factor].start, self.where[factor].stop)
        apart = 0.5 * (mean.square() + spread.exp() - spread - 1)[:, free].sum(dim=1).mean()
        return residual + self.invariance * astray + self.divergence * apart


def clamp(code: Tensor, mean: Tensor, free: slice) -> tuple[Tensor, Tensor]:
    """A code (B, U) whose units are their batch's mean but for the `free` ones, and half the mean squared
    distance of the others from that mean, whose gradient stands in for that of the picture."""
    middle = mean.mean(dim=0, keepdim=True).detach()
    inactive = torch.ones(code.shape[1], dtype=torch.bool, device=code.device)
    inactive[free] = False
    astray = 0.5 * ((mean - middle).square() * inactive).mean()
    return torch.where(inactive, middle, code), astray


def vary(faces: SyntheticFaces, factor: str, indices: list[int]) -> Tensor:
    """Pictures (B, 3, S, S) of the first of `indices` with one factor taken from each of them in turn."""
    first = faces._draw(indices[0])  # a picture's numbers, before it is drawn
    return torch.stack([_photograph(faces, first, faces._draw(index), factor) for index in indices])


def _photograph(faces: SyntheticFaces, first, other, factor: str) -> Tensor:
    names = {"shape": SHAPE, "albedo": COLOUR, "expression": EXPRESSION}.get(factor, ())
    p = SimpleNamespace(**vars(first.p) | {name: getattr(other.p, name) for name in names})
    pose, turned = first.pose.clone(), {"pitch": [0], "yaw": [1], "scene": [2, 3, 4, 5]}.get(factor, [])
    pose[turned] = other.pose[turned]
    light = other.light if factor == "light" else first.light
    around = other if factor == "scene" else first
    return scene.photograph(
        scene.Head(p), pose, light, faces.size, around.backdrop, faces.background == "clutter", faces.shadows,
        around.glasses,
    )  # fmt: skip


class Varied:
    """Batches: a quarter are new, with one factor that varies; a quarter are such ones used again; half have
    pictures of 16 different ones, in which all varies."""

    def __init__(self, faces: SyntheticFaces):
        self.faces, self.kept = faces, []
        self.names, self.chances = list(OFTEN), torch.tensor([float(OFTEN[name]) for name in OFTEN])

    def __call__(self, rng: torch.Generator) -> tuple[Tensor, str]:
        """Images (BATCH, 3, S, S) and the factor's name, or `ALL`."""
        kind = int(torch.randint(4, (), generator=rng))
        if kind == 0 or len(self.kept) < BATCH:
            self.draw(rng)
            images, factor = self.kept[-1]
        elif kind == 1:
            images, factor = self.kept[int(torch.randint(len(self.kept), (), generator=rng))]
        else:
            chosen = torch.randperm(len(self.kept), generator=rng)[:BATCH].tolist()
            which = torch.randint(BATCH, (BATCH,), generator=rng)
            images, factor = torch.stack([self.kept[i][0][k] for i, k in zip(chosen, which)]), ALL
        return images.float() / 255, factor

    def draw(self, rng: torch.Generator) -> None:
        """Adds a batch, as bytes; the oldest goes when there are too many."""
        factor = self.names[int(torch.multinomial(self.chances, 1, generator=rng))]
        images = vary(self.faces, factor, torch.randint(len(self.faces), (BATCH,), generator=rng).tolist())
        self.kept = [*self.kept[1 - KEPT :], ((images * 255).round().to(torch.uint8), factor)]


class GraphicsCode(Peer):
    name = "graphics code"
    source = (
        "T. D. Kulkarni, W. F. Whitney, P. Kohli, J. B. Tenenbaum: Deep Convolutional Inverse Graphics "
        "Network. NeurIPS 2015."
    )
    deviations = (
        "Seven factors, shape and albedo apart; the original has azimuth, elevation, light and all the rest.",
        "Half of the batches vary in all factors and clamp nothing; the original has none of these.",
        "The code is standardised over the batches seen, so that the pull cannot shrink it to nothing.",
        "Strided convolutions and Adam; the original pools, and uses RMSProp.",
        "The pull of clamped units to their mean is a term of the loss with the same gradient.",
    )
    given = "controlled factors"
    settings = (
        {"units": 32, "invariance": 0.3, "lr": 2e-3},
        {"units": 32, "invariance": 0.3, "lr": 1e-3},
        {"units": 64, "invariance": 0.3, "lr": 1e-3},
    )

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        """`parts` is not used: it has one."""
        super().__init__(size, parts, seed, **setting)
        self.model = GraphicsCodeNet(size, self.setting["units"], self.setting["invariance"])

    def fit(self, dataset, minutes: float, report=None) -> None:
        """Drawing the batches counts as part of the time. UserError unless `dataset` is SyntheticFaces."""
        if not isinstance(dataset, SyntheticFaces):
            raise UserError(
                "the graphics code needs pictures in which one factor varies: fit it on SyntheticFaces."
            )
        only = Loaded(SyntheticFaces("train", 1, self.size))
        train_loop(
            self.model, only, self.model.loss, minutes, BATCH, self.setting["lr"], self.seed, report,
            sample=Varied(dataset),
        )  # fmt: skip

    def units(self, images: Tensor, *factors: str) -> Tensor:
        """The code's units (B, U) that stand for the factors."""
        code = chunked(lambda part: self.model(part)[0], images)
        return torch.cat([code[:, self.model.where[factor]] for factor in factors], dim=1)

    def features(self, images: Tensor) -> Tensor:
        """The units of shape and albedo (B, 2 U)."""
        return self.units(images, *IDENTITY)

    def pictures(self, images: Tensor) -> Tensor:
        return chunked(lambda part: self.model.decoder(self.model(part)[0]), images)

    def validation_loss(self, images: Tensor) -> float:
        """Mean squared residual of what is decoded."""
        return float(F.mse_loss(self.pictures(images), images))
