"""Measures of depth and normals beside SIDE and MAD: regions, what is left without tilt, and cover."""

import torch
from torch import Tensor

from igc import geometry
from igc.metrics import where_nothing_is


def surface_scores(
    depth: Tensor, normal: Tensor, truth: dict, face: Tensor, regions: dict[str, int]
) -> dict[str, float]:
    """`side_without_plane`, `covered` and, for each of `regions` (name: true label), `mad_NAME`.

    View depth (N, S, S), 0 where nothing is predicted, and unit normals (N, 3, S, S) are held against
    `truth` with depth, normal and labels, on the true `face` (N, S, S) bool. (All ours.)
    """
    filled, turned = where_nothing_is(depth, normal)
    cosine = (turned * truth["normal"]).sum(dim=1).clamp(-1, 1)
    angle = torch.rad2deg(cosine.acos())
    return {
        "side_without_plane": side_without_plane(filled, truth["depth"], face),
        **{f"mad_{name}": mean_by_image(angle, truth["labels"] == label) for name, label in regions.items()},
        "covered": float((depth > 0)[face].float().mean()),
    }


def side_without_plane(depth: Tensor, truth: Tensor, face: Tensor) -> float:
    """SIDE of what is left of d = log predicted - log true depth (N, S, S) once the plane in pixel
    coordinates that fits it best on `face` (N, S, S) is taken off: 100 times the standard deviation, mean
    over the images. So a face that is turned a little too far loses nothing, and its relief counts alone."""
    spread = []
    for found, true, inside in zip(depth, truth, face):
        if inside.sum() > 3:
            wrong = (found[inside].log() - true[inside].log()).double()
            spread.append(without_plane(wrong[None], inside).std(correction=0))
    return float(torch.stack(spread).mean()) * 100


def without_plane(values: Tensor, where: Tensor) -> Tensor:
    """Values (N, P) at the P pixels of `where` (S, S) bool, in rows, each less the plane
    a + b x + c y that fits it best (least squares)."""
    centres = geometry.pixel_centres(len(where), dtype=torch.float64)[where] / len(where) - 0.5
    plane, _ = torch.linalg.qr(torch.cat((torch.ones(len(centres), 1).double(), centres), dim=1))
    values = values.double()
    return values - values @ plane @ plane.T


def mean_by_image(values: Tensor, where: Tensor) -> float:
    """The mean of `values` (N, S, S) where `where` (N, S, S) is true, in each image that has such a pixel;
    the mean over these images. ValueError if there is none."""
    count = where.flatten(1).sum(dim=1)
    if not count.any():
        raise ValueError("no image shows what shall be averaged over")
    each = (values * where).flatten(1).sum(dim=1) / count
    return float(each[count > 0].mean())
