"""What a model must beat: answers that need no learning from images, and oracles that are given truth.

Parts: six horizontal bands and a 2 x 3 grid of the true face box, k-means on position and colour, where the
parts start, and the commonest true label of every pixel (an oracle). Depth: a flat plane, the mean depth of
every pixel, and the mean canonical face at the true pose (an oracle). See the book's chapters 03 and 04.
"""

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from igc import geometry
from igc.cells import equal_cells
from igc.raster import interpolate, rasterize


def bands(face: Tensor, count: int = 6) -> Tensor:
    """Labels (N, S, S) 1..count: horizontal bands of the box around `face` (N, S, S), 0 outside of it."""
    return _grid_labels(face, count, 1)


def grid_2x3(face: Tensor) -> Tensor:
    """Labels (N, S, S) 1..6: three rows of two cells in the box around `face` (N, S, S)."""
    return _grid_labels(face, 3, 2)


def _grid_labels(face: Tensor, rows: int, columns: int) -> Tensor:
    labels = torch.zeros(face.shape, dtype=torch.int64)
    for i in range(len(face)):
        y, x = face[i].nonzero(as_tuple=True)
        if not len(y):
            continue
        top, bottom, left, right = y.min(), y.max() + 1, x.min(), x.max() + 1
        row = (torch.arange(face.shape[1]) - top) * rows // (bottom - top)
        column = (torch.arange(face.shape[2]) - left) * columns // (right - left)
        inside = ((row >= 0) & (row < rows))[:, None] & ((column >= 0) & (column < columns))
        labels[i] = torch.where(inside, row[:, None] * columns + column + 1, 0)
    return labels


def k_means(
    fit: dict, test: dict, fit_face: Tensor, test_face: Tensor, count: int = 6, seed: int = 0
) -> Tensor:
    """Labels (N, S, S): k-means over position in the image, two units wide, and colour of
    face pixels."""
    inputs, _ = _position_and_colour(fit["image"], fit_face)
    chosen = np.random.default_rng(seed).permutation(len(inputs))[:50000]
    clusters = KMeans(count, n_init=3, random_state=seed).fit(inputs[chosen])
    inputs, where = _position_and_colour(test["image"], test_face)
    labels = torch.zeros(test_face.shape, dtype=torch.int64)
    labels[where] = torch.from_numpy(clusters.predict(inputs).astype(np.int64)) + 1
    return labels


def _position_and_colour(images: Tensor, face: Tensor) -> tuple[np.ndarray, Tensor]:
    size = images.shape[-1]
    place = geometry.pixel_centres(size).permute(2, 0, 1) / size * 2
    both = torch.cat((images, place.expand(len(images), -1, -1, -1)), dim=1).movedim(1, -1)
    return both[face].numpy(), face


def commonest_label(fit_truth: Tensor, count: int) -> Tensor:
    """(S, S): the commonest true label 0..9 of every pixel on the validation people."""
    return torch.nn.functional.one_hot(fit_truth, 10).sum(dim=0).argmax(dim=-1).expand(count, -1, -1)


def where_parts_start(size: int, count: int, parts: int = 6) -> Tensor:
    """Labels (N, S, S) 1..parts: where an untrained network has its parts, in the same place in all images.
    What it was told of faces scores this much; the rest it has learned."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cells = equal_cells(parts, torch.ones(size, size, dtype=torch.bool))
    return (cells.argmax(dim=0) + 1).expand(count, -1, -1)


def flat_plane(test: dict) -> tuple[Tensor, Tensor]:
    """Depth 1 and normals towards the camera, everywhere: (N, S, S), (N, 3, S, S)."""
    depth = torch.ones_like(test["depth"])
    return depth, torch.tensor([0.0, 0.0, -1.0])[:, None, None].expand(len(depth), 3, *depth.shape[1:])


def mean_depth(fit: dict, test: dict, fov: float) -> tuple[Tensor, Tensor]:
    """The validation people's mean view depth at every pixel, and the normals of that surface."""
    depth = _mean_map(fit["depth"])
    count = len(test["depth"])
    return depth.expand(count, -1, -1), geometry.depth_to_normals(depth, fov).expand(count, -1, -1, -1)


def posed_mean_face(fit: dict, test: dict, fov: float) -> tuple[Tensor, Tensor]:
    """The validation people's mean canonical face, drawn at each test face's true pose (an oracle)."""
    size, count = test["depth"].shape[-1], len(test["depth"])
    face = (fit["canonical_depth"] > 0).float().mean(dim=0) > 0.5
    mean = _mean_map(fit["canonical_depth"]).expand(count, -1, -1)
    points = geometry.transform(geometry.depth_to_points(mean, fov), test["pose"])
    pixels = geometry.points_to_pixels(points, size, fov)
    fragments = rasterize(pixels, size, face.expand(count, -1, -1))
    turned = geometry.rotate_normals(geometry.depth_to_normals(mean, fov), test["pose"])
    return fragments.depth, torch.nn.functional.normalize(interpolate(fragments, turned), dim=1)


def _mean_map(depth: Tensor) -> Tensor:
    """Mean over (N, S, S) where there is a surface; the largest mean where there never is."""
    present = depth > 0
    mean = depth.sum(dim=0) / present.sum(dim=0).clamp(min=1)
    return torch.where(present.any(dim=0), mean, mean.max())
