"""Own shape: whether a face's canonical relief departs from the mean face as its true one does."""

import torch
from torch import Tensor

from igc.metrics import correlation
from igc.surfaces import without_plane

COMMON = 0.9
"""Share of the validation people's pictures in which a canonical pixel must lie in the front of the face."""


def own_shape(fit_depth: Tensor, fit: dict, depth: Tensor, test: dict, face_parts: tuple[int, ...]) -> float:
    """Pearson's r, over test pictures and canonical pixels, of how predicted and true depth depart from their
    means over the test pictures.

    `fit_depth`, `depth` (N, S, S) are canonical depths predicted for the validation and the test people, 0
    where there is none; `fit`, `test` hold `canonical_depth` and, `fit`, `canonical_labels` (N, S, S). The
    pixels are those that are in `face_parts` in 90 % of the validation people's pictures. Each depth first
    loses its own plane over them, and predictions are brought to scale by one factor, fitted on the
    validation people: one below 0, of faces turned inside out, turns the sign of r. The frames are not
    aligned. 1 for the truth, 0 where all faces have one shape. ValueError if there is no such pixel. (Ours.)
    """
    where = common_pixels(fit["canonical_labels"], face_parts)
    known, found = reliefs(fit_depth, depth, where)
    fit_true, true = reliefs(fit["canonical_depth"], test["canonical_depth"], where)
    found = best_scale(known, fit_true) * found
    return correlation((found - found.mean(dim=0)).flatten(), (true - true.mean(dim=0)).flatten())


def common_pixels(labels: Tensor, face_parts: tuple[int, ...]) -> Tensor:
    """(S, S) bool: the canonical pixels that are in `face_parts` in 90 % of `labels` (N, S, S). ValueError if
    there are too few for a plane."""
    where = torch.isin(labels, torch.tensor(face_parts)).double().mean(dim=0) >= COMMON
    if where.sum() < 4:
        raise ValueError("no canonical pixel belongs to the front of nearly all faces")
    return where


def reliefs(fit_depth: Tensor, depth: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """The canonical depths (N, S, S) of validation and test people at the P pixels of `where`, (N, P) each,
    less the plane that fits each picture best. Where a picture has no depth (0) the mean of the validation
    people's stands in, at that pixel or, where they have none either, over all."""
    known, found = fit_depth[:, where].double(), depth[:, where].double()
    present = known > 0
    overall = known.sum() / present.sum().clamp(min=1)
    mean = torch.where(present.any(dim=0), known.sum(dim=0) / present.sum(dim=0).clamp(min=1), overall)
    return tuple(without_plane(torch.where(each > 0, each, mean), where) for each in (known, found))


def best_scale(found: Tensor, true: Tensor) -> float:
    """The factor s that makes the sum of squares of s `found` - `true` least; 1 where `found` is 0."""
    square = float((found * found).sum())
    return float((found * true).sum()) / square if square else 1.0
