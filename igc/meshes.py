"""Surfaces as triangle meshes: which triangles of a grid of points belong to a surface. NumPy arrays only."""

from typing import NamedTuple

import numpy as np

from igc.geometry import CENTRE

STEEPEST = 10.0
"""A triangle is left out where its depth spans more than this many median grid spacings."""


class Mesh(NamedTuple):
    """A surface. V vertices, T triangles; seen from the camera, corners run anticlockwise."""

    vertices: np.ndarray
    """(V, 3) float64: x right, y down, z forward, from the point that faces turn about"""
    triangles: np.ndarray
    """(T, 3): corner indices"""
    colours: np.ndarray
    """(V, 3) in [0, 1]"""


def surface_mesh(points: np.ndarray, colours: np.ndarray, mask: np.ndarray) -> Mesh:
    """The triangles of a grid of camera-frame points (H, W, 3), and the vertices that they use (ours).

    `colours` (H, W, 3), clipped to [0, 1]; `mask` (H, W) bool, true at the vertices of the surface. Each
    cell of the grid has two triangles. Kept are those that lie inside the mask, have finite corners and span
    no jump in depth; there may be none.
    """
    triangles = _triangles(points, mask & np.isfinite(points).all(-1))
    used, triangles = np.unique(triangles, return_inverse=True)
    vertices = points.reshape(-1, 3)[used].astype(np.float64) - CENTRE
    return Mesh(vertices, triangles.reshape(-1, 3), np.clip(colours.reshape(-1, 3)[used], 0, 1))


def close_seams(masks: np.ndarray) -> np.ndarray:
    """Masks (M, H, W) bool of parts that lie side by side, each grown by one vertex to the right and down
    into the others: no cell whose four corners lie in the whole is left out."""
    reach = masks.copy()
    reach[..., 1:] |= reach[..., :-1].copy()
    reach[..., 1:, :] |= reach[..., :-1, :].copy()
    return reach & masks.any(axis=0)


def _triangles(points, mask) -> np.ndarray:
    """Corner indices (T, 3) of the grid's triangles that lie inside `mask` and span no jump in depth."""
    height, width = mask.shape
    index = np.arange(height * width).reshape(height, width)
    a, b, c, d = (i.reshape(-1) for i in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    corners = np.concatenate((np.stack((a, c, b), -1), np.stack((b, c, d), -1)))
    corners = corners[mask.reshape(-1)[corners].all(-1)]
    if len(corners) == 0:
        return corners
    xyz = points.reshape(-1, 3)[corners]
    spacing = np.median(np.ptp(xyz[..., 0], axis=-1))
    return corners[np.ptp(xyz[..., 2], axis=-1) <= STEEPEST * spacing]
