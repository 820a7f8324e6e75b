"""Where the 68 usual landmarks lie on a procedural head: places on its surface, and points in space."""

import numpy as np
from numpy import ndarray

from igc.data.heads import HEIGHT, LATERAL, PHI, Parameters, equator_radius, mouth_half, mouth_line


def landmark_places(p: Parameters) -> ndarray:
    """Surface coordinates (68, 2) = X, Y of the landmarks in the usual order of 68: jaw 0-16, brows 17-26,
    nose 27-35, eyes 36-47, mouth 48-67, each from the image's left to its right (lids and lips clockwise)."""
    jaw, brow, eye = _jaw_places(p), _brow_places(p), _eye_places(p)
    left = np.array((-1.0, 1.0))
    eyes = np.concatenate((eye * left, eye[[3, 2, 1, 0, 5, 4]]))
    sides = (jaw * left, jaw[-2::-1], brow * left, brow[::-1])
    return np.concatenate((*sides, _nose_places(p), eyes, _mouth_places(p)))


def _jaw_places(p: Parameters) -> ndarray:
    """The outline of the jaw as the front shows it, from the ear to the chin (9, 2)."""
    phi = np.radians((78.0, 70.0, 59.0, 52.0, 43.0, 37.0, 28.0, 15.0, 0.0))
    y = np.array((-0.5, 1.8, 4.0, 5.9, 7.4, 8.4, 9.1, 9.6, 9.8))
    return np.stack((equator_radius(phi) * np.sin(phi), y), axis=1)


def brow_line(p: Parameters, x: ndarray) -> ndarray:
    """Height of the middle of a brow at lateral distance x >= 0."""
    along = x - (p.eye_x + 0.35)
    return (p.brow_y - p.raised - 0.55) + (0.085 + p.brow_arch) * along * along


def _brow_places(p: Parameters) -> ndarray:
    x = p.eye_x + np.array((2.1, 1.3, 0.3, -0.8, -1.8))
    return np.stack((x, brow_line(p, x)), axis=1)


def lids(p: Parameters, x: ndarray) -> tuple[ndarray, ndarray]:
    """Heights of the edges of the upper and the lower lid at lateral distance x >= 0."""
    across = ((x - p.eye_x) * (1 / p.eye_w)).clip(-1, 1)
    tilt, rest = p.eye_y - 0.12 * across, 1 - across * across
    return tilt - p.eye_h * p.lids * rest * (1 - 0.2 * across), tilt + 0.55 * p.eye_h * rest


def _eye_places(p: Parameters) -> ndarray:
    x = p.eye_x + p.eye_w * np.array((1.0, 0.38, -0.38, -1.0, -0.38, 0.38))
    upper, lower = lids(p, x)
    return np.stack((x, np.concatenate((upper[:4], lower[4:]))), axis=1)


def _nose_places(p: Parameters) -> ndarray:
    top, tip = p.eye_y - 0.8, p.nose_y - 0.75
    ridge = top + (tip - top) * np.array((0.0, 0.34, 0.67, 1.0))
    x = p.nose_w * np.array((-1.0, -0.5, 0.0, 0.5, 1.0))
    y = p.nose_y + np.array((0.0, 0.12, 0.2, 0.12, 0.0))
    return np.concatenate((np.stack((np.zeros(4), ridge), axis=1), np.stack((x, y), axis=1)))


def _mouth_places(p: Parameters) -> ndarray:
    x = mouth_half(p) * np.array((-1, -0.6, -0.2, 0, 0.2, 0.6, 1, 0.6, 0.25, 0, -0.25, -0.6))
    side = np.array((0.0, -1, -1, -1, -1, -1, 0, 1, 1, 1, 1, 1))
    line, rest, gap = mouth_line(p, x)
    outer = line + side * (gap + np.where(side < 0, p.lip_up, p.lip_low) * rest**0.65)
    x_in = mouth_half(p) * np.array((-0.85, -0.3, 0, 0.3, 0.85, 0.3, 0, -0.3))
    line, _, gap = mouth_line(p, x_in)
    inner = line + np.array((0.0, -1, -1, -1, 0, 1, 1, 1)) * gap
    return np.stack((np.concatenate((x, x_in)), np.concatenate((outer, inner))), axis=1)


def surface_points(vertices: ndarray, places: ndarray) -> ndarray:
    """Points (N, 3) of a grid of vertices (H, W, 3) at surface coordinates (N, 2) = X, Y of the face (angles
    up to 85 degrees)."""
    face = np.flatnonzero(np.abs(PHI) <= np.radians(85))
    i, a = _between(places[:, 1], HEIGHT)
    j, b = _between(places[:, 0], LATERAL[face])
    j = j + face[0]
    upper = vertices[i, j] * (1 - b) + vertices[i, j + 1] * b
    lower = vertices[i + 1, j] * (1 - b) + vertices[i + 1, j + 1] * b
    return (upper * (1 - a) + lower * a).astype(np.float32)


def _between(values: ndarray, knots: ndarray) -> tuple[ndarray, ndarray]:
    """For values (N,) among increasing knots: index of the knot before (N,), and the way past it (N, 1)."""
    right = np.searchsorted(knots, values).clip(1, len(knots) - 1)
    return right - 1, ((values - knots[right - 1]) / (knots[right] - knots[right - 1]))[:, None]
