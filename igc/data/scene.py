"""From a head, a pose and a light to a picture and its truth: camera, light, shadows, background, glasses."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from igc import geometry
from igc.data import framing, heads, paint, regions
from igc.data.heads import Parameters
from igc.data.landmarks import landmark_places, surface_points
from igc.raster import grid

FOV = math.radians(10)
OCCLUSION = 0.006
"""A landmark is hidden when the surface seen at its pixel is nearer than it by more than this depth (of an
unscaled head)."""
SHAPES = 9
"""Discs and boxes in a cluttered background."""
BACKDROP = 5 + 8 * SHAPES
"""Numbers that a background is made of."""
SHADOW_MAP, SHADOW_REACH, SHADOW_BIAS = 96, 0.17, 0.006
"""Pixels of the depth map that the light sees, half its width, and the depth by which a point must lie behind
it to be in shadow."""
CENTRE = np.array(geometry.CENTRE, np.float32)


class View(NamedTuple):
    """What the pixels of an image see of a head; N of them see any of it."""

    seen: ndarray
    """(N,) int64: indices of those pixels into the flattened image."""
    depth: ndarray
    """(N,)."""
    surface: ndarray
    """(5, N) surface coordinates."""
    fields: ndarray
    """(3, N) slow changes of the skin, see `paint.skin`."""
    normal: ndarray
    """(N, 3) interpolated, neither unit nor sure to face the camera."""
    lit: ndarray
    """(N,) how much of the lamp's light arrives, 0 to 1."""


class Head:
    """A head as vertices (H, W, 3) at zero pose, with their normals and surface coordinates (5, H, W); with
    `side`, placed as the face framing asks (see `framing`)."""

    def __init__(self, p: Parameters, side: float | None = None):
        self.p, self.surface = p, heads.surface_coordinates(p)
        self.natural = self.points = heads.head_points(p, self.surface)
        self.placement = None
        if side is not None:
            self.placement = framing.placement(p, side, FOV)
            self.points = self.placement.of(self.natural)
        self.normals = _normals(self.points)
        attributes = np.concatenate((self.surface, paint.skin(p, self.surface)))
        self.attributes = np.ascontiguousarray(attributes.reshape(8, -1).T)

    def look(self, pose: Tensor, size: int, shadow_of: ndarray | None = None) -> View:
        """What a camera of `size` pixels sees of the head at a pose (6,); with shadows of the light from the
        direction `shadow_of` (3,) of the view, if given."""
        points, normals = self._posed(self.points, pose), self._turned(self.normals, pose)
        depth = points[..., 2:]
        pixels = points * (geometry.focal_length(size, FOV) / depth) + 0.5 * size
        pixels[..., 2:] = depth
        facing = np.einsum("hwc,hwc->hw", normals, points) < 0.02
        seen, depth, corners, weights = _rasterise(pixels, size, facing)
        columns = [self.attributes, normals.reshape(-1, 3)]
        if shadow_of is not None:
            blocking = points if self.placement is None else self._posed(self.natural, pose)
            columns.append(_lit(blocking, shadow_of).reshape(-1, 1))
        table = torch.from_numpy(np.concatenate(columns, axis=1))
        mix = torch.nn.functional.embedding_bag
        values = mix(corners, table, per_sample_weights=weights, mode="sum").numpy()
        surface = np.ascontiguousarray(values[:, :8].T)
        lit = np.float32(1) if shadow_of is None else values[:, 11]
        return View(seen, depth, surface[:5], surface[5:], values[:, 8:11], lit)

    def _posed(self, points: ndarray, pose: Tensor) -> ndarray:
        """Vertices (H, W, 3) in the view."""
        return self._turned(points - CENTRE, pose) + (CENTRE + pose[3:].numpy())

    def _turned(self, vectors: ndarray, pose: Tensor) -> ndarray:
        """Directions (H, W, 3) in the view."""
        turn = geometry.rotation_matrix(pose[:3]).numpy().T.copy()
        return (vectors.reshape(-1, 3) @ turn).reshape(vectors.shape)

    def framed(self, pose: Tensor) -> Tensor:
        """The pose (6,) at which the picture is taken: in the face framing, one that keeps the face there."""
        return pose if self.placement is None else framing.kept(self._landmark_points(), pose, FOV)

    def _landmark_points(self) -> Tensor:
        """The landmarks (68, 3) at zero pose."""
        return torch.from_numpy(surface_points(self.points, landmark_places(self.p)))

    def maps(self, pose: Tensor, size: int) -> dict[str, Tensor]:
        """Depth, normals, albedo and labels at a pose, at the centres of the pixels."""
        view = self.look(pose, size)
        depth, labels = np.zeros(size * size, np.float32), np.zeros(size * size, np.int64)
        normal, albedo = np.zeros((2, size * size, 3), np.float32)
        depth[view.seen] = view.depth
        normal[view.seen] = _towards_camera(view.normal, view.seen, size)
        albedo[view.seen] = paint.albedo(self.p, view.surface, view.fields)
        labels[view.seen] = regions.labels(self.p, view.surface)
        flat = {"depth": depth, "labels": labels}
        maps = {name: torch.from_numpy(value.reshape(size, size)) for name, value in flat.items()}
        for name, value in (("normal", normal), ("albedo", albedo)):
            maps[name] = torch.from_numpy(value.T.copy().reshape(3, size, size))
        return maps

    def landmarks(self, pose: Tensor, depth: Tensor) -> dict[str, Tensor]:
        """Landmarks in pixels and in the camera frame, and which are seen in the depth map (S, S)."""
        size = depth.shape[-1]
        points = geometry.transform(self._landmark_points()[None], pose[None])[0]
        pixels = geometry.points_to_pixels(points, size, FOV)[:, :2]
        at = pixels.floor().long()
        inside = ((at >= 0) & (at < size)).all(dim=-1)
        x, y = at.clamp(0, size - 1).unbind(-1)
        slack = OCCLUSION * (1 if self.placement is None else self.placement.scale)
        nearer = (depth[y, x] > 0) & (depth[y, x] < points[:, 2] - slack)
        return {"landmarks": pixels, "landmarks_visible": inside & ~nearer, "landmarks_3d": points}


def photograph(
    head: Head, pose: Tensor, light: Tensor, size: int, backdrop: ndarray, clutter: bool, shadows: bool,
    glasses: ndarray | None = None,
) -> Tensor:  # fmt: skip
    """A picture (3, S, S) in [0, 1]: drawn at twice the size, and 2 x 2 pixels averaged.

    `light` (5,) in the view; `backdrop` (BACKDROP,) and `glasses` (GLASSES,) are numbers in [0, 1).
    """
    fine, (ambient, diffuse, *toward) = 2 * size, light.tolist()
    toward = np.array(toward, np.float32)
    view = head.look(pose, fine, toward if shadows else None)
    cosine = view.normal @ toward / np.sqrt(np.einsum("nc,nc->n", view.normal, view.normal))
    shading = ambient + diffuse * (cosine.clip(0) * view.lit)
    image = draw_backdrop(backdrop, fine, clutter).reshape(-1, 3)
    image[view.seen] = paint.albedo(head.p, view.surface, view.fields) * shading[:, None]
    if glasses is not None:
        depth = np.full(fine * fine, np.inf, np.float32)
        depth[view.seen] = view.depth
        _draw_glasses(image, depth, head, pose, ambient + 0.6 * diffuse, glasses, fine)
    image = image.clip(0, 1).reshape(fine, fine, 3)
    rows = image[::2] + image[1::2]
    return torch.from_numpy((0.25 * (rows[:, ::2] + rows[:, 1::2])).transpose(2, 0, 1).copy())


def _normals(points: ndarray) -> ndarray:
    """Unit normals (H, W, 3), outwards, of a head's vertices: the first and the last column are one."""
    across, down = np.empty_like(points), np.empty_like(points)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    across[:, 0] = across[:, -1] = points[:, 1] - points[:, -2]
    down[1:-1] = points[2:] - points[:-2]
    down[0], down[-1] = points[1] - points[0], points[-1] - points[-2]
    (ax, ay, az), (dx, dy, dz) = np.moveaxis(across, -1, 0), np.moveaxis(down, -1, 0)
    normal = np.stack((dy * az - dz * ay, dz * ax - dx * az, dx * ay - dy * ax), axis=-1)
    normal[0] = normal[1, :-1].mean(axis=0)
    return normal / np.sqrt(np.einsum("hwc,hwc->hw", normal, normal).clip(1e-24))[..., None]


def _rasterise(pixels: ndarray, size: int, mask: ndarray) -> tuple[ndarray, ...]:
    """Which pixels (N,) see the grid of vertices (H, W, 3), and their depth (N,), in NumPy; the corners
    (N, 3) and weights (N, 3) of the triangles seen, in torch."""
    vertices = torch.from_numpy(pixels)
    triangle = grid.visible_triangles(vertices[None], size, torch.from_numpy(mask)[None]).flatten()
    seen = (triangle >= 0).nonzero()[:, 0]
    corners = grid.triangle_corners(triangle[seen], pixels.shape[1])
    y = seen // size
    x = seen - y * size
    places = vertices.reshape(-1, 3).index_select(0, corners.reshape(-1)).reshape(-1, 3, 3)
    weights, depth = grid.barycentric(places, x + 0.5, y + 0.5)
    return seen.numpy(), depth.numpy(), corners, weights.contiguous()


def _towards_camera(normal: ndarray, seen: ndarray, size: int) -> ndarray:
    """Unit normals (N, 3) that do not look away along their ray, as interpolated ones may at an outline."""
    ray = np.stack((seen % size + 0.5 - 0.5 * size, seen // size + 0.5 - 0.5 * size, seen * 0.0), axis=1)
    ray[:, 2] = geometry.focal_length(size, FOV)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    normal = normal - ((normal * ray).sum(axis=1, keepdims=True).clip(0) + 1e-4) * ray
    return (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32)


def _lit(points: ndarray, toward: ndarray) -> ndarray:
    """How much light from the direction `toward` (3,) reaches vertices (H, W, 3): (H, W), 0 to 1.

    A shadow map: the depth of the head as the light sees it; a vertex behind it is in shadow."""
    side = np.cross(toward, (0.0, 1.0, 0.0))
    side /= np.linalg.norm(side)
    axes = np.stack((side, np.cross(side, toward), -toward), axis=1).astype(np.float32)
    seen_by = (points - CENTRE) @ axes
    seen_by[..., :2] = (seen_by[..., :2] * (0.5 / SHADOW_REACH) + 0.5) * SHADOW_MAP
    seen_by[..., 2] += 10.0
    seen, depth, _, _ = _rasterise(seen_by, SHADOW_MAP, np.ones(points.shape[:2], bool))
    nearest = np.full(SHADOW_MAP * SHADOW_MAP, np.inf, np.float32)
    nearest[seen] = depth
    nearest = nearest.reshape(SHADOW_MAP, SHADOW_MAP)
    x, y = ((seen_by[..., k] - 0.5).clip(0, SHADOW_MAP - 1.001) for k in (0, 1))
    i, j = y.astype(np.int64), x.astype(np.int64)
    a, b, z = y - i, x - j, seen_by[..., 2] - SHADOW_BIAS
    lit = (1 - a) * ((1 - b) * (z < nearest[i, j]) + b * (z < nearest[i, j + 1]))
    lit += a * ((1 - b) * (z < nearest[i + 1, j]) + b * (z < nearest[i + 1, j + 1]))
    lit[1:-1] = 0.25 * lit[:-2] + 0.5 * lit[1:-1] + 0.25 * lit[2:]
    lit[:, 1:-1] = 0.25 * lit[:, :-2] + 0.5 * lit[:, 1:-1] + 0.25 * lit[:, 2:]
    return lit.astype(np.float32)


def draw_backdrop(u: ndarray, size: int, clutter: bool) -> ndarray:
    """A background (size, size, 3) from numbers u (BACKDROP,): a colour with a gradient, and things on it."""
    u = u.astype(np.float32)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    ramp = 0.35 * ((u[0] - 0.5) * at + (u[1] - 0.5) * at[:, None])[..., None]
    colour = 0.08 + 0.84 * u[2:5]
    image = 0.55 * colour + 0.45 * colour.mean() + ramp
    for v in u[5:].reshape(SHAPES, 8) if clutter else ():
        x, y = at - 1.2 * (v[0] - 0.5), (at - 1.2 * (v[1] - 0.5))[:, None]
        cos, sin = np.cos(3.2 * v[2]), np.sin(3.2 * v[2])
        a = np.abs(cos * x + sin * y) / (0.06 + 0.3 * v[3])
        b = np.abs(cos * y - sin * x) / (0.06 + 0.3 * v[4])
        inside = (np.maximum(a, b) if v[0] < 0.5 else a * a + b * b) < 1
        image[inside] = 0.05 + 0.9 * v[5:8] + ramp[inside]
    return image


GLASSES = 6
"""Numbers that a pair of glasses is made of; the first says whether there is one."""


def _draw_glasses(image, depth, head: Head, pose: Tensor, shade: float, u: ndarray, size: int) -> None:
    """Draws glasses onto `image` (size^2, 3), where they are nearer than `depth` (size^2,)."""
    if u[0] >= 0.5:
        return
    strips = _frame(head, u)
    strips = strips if head.placement is None else head.placement.of(strips)
    points = geometry.transform(torch.from_numpy(strips)[None], pose[None])
    pixels = geometry.points_to_pixels(points, size, FOV)[0].numpy()
    colour = np.array((0.04, 0.035, 0.03)) + (0.3 * u[5]) * np.array((1.0, 0.7, 0.4))
    for piece in pixels:
        seen, z, _, _ = _rasterise(piece, size, np.ones(piece.shape[:2], bool))
        nearer = seen[z < depth[seen]]
        image[nearer] = colour * shade


def _frame(head: Head, u: ndarray) -> ndarray:
    """The rims, the bridge and the arms of glasses as five strips (5, 2, K, 3) at zero pose."""
    p, t = head.p, 0.16 + 0.16 * u[1]
    wide, high, square = 2.25 + 0.3 * u[2], 1.6 + 0.5 * u[3], 0.6 + 0.4 * u[4]
    nose, ear = surface_points(head.natural, np.array(((0.0, p.eye_y + 0.3), (LATERAL_EAR, p.eye_y))))
    x0, y0 = max(p.eye_x, wide + 0.75), p.eye_y + 0.15
    around = np.linspace(0, 2 * np.pi, 40)
    cos, sin = (np.sign(f) * np.abs(f) ** square for f in (np.cos(around), np.sin(around)))
    ring = np.stack([np.stack((x0 + (wide + s * t) * cos, y0 + (high + s * t) * sin)) for s in (-1, 1)])
    way = np.linspace(0, 1, 40)
    low = y0 - 0.5 - 0.3 * np.sin(np.pi * way)
    bridge = np.stack([np.stack(((2 * way - 1) * (x0 - wide), low + s * t)) for s in (-1, 1)])
    front = nose[2] - 0.55 * heads.SCALE
    flat = np.stack((ring, ring * np.array((-1.0, 1.0))[:, None], bridge))  # (3, 2, 2, K)
    x, y = flat[:, :, 0], flat[:, :, 1]
    z = front + 0.03 * heads.SCALE * x**2
    strips = np.stack((x * heads.SCALE, y * (p.length * heads.SCALE), z), axis=-1)
    hinge = np.array(((x0 + wide) * heads.SCALE, (y0 - 0.4) * p.length * heads.SCALE, z[0].max()))
    end = np.array((ear[0] + 0.5 * heads.SCALE, hinge[1], heads.AXIS * heads.SCALE + 1))
    arm = hinge + (end - hinge) * way[:, None]
    arm = np.stack([arm + np.array((0, s * t * heads.SCALE, 0)) for s in (-1, 1)])
    return np.concatenate((strips, arm[None], (arm * np.array((-1.0, 1, 1)))[None])).astype(np.float32)


LATERAL_EAR = 7.0
"""X of the place where the arms of glasses rest, in cm."""
