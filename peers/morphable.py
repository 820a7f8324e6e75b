"""A linear 3D morphable model, fitted to every picture by analysis by synthesis.

Blanz and Vetter, "A Morphable Model for the Synthesis of 3D Faces", SIGGRAPH 1999. Shape and albedo of the
training people are principal components of their true canonical maps; coefficients, pose and light of a new
picture are found by gradient descent on what the model draws.
"""

import hashlib
import math
import time
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

from igc import geometry, shading
from igc.background import Background
from igc.data import LABELS, SyntheticFaces
from igc.errors import UserError
from igc.raster import Fragments, interpolate, rasterize
from igc.raster.outlines import blend_outlines
from peers.base import Loaded, Peer, train_loop

FOV = math.radians(10)
EXAMPLES, CHUNK = 1024, 32
"""Most training pictures whose maps are used, and how many are read or fitted at once."""
COARSE = 2
"""How much smaller the pictures are that the network sees and that a fit starts with."""
RATE = 0.05
"""Learning rate of a fit, in standard deviations and units."""
UNIT = torch.tensor([0.3, 0.3, 0.3, 0.005, 0.005, 0.005])
"""How far one unit of a fit's numbers turns (radians) and moves."""
REACH = torch.tensor([1.2, 2.9, 0.6, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5, 1.5])
"""Largest pose, in units of `UNIT`, and raw light of the faces that the network learns from."""
REMEMBERED = 4
"""Fits of whole sets of pictures that are kept, so that labels, depth and features share one."""


class Faces(NamedTuple):
    """What fully describes B faces and how they are seen."""

    shape: Tensor
    """(B, K) coefficients, in standard deviations"""
    albedo: Tensor
    """(B, K) coefficients, in standard deviations"""
    pose: Tensor
    """(B, 6)"""
    light: Tensor
    """(B, 5), canonical"""


class Drawing(NamedTuple):
    """Faces as they are seen."""

    image: Tensor
    """(B, 3, S, S)"""
    fragments: Fragments
    """what the pixels see of the canonical grid"""
    normal: Tensor
    """(B, 3, S, S): normals of the view at the places of the canonical grid"""


class LinearModel:
    """Mean and principal components of canonical maps. `depth` (N, S, S), 0 on the background, `albedo`
    (N, 3, S, S), `labels` (N, S, S). An outline is the signed distance from it, in pixels; depth and
    outline have common components."""

    def __init__(self, depth: Tensor, albedo: Tensor, labels: Tensor, components: int):
        if len(depth) < 2:
            raise UserError("the linear 3DMM needs at least two faces: give it a larger data set.")
        self.size = depth.shape[-1]
        filled, outline, painted = zip(*(_complete(d, a) for d, a in zip(depth.numpy(), albedo.numpy())))
        surface, outline = torch.from_numpy(np.stack(filled)), torch.from_numpy(np.stack(outline))
        self.scale = torch.stack((surface.std(dim=0).mean(), outline.std(dim=0).mean())).clamp(min=1e-6)
        shape = torch.stack((surface, outline), dim=1) / self.scale[:, None, None]
        self.shape = _components(shape.flatten(1), components)
        self.albedo = _components(torch.from_numpy(np.stack(painted)).flatten(1), components)
        self.regions = F.one_hot(labels, len(LABELS)).float().mean(dim=0).movedim(-1, 0)
        self.count = len(self.shape[1])

    def maps(self, shape: Tensor, albedo: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients (B, K) to depth (B, S, S), signed distance from the outline (B, S, S), positive
        inside, and albedo (B, 3, S, S) in [0, 1]."""
        both = (self.shape[0] + shape @ self.shape[1]).unflatten(1, (2, self.size, self.size))
        depth, outline = (both * self.scale[:, None, None]).unbind(1)
        colour = (self.albedo[0] + albedo @ self.albedo[1]).unflatten(1, (3, self.size, self.size))
        return depth, outline, colour.clamp(0, 1)

    def draw(self, faces: Faces, background: Tensor, shrink: int = 1) -> Drawing:
        """Faces in their pose and light over `background` (B, 3, T, T), T = S / `shrink`."""
        depth, outline, albedo = self.maps(faces.shape, faces.albedo)
        depth, outline = shrunk(depth, shrink), shrunk(outline, shrink)
        albedo = shrunk(albedo, shrink)
        normal = geometry.depth_to_normals(depth, FOV)
        points = geometry.transform(geometry.depth_to_points(depth, FOV), faces.pose)
        pixels, inside = geometry.points_to_pixels(points, depth.shape[-1], FOV), outline > 0
        fragments = rasterize(pixels, depth.shape[-1], inside)
        lit = albedo * shading.lambert(normal, faces.light)
        seen = interpolate(fragments, torch.cat((lit, torch.ones_like(lit[:, :1])), dim=1))
        seen = blend_outlines(seen, fragments, pixels, inside)
        image = seen[:, :3] + (1 - seen[:, 3:]) * background
        normal = geometry.rotate_normals(normal, faces.pose)
        return Drawing(image, fragments, normal)


class Morphable(Peer):
    name = "linear 3DMM"
    source = "V. Blanz, T. Vetter: A Morphable Model for the Synthesis of 3D Faces. SIGGRAPH 1999."
    deviations = (
        "Shapes are canonical depth maps with their outline, not registered scans of whole heads.",
        "Identity and expression share their components; the original has neutral faces only.",
        "A small network that learned from the model's own drawings gives the first guess of a fit; the "
        "original's was set by hand.",
        "It is fitted by Adam over the whole picture; the background is the membrane that its border spans.",
        "Its parts are the commonest true labels of the training people, turned with the fitted face.",
    )
    given = "true shapes"
    settings = (
        {"components": 40, "steps": 20, "prior": 0.03},
        {"components": 80, "steps": 20, "prior": 0.03},
        {"components": 40, "steps": 20, "prior": 0.01},
    )

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        """`parts`: labels above it (6: hair, ears and neck) count as background."""
        super().__init__(size, parts, seed, **setting)
        self.linear: LinearModel | None = None
        self.background, self.fits = Background(size), {}

    def fit(self, dataset, minutes: float, report=None) -> None:
        """Reads true maps for up to a third of the time and finds the components; in the rest of it a network
        learns to guess the numbers of faces that the model draws. UserError where the data set holds no
        canonical truth."""
        started, found = time.perf_counter(), []
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(self.seed))
        for part in order[:EXAMPLES].split(CHUNK):
            if found and time.perf_counter() - started > 20 * minutes:
                break
            items = dataset.batch(part.tolist(), truth=True)
            if "canonical_depth" not in items:
                raise UserError("the linear 3DMM needs true canonical maps: fit it on SyntheticFaces.")
            found.append([items[f"canonical_{name}"] for name in ("depth", "albedo", "labels")])
            if report:
                report(sum(len(each[0]) for each in found), 0.0)
        maps = [torch.cat(each) for each in zip(*found)]
        self.linear, self.fits = LinearModel(*maps, self.setting["components"]), {}
        self.model = _guesser(self.size // COARSE, 2 * self.linear.count + 10)
        left = minutes - (time.perf_counter() - started) / 60
        only = Loaded(SyntheticFaces("train", 1, self.size))
        train_loop(
            self.model, only, self.mistaken, max(left, 0.1 * minutes), lr=1e-3, seed=self.seed, report=report,
            sample=lambda rng: self.imagine(32, rng),
        )  # fmt: skip

    def mistaken(self, imagined: tuple[Tensor, Tensor]) -> Tensor:
        """Mean squared error of the network's numbers; a pose counts as much as all coefficients."""
        images, numbers = imagined
        wrong = (self.model(images) - numbers).square()
        return wrong[:, :-10].mean() + wrong[:, -10:-4].mean() + wrong[:, -4:].mean()

    def explain(self, images: Tensor) -> Faces:
        """The fitted faces of images (B, 3, S, S). UserError before `fit`."""
        if self.linear is None:
            raise UserError("the linear 3DMM has no shapes yet: call fit first.")
        key = hashlib.sha1(images.contiguous().numpy().tobytes()).hexdigest()
        if key not in self.fits:
            parts = [self.descend(part) for part in images.split(CHUNK)]
            self.fits = dict(list(self.fits.items())[1 - REMEMBERED :])
            self.fits[key] = Faces(*(torch.cat(each) for each in zip(*parts)))
        return self.fits[key]

    def descend(self, images: Tensor) -> Faces:
        """A fit: from the network's guess, half of the steps at half the size and the rest at the whole."""
        with torch.no_grad():
            numbers = self.model(shrunk(images, COARSE))
        steps = self.setting["steps"]
        numbers = self.improve(numbers, images, steps - steps // 2, COARSE)
        return self.read(self.improve(numbers, images, steps // 2, 1))

    def imagine(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random faces of the model in random poses and lights, drawn at half the size over plain colours:
        images (B, 3, S/2, S/2) and their numbers (B, 2 K + 10)."""
        numbers = torch.randn(count, 2 * self.linear.count + 10, generator=rng)
        uniform = 2 * torch.rand(count, 6 + 4 + 3, generator=rng) - 1
        numbers[:, -10:] = uniform[:, :10] * REACH
        with torch.no_grad():
            behind = (0.5 + 0.5 * uniform[:, 10:])[..., None, None]
            small = self.size // COARSE
            drawn = self.linear.draw(self.read(numbers), behind.expand(-1, -1, small, small), COARSE)
        return drawn.image.clamp(0, 1), numbers

    @torch.enable_grad()
    def improve(self, numbers: Tensor, images: Tensor, steps: int, shrink: int) -> Tensor:
        """`steps` of Adam on numbers (B, 2 K + 10)."""
        numbers = numbers.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([numbers], RATE)
        for _ in range(steps):
            optimiser.zero_grad()
            self.objective(numbers, images, shrink).sum().backward()
            optimiser.step()
        return numbers.detach()

    def objective(self, numbers: Tensor, images: Tensor, shrink: int) -> Tensor:
        """Mean absolute residual at two resolutions, and the price of unlikely coefficients: (B,)."""
        target = shrunk(images, shrink)
        drawn = self.linear.draw(self.read(numbers), shrunk(self.background(images), shrink), shrink)
        wrong = (drawn.image - target).abs().mean(dim=(1, 2, 3))
        coarse = F.avg_pool2d(drawn.image - target, 4).abs().mean(dim=(1, 2, 3))
        return wrong + coarse + self.setting["prior"] * numbers[:, :-10].square().mean(dim=1)

    def read(self, numbers: Tensor) -> Faces:
        """A fit's numbers (B, 2 K + 10): coefficients, pose in units of `UNIT`, and the raw light."""
        shape, albedo, pose, lamp = numbers.split((self.linear.count, self.linear.count, 6, 4), dim=1)
        towards = torch.cat((lamp[:, 2:].tanh(), -torch.ones_like(lamp[:, :1])), dim=1)
        light = torch.cat((lamp[:, :2].sigmoid(), F.normalize(towards, dim=1)), dim=1)
        return Faces(shape, albedo, pose * UNIT, light)

    @torch.no_grad()
    def seen(self, images: Tensor, what) -> Tensor:
        """`what` of the drawings of images (B, 3, S, S), a function of `Drawing`; the results, joined."""
        chunks = zip(images.split(CHUNK), *(each.split(CHUNK) for each in self.explain(images)))
        drawn = (self.linear.draw(Faces(*each), self.background(part)) for part, *each in chunks)
        return torch.cat([what(each) for each in drawn])

    def labels(self, images: Tensor) -> Tensor:
        def commonest(drawn: Drawing) -> Tensor:
            regions = self.linear.regions.expand(len(drawn.image), -1, -1, -1)
            return interpolate(drawn.fragments, regions).argmax(dim=1)

        found = self.seen(images, commonest)
        return torch.where(found > self.parts, 0, found)

    def depth(self, images: Tensor) -> tuple[Tensor, Tensor]:
        normal = self.seen(images, lambda drawn: interpolate(drawn.fragments, drawn.normal))
        depth = self.seen(images, lambda drawn: drawn.fragments.depth)
        return depth, F.normalize(normal, dim=1)

    def features(self, images: Tensor) -> Tensor:
        """The coefficients (B, 2 K)."""
        faces = self.explain(images)
        return torch.cat((faces.shape, faces.albedo), dim=1)

    def pictures(self, images: Tensor) -> Tensor:
        return self.seen(images, lambda drawn: drawn.image.clamp(0, 1))

    def validation_loss(self, images: Tensor) -> float:
        """Mean absolute residual after the fit."""
        return float((self.pictures(images) - images).abs().mean())


def shrunk(maps: Tensor, by: int) -> Tensor:
    """Maps (B, C, S, S), or (B, S, S), averaged over squares of `by` x `by` pixels."""
    return maps if by == 1 else F.avg_pool2d(maps, by)


def _complete(depth: np.ndarray, albedo: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One face's depth (S, S) and albedo (3, S, S) continued beyond its outline by the nearest pixel's, and
    the signed distance from the outline in pixels, cut off at 8."""
    face = depth > 0
    if not face.any():
        raise UserError("a face of the linear 3DMM is empty: its canonical depth is 0 everywhere.")
    outside, nearest = ndimage.distance_transform_edt(~face, return_indices=True)
    distance = np.clip(ndimage.distance_transform_edt(face) - outside, -8, 8).astype(np.float32)
    return depth[tuple(nearest)], distance, albedo[:, nearest[0], nearest[1]]


def _components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) of rows (N, D) and their principal components (K, D), each one standard deviation long; K is
    `count`, or N - 1 where that is less."""
    mean = rows.mean(dim=0)
    _, size, axes = torch.linalg.svd(rows - mean, full_matrices=False)
    kept = min(count, len(rows) - 1)
    return mean, axes[:kept] * (size[:kept] / math.sqrt(len(rows) - 1))[:, None]


def _guesser(size: int, numbers: int) -> nn.Sequential:
    """Images (B, 3, size, size) to the numbers of a fit."""
    layers, inputs = [], 3
    for outputs in (32, 64, 128):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.GroupNorm(outputs // 8, outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(128 * (size // 8) ** 2, 256), nn.ReLU(), nn.Linear(256, numbers)
    )
