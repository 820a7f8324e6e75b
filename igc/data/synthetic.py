"""`SyntheticFaces`: procedural faces with exact ground truth, made while they are read; nothing is stored.

Drawn uniformly unless said otherwise, by seed: an identity from `heads.SHAPE` and `paint.COLOUR`; for every
image of it an expression from `heads.EXPRESSION`, yaw within +-`yaw` degrees, pitch within +-20 and roll
within +-10 degrees (both triangular, commonest at 0), translation within +-0.005, a light and a background.
The camera sees 10 degrees. All of it is our own design; only the camera is the paper's family's.
"""

import math
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from igc import geometry
from igc.data import heads, paint
from igc.data.heads import Parameters
from igc.data.paint import FACE_PARTS, LABELS
from igc.errors import UserError
from igc.raster import grid
from igc.shading import lambert

VERSION = "synthetic-1"
"""Changes whenever the same arguments would give other images."""
FOV = math.radians(10)
SPLITS = ("train", "validation", "test")
BACKGROUNDS = ("plain", "clutter")
PLANTED = {
    "nose shape": {"nose_y", "nose_w", "nose_out", "bridge", "bridge_w"},
    "mouth albedo": {"lip_red", "lip_dark", "lip_hue"},
}
"""What tells people apart in a planted set; all else is the middle of its range."""
PITCH, ROLL, SHIFT = 20.0, 10.0, 0.005
AMBIENT, DIFFUSE, SIDEWAYS = (0.3, 0.6), (0.4, 0.7), 0.8
"""Ranges of the light's weights, and of x and y of its direction (x, y, -1) before it is normalised."""
OCCLUSION = 0.006
"""A landmark is hidden when the surface seen at its pixel is nearer than it by more than this depth."""
SHAPES = 9
"""Discs and boxes in a cluttered background."""

__all__ = ["FACE_PARTS", "FOV", "LABELS", "PLANTED", "VERSION", "SyntheticFaces"]

_IDENTITY = {**heads.SHAPE, **paint.COLOUR}


class SyntheticFaces(torch.utils.data.Dataset):
    """Procedural faces; `ds[i]` is a dict of tensors, `ds.batch(indices)` the same for many at once.

    `split`: train, validation or test, with different people. `count`: how many images. `size`: pixels of a
    side, a multiple of 16. `seed`: another seed is another world of people. `background`: plain (a soft
    gradient) or clutter. `yaw`: largest yaw in degrees, in (0, 90]. `per_identity`: images of each person, in
    a row. `planted`: one of PLANTED, to write identity only there. Item i is the same whatever `count` is and
    however it is read. Raises UserError for arguments outside of these.

    Items: `image` (3, S, S) in [0, 1]; `identity` int64, unique across splits; in the view's frame `depth`
    (S, S), 0 on the background, `normal` and `albedo` (3, S, S), `labels` (S, S) int64 (see LABELS); the same
    at zero pose under `canonical_` and those names; `landmarks` (68, 2) in pixels, `landmarks_visible` (68,)
    bool, `landmarks_3d` (68, 3) in the camera frame; `pose` (6,) as `geometry.transform` takes it; `light`
    (5,) ambient, diffuse and the direction to the light in the CANONICAL frame, as `model.light` is: turn it
    with `geometry.rotate` and the pose for shading the view's normals.
    """

    def __init__(
        self, split="train", count=4096, size=64, seed=0, background="plain", yaw=45.0, per_identity=8,
        planted=None,
    ):  # fmt: skip
        _check(split, count, size, seed, background, yaw, per_identity, planted)
        self.split, self.count, self.size, self.seed = split, int(count), int(size), int(seed)
        self.background, self.yaw, self.per_identity = background, float(yaw), int(per_identity)
        self.planted, self.fov = planted, FOV

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.batch([index]).items()}

    def fingerprint(self) -> str:
        """Names everything that the items depend on, in one line."""
        return (
            f"{VERSION}/{self.split}/{self.count}x{self.size}px/seed{self.seed}/{self.background}"
            f"/yaw{self.yaw:g}/{self.per_identity}each" + (f"/{self.planted}" if self.planted else "")
        )

    def batch(self, indices, truth: bool = True) -> dict[str, Tensor]:
        """The items at `indices`, stacked; without `truth` only `image` and `identity`, which is faster.

        Every head is drawn by itself, so that an item does not depend, to the last bit, on its company; at
        these sizes that is as fast as drawing many at once."""
        items = [self._item(self._position(index), truth) for index in indices]
        return {name: torch.stack([item[name] for item in items]) for name in items[0]}

    def _position(self, index: int) -> int:
        if not -self.count <= index < self.count:
            raise IndexError(f"item {index} of a data set of {self.count}")
        return int(index) % self.count

    def _item(self, index: int, truth: bool) -> dict[str, Tensor]:
        p, pose, view_light, scenery = self._draw(index)
        head = _Head(p)
        person = index // self.per_identity + SPLITS.index(self.split) * 10**9
        out = {"image": self._photograph(head, pose, view_light, scenery), "identity": torch.tensor(person)}
        if truth:
            out |= head.maps(pose, self.size)
            canonical = head.maps(torch.zeros(6), self.size)
            out |= {f"canonical_{name}": value for name, value in canonical.items()}
            out |= _landmarks(head, pose, out["depth"])
            direction = view_light[2:] @ geometry.rotation_matrix(pose[:3])
            out |= {"pose": pose, "light": torch.cat((view_light[:2], direction))}
        return out

    def _draw(self, index: int) -> tuple[Parameters, Tensor, Tensor, Tensor]:
        """A head, its pose (6,), the light in the view (5,), and numbers in [0, 1) for the background."""
        world = (self.seed, SPLITS.index(self.split))
        who = _stream((*world, 0, index // self.per_identity))
        how = _stream((*world, 1, index))
        drawn = _spread(who, _IDENTITY)
        shared = {} if self.planted is None else _IDENTITY.keys() - PLANTED[self.planted]
        drawn |= {name: sum(_IDENTITY[name]) / 2 for name in shared}
        p = Parameters(**drawn, **_spread(how, heads.EXPRESSION))
        pitch, roll = (how.random(2) + how.random(2) - 1) * (PITCH, ROLL)
        yaw = self.yaw * how.uniform(-1, 1)
        pose = torch.tensor([*np.radians((pitch, yaw, roll)), *how.uniform(-SHIFT, SHIFT, 3)]).float()
        weights = how.uniform(*AMBIENT), how.uniform(*DIFFUSE)
        toward = np.array([*how.uniform(-SIDEWAYS, SIDEWAYS, 2), -1.0])
        light = torch.tensor([*weights, *toward / np.linalg.norm(toward)]).float()
        return p, pose, light, torch.from_numpy(how.random(5 + 8 * SHAPES)).float()

    def _photograph(self, head: "_Head", pose: Tensor, light: Tensor, scenery: Tensor) -> Tensor:
        """Draws at twice the size and averages 2 x 2 pixels: (3, S, S)."""
        fine = 2 * self.size
        view = head.look(pose, fine)
        shading = lambert(view.normal[None, :, :, None], light[None])[0, :, :, 0]
        image = _backdrop(scenery, fine, self.background == "clutter")
        image.flatten(1)[:, view.seen] = paint.albedo(head.p, view.surface) * shading
        return torch.nn.functional.avg_pool2d(image.clamp(0, 1), 2)


class _View(NamedTuple):
    """What the pixels of an image see of a head; N of them see any of it."""

    seen: Tensor
    """(N,) int64: indices of those pixels into the flattened image."""
    depth: Tensor
    """(S, S), 0 where nothing is seen."""
    surface: Tensor
    """(5, N) surface coordinates."""
    normal: Tensor
    """(3, N) unit."""


class _Head:
    """A head as vertices (H, W, 3) at zero pose, with their normals and surface coordinates (5, H, W)."""

    def __init__(self, p: Parameters):
        self.p, self.surface = p, heads.surface_coordinates(p)
        self.points = heads.head_points(p, self.surface)
        around = torch.cat((self.points[:, -2:-1], self.points, self.points[:, 1:2]), dim=1)
        self.normals = geometry.points_to_normals(around)[:, 1:-1]
        crown = self.normals[1, :-1].mean(dim=0)
        self.normals[0] = crown / crown.norm()

    def look(self, pose: Tensor, size: int) -> _View:
        """What a camera of `size` pixels sees of the head at a pose."""
        points = geometry.transform(self.points[None], pose[None])
        normals = geometry.rotate(self.normals[None], pose[None, :3])
        facing = (normals * points).sum(dim=-1) < 0.02
        pixels = geometry.points_to_pixels(points, size, FOV)
        triangle = grid.visible_triangles(pixels, size, facing).flatten()
        seen = (triangle >= 0).nonzero()[:, 0]
        corners = grid.triangle_corners(triangle[seen], pixels.shape[2])
        x, y = seen % size + 0.5, seen // size + 0.5
        weights, z = grid.barycentric(pixels.reshape(-1, 3)[corners], x, y)  # of the pixels seen, not of all
        table = torch.cat((self.surface.flatten(1).T, normals.reshape(-1, 3)), dim=1)
        values = sum(table.index_select(0, corners[:, k]) * weights[:, k, None] for k in range(3))
        values = values.T.contiguous()
        ray = geometry.depth_to_points(torch.ones(size, size), FOV).reshape(-1, 3)[seen].T
        depth = torch.zeros(size * size).index_copy(0, seen, z).reshape(size, size)
        return _View(seen, depth, values[:5], _towards_camera(values[5:], ray))

    def maps(self, pose: Tensor, size: int) -> dict[str, Tensor]:
        """Depth, normals, albedo and labels at a pose, at the centres of the pixels."""
        view = self.look(pose, size)
        normal, albedo = torch.zeros(2, 3, size, size)
        labels = torch.zeros(size, size, dtype=torch.int64)
        normal.flatten(1)[:, view.seen] = view.normal
        albedo.flatten(1)[:, view.seen] = paint.albedo(self.p, view.surface)
        labels.view(-1)[view.seen] = paint.labels(self.p, view.surface)
        return {"depth": view.depth, "normal": normal, "albedo": albedo, "labels": labels}


def _towards_camera(normal: Tensor, ray: Tensor) -> Tensor:
    """Unit normals (3, N) that do not look away along their ray, as interpolated ones may at an outline."""
    ray = _unit(ray)
    return _unit(normal - ((normal * ray).sum(dim=0).clamp(min=0) + 1e-4) * ray)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (3, N) made one long."""
    return vectors * (vectors**2).sum(dim=0).rsqrt()


def _landmarks(head: _Head, pose: Tensor, depth: Tensor) -> dict[str, Tensor]:
    """Landmarks in pixels and in the camera frame, and which of them are seen in the depth map (S, S)."""
    size = depth.shape[-1]
    points = heads.surface_points(head.points, heads.landmark_places(head.p))
    points = geometry.transform(points[None], pose[None])[0]
    pixels = geometry.points_to_pixels(points, size, FOV)[:, :2]
    at = pixels.floor().long()
    inside = ((at >= 0) & (at < size)).all(dim=-1)
    x, y = at.clamp(0, size - 1).unbind(-1)
    nearer = (depth[y, x] > 0) & (depth[y, x] < points[:, 2] - OCCLUSION)
    return {"landmarks": pixels, "landmarks_visible": inside & ~nearer, "landmarks_3d": points}


def _backdrop(u: Tensor, size: int, clutter: bool) -> Tensor:
    """A background (3, size, size) from numbers u in [0, 1): a colour with a gradient, and things on it."""
    at_x, at_y = geometry.pixel_centres(size).unbind(-1)
    at_x, at_y = at_x / size - 0.5, at_y / size - 0.5
    ramp = 0.35 * ((u[0] - 0.5) * at_x + (u[1] - 0.5) * at_y)
    colour = 0.08 + 0.84 * u[2:5]
    image = torch.lerp(colour, colour.mean(), 0.45)[:, None, None] + ramp
    for v in u[5:].reshape(SHAPES, 8) if clutter else ():
        x, y = at_x - 1.2 * (v[0] - 0.5), at_y - 1.2 * (v[1] - 0.5)
        cos, sin = torch.cos(3.2 * v[2]), torch.sin(3.2 * v[2])
        a = (cos * x + sin * y).abs() / (0.06 + 0.3 * v[3])
        b = (cos * y - sin * x).abs() / (0.06 + 0.3 * v[4])
        inside = (torch.maximum(a, b) if v[0] < 0.5 else a**2 + b**2) < 1
        image = torch.where(inside, (0.05 + 0.9 * v[5:8])[:, None, None] + ramp, image)
    return image


def _stream(key: tuple[int, ...]) -> np.random.Generator:
    """A stream of random numbers of its own for every key of whole numbers."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _spread(random: np.random.Generator, ranges: dict) -> dict[str, float]:
    """A number for every name, uniform in its range."""
    return {name: float(random.uniform(*limits)) for name, limits in ranges.items()}


def _check(split, count, size, seed, background, yaw, per_identity, planted) -> None:
    """Raises UserError for the first argument that will not do."""

    def whole(value, least):
        return isinstance(value, Integral) and not isinstance(value, bool) and value >= least

    if split not in SPLITS:
        raise UserError(f"split={split!r} is not one of the splits: choose one of {', '.join(SPLITS)}.")
    if background not in BACKGROUNDS:
        raise UserError(f"background={background!r} is unknown: choose one of {', '.join(BACKGROUNDS)}.")
    if planted not in (None, *PLANTED):
        raise UserError(f"planted={planted!r} is unknown: choose None or one of {', '.join(PLANTED)}.")
    for name, value, least in (("count", count, 1), ("seed", seed, 0), ("per_identity", per_identity, 1)):
        if not whole(value, least):
            raise UserError(f"{name}={value!r} will not do: give a whole number of at least {least}.")
    if not whole(size, 16) or size % 16:
        raise UserError(f"size={size!r} will not do: give a multiple of 16 pixels, such as 64.")
    if not isinstance(yaw, Real) or not 0 < yaw <= 90:
        raise UserError(f"yaw={yaw!r} will not do: give degrees above 0 and up to 90.")
