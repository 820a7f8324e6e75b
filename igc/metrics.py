"""The protocol: how good parts, depth, pose, light and outlines are, held against ground truth.

Everything that is fitted (the landmark regression, the map between the two pose frames) is fitted on the
validation people and applied to the test people. 'Face' pixels are those whose true label is a face part.
All of it is ours, following the measures of Unsup3D (SIDE, MAD) and of the unsupervised-parts literature.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from igc import geometry
from igc.geometry import focal_length

OUTER_EYES = (36, 45)
"""Landmarks whose distance in 3D is the unit of the landmark error."""


def part_scores(labels: Tensor, truth: Tensor, face_parts: tuple[int, ...]) -> dict[str, float]:
    """NMI, ARI and IoU of predicted `labels` (N, S, S), 0 the background, with `truth` (N, S, S).

    Over the pixels whose truth is in `face_parts`, pooled; a predicted background counts as one more
    label. IoU is the mean over true labels after one-to-one matching; an unmatched one counts 0.
    """
    where = torch.isin(truth, torch.tensor(face_parts))
    predicted, true = labels[where].numpy(), truth[where].numpy()
    if not len(true):
        raise ValueError("no pixel of the truth belongs to a face part")
    table = contingency_matrix(true, predicted)
    union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
    overlap = table / union
    rows, columns = linear_sum_assignment(-overlap)
    return {
        "nmi": float(normalized_mutual_info_score(true, predicted)),
        "ari": float(adjusted_rand_score(true, predicted)),
        "iou": float(overlap[rows, columns].sum() / len(table)),
    }


def centroids(labels: Tensor, parts: int) -> np.ndarray:
    """Centres of the parts 1..M of `labels` (N, S, S): (N, M, 2) in pixels, NaN for an absent part."""
    masks = torch.stack([labels == part + 1 for part in range(parts)], dim=1).double()
    area = masks.sum(dim=(2, 3))
    axis = torch.arange(labels.shape[-1]).double() + 0.5
    x, y = (masks * axis).sum(dim=(2, 3)) / area, (masks * axis[:, None]).sum(dim=(2, 3)) / area
    return torch.stack((x, y), dim=-1).numpy()


def landmark_error(
    fit: dict, fit_labels: Tensor, test: dict, test_labels: Tensor, parts: int, fov: float
) -> float:
    """NME: mean distance of landmarks predicted from part centroids by ridge regression, over the distance
    of the outer eye corners in 3D (in pixels, not foreshortened). Visible landmarks only.

    `fit` and `test` are batches with landmarks (N, 68, 2), landmarks_visible (N, 68), landmarks_3d
    (N, 68, 3). An absent part takes its mean centroid.
    """
    known = centroids(fit_labels, parts)
    seen = np.maximum((~np.isnan(known)).sum(axis=0), 1)
    mean = np.nan_to_num(known).sum(axis=0) / seen
    inputs, unseen = (
        np.where(np.isnan(c), mean, c).reshape(len(c), -1) for c in (known, centroids(test_labels, parts))
    )
    corners = test["landmarks_3d"][:, list(OUTER_EYES)].double()
    unit = (corners[:, 0] - corners[:, 1]).norm(dim=-1) * focal_length(test_labels.shape[-1], fov)
    errors = []
    for k in range(test["landmarks"].shape[1]):
        seen, wanted = fit["landmarks_visible"][:, k].numpy(), test["landmarks_visible"][:, k].numpy()
        if seen.sum() < 10 or not wanted.any():
            continue
        model = make_pipeline(StandardScaler(), Ridge(alpha=1.0))
        model.fit(inputs[seen], fit["landmarks"][:, k].numpy()[seen])
        distance = np.linalg.norm(
            model.predict(unseen[wanted]) - test["landmarks"][:, k].numpy()[wanted], axis=1
        )
        errors.append(distance / unit.numpy()[wanted])
    return float(np.concatenate(errors).mean())


def depth_scores(depth: Tensor, normal: Tensor, truth: dict, face: Tensor) -> dict[str, float]:
    """SIDE, MAD and the relief ratio of view depth (N, S, S) and normals (N, 3, S, S) on `face` (N, S, S).

    SIDE = 100 sqrt(mean(d^2) - mean(d)^2) with d = log predicted - log true depth, an image; MAD is the mean
    angle between normals in degrees. The relief ratio is the standard deviation of predicted over true depth.
    Where nothing is predicted (depth 0) the largest depth predicted in the image stands in, and a normal
    towards the camera.
    """
    filled, normal = where_nothing_is(depth, normal)
    cosine = (normal * truth["normal"]).sum(dim=1).clamp(-1, 1)
    side, angle, relief = [], [], []
    for i in range(len(depth)):
        inside = face[i]
        if inside.sum() < 2:
            continue
        predicted, true = filled[i][inside], truth["depth"][i][inside]
        side.append((predicted.log() - true.log()).double().std(correction=0))
        angle.append(torch.rad2deg(cosine[i][inside].acos()).mean())
        relief.append(predicted.std() / true.std().clamp(min=1e-9))
    return {
        "side": float(torch.stack(side).mean()) * 100,
        "mad": float(torch.stack(angle).mean()),
        "relief_ratio": float(torch.stack(relief).mean()),
    }


def where_nothing_is(depth: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """View depth (N, S, S) and normals (N, 3, S, S) without gaps: where nothing is predicted (depth 0) the
    largest depth predicted in the image stands in, and a normal towards the camera."""
    missing = depth <= 0
    filled = torch.where(missing, depth.flatten(1).amax(dim=1).clamp(min=1e-3)[:, None, None], depth)
    towards = torch.tensor([0.0, 0.0, -1.0])[:, None, None]
    return filled, torch.where(missing[:, None], towards, normal)


def pose_scores(fit_pose: Tensor, fit_truth: Tensor, pose: Tensor, truth: Tensor) -> dict[str, float]:
    """Errors of pitch, yaw and roll in degrees after one linear map fitted on (fit_pose, fit_truth), the
    correlations before it, and the slope of predicted on true yaw. All (N, 3 or more) in radians."""
    line = LinearRegression().fit(fit_pose[:, :3].numpy(), fit_truth[:, :3].numpy())
    wrong = np.degrees(np.abs(line.predict(pose[:, :3].numpy()) - truth[:, :3].numpy())).mean(axis=0)
    scores = {}
    for i, name in enumerate(("pitch", "yaw", "roll")):
        scores[f"{name}_error"] = float(wrong[i])
        scores[f"{name}_correlation"] = correlation(pose[:, i], truth[:, i])
    scores["yaw_slope"] = float(np.polyfit(truth[:, 1].numpy(), pose[:, 1].numpy(), 1)[0])
    return scores


def light_scores(light: Tensor, truth: Tensor) -> dict[str, float]:
    """Correlations of the light direction's x and y; lights (N, 5)."""
    return {f"light_{axis}": correlation(light[:, 2 + i], truth[:, 2 + i]) for i, axis in enumerate("xy")}


def turning_consistency(
    first: dict,
    second: dict,
    labels: tuple[Tensor, Tensor],
    face_parts: tuple[int, ...],
    fov: float,
    tolerance: float = 2.0,
) -> float:
    """ARI between the predicted labels (N, S, S) of the same surface points in two pictures of one head each.

    `first` and `second` hold the true view depth (N, S, S), labels (N, S, S) and pose (N, 6) of the same
    heads in two poses; `labels` are those predicted for the two. Points are the pixels of one picture whose
    truth is in `face_parts`; each is carried to the other picture by the true poses. Both directions and all
    heads are pooled, so that parts which swap in some turns and not in others are not taken as consistent.
    A point is visible in the other picture where that one's depth, at the pixel that the point falls into,
    agrees with the point's depth to `tolerance` widths of a pixel: within half a pixel a surface inclined by
    75 degrees changes its depth by about that much, and a nose stands before the cheek that it hides by
    several times as much. 0 where all points have one label in a picture (scikit-learn says 1): that is no
    evidence, as any labels would agree. True labels score below 1, as pixels are as coarse as they are.
    ValueError if no point is visible twice. (The measure is ours.)
    """
    here, there = [], []
    for (a, b), (found, other) in (((first, second), labels), ((second, first), labels[::-1])):
        face = torch.isin(a["labels"], torch.tensor(face_parts))
        where, seen = _same_points(a, b, fov, tolerance)
        seen &= face
        here.append(found[seen])
        there.append(other.flatten(1).gather(1, where.flatten(1)).view_as(where)[seen])
    here, there = torch.cat(here).numpy(), torch.cat(there).numpy()
    if not len(here):
        raise ValueError("no point of a face is visible in both pictures")
    if (here == here[0]).all() or (there == there[0]).all():
        return 0.0
    return float(adjusted_rand_score(here, there))


def _same_points(first: dict, second: dict, fov: float, tolerance: float) -> tuple[Tensor, Tensor]:
    """Where the surface seen at every pixel of `first` lies in `second`, as flat indices of pixels (N, S, S),
    and whether it is visible there."""
    size = first["depth"].shape[-1]
    points = geometry.inverse_transform(geometry.depth_to_points(first["depth"], fov), first["pose"])
    pixels = geometry.points_to_pixels(geometry.transform(points, second["pose"]), size, fov)
    at = pixels[..., :2].floor().long()
    inside = ((at >= 0) & (at < size)).all(dim=-1) & (first["depth"] > 0)
    x, y = at.clamp(0, size - 1).unbind(-1)
    where = y * size + x
    depth = second["depth"].flatten(1).gather(1, where.flatten(1)).view_as(where)
    near = (depth - pixels[..., 2]).abs() <= tolerance / focal_length(size, fov)
    return where, inside & near & (depth > 0)


def outline_scores(labels: Tensor, truth: Tensor) -> dict[str, float]:
    """Share of pixels rightly told face from background, and the IoU of the foreground; labels (N, S, S)."""
    predicted, true = labels > 0, truth > 0
    return {
        "silhouette": float((predicted == true).float().mean()),
        "foreground_iou": float((predicted & true).sum() / (predicted | true).sum().clamp(min=1)),
    }


def parts_alive(labels: Tensor, parts: int) -> int:
    """How many parts cover over 1 % of the (predicted) face in at least 95 % of the images (N, S, S)."""
    face = (labels > 0).flatten(1).sum(dim=1).clamp(min=1)
    share = torch.stack([(labels == part + 1).flatten(1).sum(dim=1) / face for part in range(parts)])
    return int(((share > 0.01).float().mean(dim=1) >= 0.95).sum())


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's, 0 where one of the two is constant."""
    if a.std() < 1e-12 or b.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(a.numpy(), b.numpy())[0, 1])
