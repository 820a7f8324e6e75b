"""From posed grids of vertices to images: one interface, several backends.

`rasterize` finds, for every pixel, the triangle that is seen there and where in it; `interpolate` reads any
vertex attribute at those places. A grid of H x W vertices has 2 (H-1) (W-1) triangles: cell (i, j) holds
triangle 2k = (v[i,j], v[i,j+1], v[i+1,j]) and 2k+1 = (v[i+1,j+1], v[i+1,j], v[i,j+1]), k = i (W-1) + j.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from igc.raster import grid

BACKENDS = {"grid": grid.visible_triangles}


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


def rasterize(vertices: Tensor, size: int, mask: Tensor | None = None, backend: str = "grid") -> Fragments:
    """Finds the nearest triangle in every pixel of a `size` x `size` image.

    `vertices` (B, H, W, 3): x and y in pixels and z > 0 the depth, as `geometry.points_to_pixels` gives
    them. `mask` (B, H, W) bool: triangles none of whose corners is set are left out. A pixel belongs to a
    triangle when its centre lies inside or on the edge. Both sides of a triangle are drawn.
    """
    if vertices.dim() != 4 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices must have shape (B, H, W, 3), not {tuple(vertices.shape)}")
    if backend not in BACKENDS:
        raise ValueError(f"unknown rasteriser backend {backend!r}: choose one of {sorted(BACKENDS)}")
    with torch.no_grad():
        triangle = BACKENDS[backend](vertices, size, mask)
        pixel = (triangle.flatten() >= 0).nonzero().squeeze(1)
        image = pixel // (size * size)
        corners = grid.triangle_corners(triangle.flatten()[pixel], vertices.shape[2])
        corners += (image * (vertices.shape[1] * vertices.shape[2]))[:, None]
    places = _gather(vertices.reshape(-1, 3), corners)
    within = pixel % (size * size)
    weights, seen = grid.barycentric(places, within % size + 0.5, within // size + 0.5)
    depth = vertices.new_zeros(triangle.numel()).index_copy(0, pixel, seen).reshape(triangle.shape)
    return Fragments(triangle, depth, pixel, corners, weights)


def interpolate(fragments: Fragments, attributes: Tensor) -> Tensor:
    """Reads vertex attributes (B, C, H, W) at the visible points: (B, C, S, S), 0 where nothing is seen.

    Gradients flow to the attributes and, through the barycentric weights, to the vertices.
    """
    values = _gather(attributes.movedim(1, -1).flatten(0, 2), fragments.corners)
    mixed = (values * fragments.weights[..., None]).sum(dim=1)
    return _scatter(mixed, fragments).movedim(-1, 1)


def _gather(per_vertex: Tensor, corners: Tensor) -> Tensor:
    """(V, C) values at corners (N, 3): (N, 3, C)."""
    return per_vertex.index_select(0, corners.reshape(-1)).reshape(*corners.shape, per_vertex.shape[1])


def _scatter(values: Tensor, fragments: Fragments) -> Tensor:
    """(N, C) values of the covered pixels into images (B, S, S, C), 0 elsewhere."""
    image = values.new_zeros(fragments.triangle.numel(), values.shape[1])
    return image.index_copy(0, fragments.pixel, values).reshape(*fragments.triangle.shape, values.shape[1])
