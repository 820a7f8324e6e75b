"""From posed grids of vertices to images: one interface, several backends.

`rasterize` finds, for every pixel, the triangle that is seen there and where in it; `interpolate` reads any
vertex attribute at those places; `outlines.blend_outlines` then gives the outline a gradient. A grid of
H x W vertices has 2 (H-1) (W-1) triangles: cell (i, j) holds triangle 2k = (v[i,j], v[i,j+1], v[i+1,j]) and
2k+1 = (v[i+1,j+1], v[i+1,j], v[i,j+1]), k = i (W-1) + j. They meet on the diagonal that rises to the right;
with `diagonal="falling"` every cell is divided the other way, as a mirror shows it.

Backends: "grid" (ours, see `raster.grid`), and "pytorch3d", where PyTorch3D is installed.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from igc.raster import fused, grid, pytorch3d
from igc.raster.weights import Interpolate, PerspectiveWeights


class Unusable(ValueError):
    """Vertices that cannot be drawn, as a model gives them whose training went wrong."""


class Fragments(NamedTuple):
    """What the pixels of (B, S, S) images see of the grid. N pixels see any of it; those are listed."""

    triangle: Tensor
    """(B, S, S) int64: the index of the nearest triangle, -1 where there is none."""
    depth: Tensor
    """(B, S, S): depth of the surface, 0 where there is none; differentiable."""
    pixel: Tensor
    """(N,) int64: where in the flattened (B, S, S) images the covered pixels are."""
    corners: Tensor
    """(N, 3) int64: the corners of their triangles, as indices into the flattened (B, H, W) vertices."""
    weights: Tensor
    """(N, 3): perspective-correct barycentric weights of the corners; differentiable."""

    @property
    def coverage(self) -> Tensor:
        """(B, S, S) bool: whether there is a triangle."""
        return self.triangle >= 0

    @property
    def barycentric(self) -> Tensor:
        """(B, S, S, 3): the weights in the image, 0 where there is no triangle."""
        return _scatter(self.weights, self)


def rasterize(
    vertices: Tensor, size: int, mask: Tensor | None = None, backend: str = "grid", diagonal: str = "rising"
) -> Fragments:
    """Finds the nearest triangle in every pixel of a `size` x `size` image.

    `vertices` (B, H, W, 3): x and y in pixels and z > 0 the depth, as `geometry.points_to_pixels` gives
    them. `mask` (B, H, W) bool: triangles none of whose corners is set are left out. A pixel belongs to a
    triangle when its centre lies inside or on the edge. Both sides of a triangle are drawn. Raises ValueError
    for other shapes and types and for an empty batch; Unusable, which is one, where a vertex is not finite or
    not in front of the camera.
    """
    _check(vertices, size, mask, backend, diagonal)
    return BACKENDS[backend](vertices, size, mask, diagonal)


def interpolate(fragments: Fragments, attributes: Tensor) -> Tensor:
    """Reads vertex attributes (B, C, H, W) at the visible points: (B, C, S, S), 0 where nothing is seen.

    Gradients flow to the attributes and, through the barycentric weights, to the vertices. Raises ValueError
    where the attributes have another batch, type or device than the vertices had.
    """
    weights = fragments.weights
    if attributes.dim() != 4 or len(attributes) != len(fragments.triangle):
        wanted = f"({len(fragments.triangle)}, C, H, W)"
        raise ValueError(f"attributes must have shape {wanted}, not {tuple(attributes.shape)}")
    if attributes.dtype != weights.dtype or attributes.device != weights.device:
        raise ValueError(
            f"attributes are {attributes.dtype} on {attributes.device}, the vertices were {weights.dtype} on "
            f"{weights.device}: bring both to one"
        )
    values = attributes.movedim(1, -1).flatten(0, 2)
    return _scatter(Interpolate.apply(values, fragments.corners, weights), fragments).movedim(-1, 1)


def _grid(vertices: Tensor, size: int, mask: Tensor | None, diagonal: str) -> Fragments:
    with torch.no_grad():
        visible_triangles = fused.visible_triangles if fused.usable(vertices) else grid.visible_triangles
        triangle = visible_triangles(vertices, size, mask, diagonal)
        pixel, corners = covered(triangle, vertices, diagonal)
        within = pixel % (size * size)
        row = within // size
        x, y = (within - row * size).to(vertices.dtype) + 0.5, row.to(vertices.dtype) + 0.5
    weights, seen = PerspectiveWeights.apply(vertices.reshape(-1, 3), corners, x, y)
    depth = vertices.new_zeros(triangle.numel()).index_copy(0, pixel, seen).reshape(triangle.shape)
    return Fragments(triangle, depth, pixel, corners, weights)


def _pytorch3d(vertices: Tensor, size: int, mask: Tensor | None, diagonal: str) -> Fragments:
    triangle, depth, weights = pytorch3d.rasterize(vertices, size, mask, diagonal)
    pixel, corners = covered(triangle, vertices, diagonal)
    depth = torch.where(triangle >= 0, depth, 0)
    return Fragments(triangle, depth, pixel, corners, weights.flatten(0, 2).index_select(0, pixel))


BACKENDS: dict[str, Callable[..., Fragments]] = {"grid": _grid, "pytorch3d": _pytorch3d}


def covered(triangle: Tensor, vertices: Tensor, diagonal: str) -> tuple[Tensor, Tensor]:
    """The covered pixels (N,) of `triangle` (B, S, S), and the corners (N, 3) of what they see."""
    pixel = grid.where_true(triangle.flatten() >= 0)
    corners = grid.triangle_corners(triangle.flatten().index_select(0, pixel), vertices.shape[2], diagonal)
    image = pixel // (triangle.shape[1] * triangle.shape[2])
    return pixel, corners + (image * (vertices.shape[1] * vertices.shape[2]))[:, None]


def _scatter(values: Tensor, fragments: Fragments) -> Tensor:
    """(N, C) values of the covered pixels into images (B, S, S, C), 0 elsewhere."""
    image = values.new_zeros(fragments.triangle.numel(), values.shape[1])
    return image.index_copy(0, fragments.pixel, values).reshape(*fragments.triangle.shape, values.shape[1])


def _check(vertices: Tensor, size: int, mask: Tensor | None, backend: str, diagonal: str) -> None:
    """Raises ValueError, or Unusable, for the first argument that will not do."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown rasteriser backend {backend!r}: choose one of {sorted(BACKENDS)}")
    if diagonal not in grid.DIAGONALS:
        raise ValueError(f"unknown diagonal {diagonal!r}: choose one of {grid.DIAGONALS}")
    if vertices.dim() != 4 or vertices.shape[-1] != 3 or min(vertices.shape[1:3]) < 2:
        raise ValueError(f"vertices must have shape (B, H, W, 3), H, W >= 2, not {tuple(vertices.shape)}")
    if not len(vertices):
        raise ValueError("vertices hold an empty batch: give at least one grid")
    if vertices.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"vertices must be float32 or float64, not {vertices.dtype}")
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != vertices.shape[:3]):
        wanted = tuple(vertices.shape[:3])
        raise ValueError(f"mask must be bool and {wanted}, not {mask.dtype} and {tuple(mask.shape)}")
    if mask is not None and mask.device != vertices.device:
        raise ValueError(f"mask is on {mask.device} and vertices on {vertices.device}: bring both to one")
    total, nearest = torch.stack((vertices.detach().sum(), vertices.detach()[..., 2].amin())).tolist()
    if not math.isfinite(total):  # both in one list: on a GPU each look waits for the device
        raise Unusable("vertices hold NaN or infinite values: look at the depth and the pose before")
    if not nearest > 0:
        raise Unusable("vertices lie behind the camera (z <= 0): depths and poses must keep z > 0")
