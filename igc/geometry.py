"""Camera, rigid motion, depth maps and normals: pure functions on tensors.

Frames (the book's page on conventions draws them): x points right, y down, z forward, away from the
camera, which sits at the origin. A *depth* is a z coordinate: the distance along the optical axis, not
along the ray. Depth 1.0 is where objects are centred, and the point (0, 0, 1) is what they turn about.
Image coordinates are pixels; pixel i covers [i, i+1), so that its centre is at i + 0.5. Angles are in
radians.
"""

import math

import torch
from torch import Tensor

CENTRE = (0.0, 0.0, 1.0)
"""The point that objects turn about (camera frame)."""


def focal_length(size: int, fov: float) -> float:
    """Focal length in pixels of a camera that sees `fov` radians across `size` pixels."""
    return 0.5 * size / math.tan(0.5 * fov)


def pixel_centres(size: int, device=None, dtype=torch.float32) -> Tensor:
    """Centres of the pixels of a square image: (size, size, 2), the last axis being (x, y) in pixels."""
    centres = torch.arange(size, device=device, dtype=dtype) + 0.5
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack((x, y), dim=-1)


def depth_to_points(depth: Tensor, fov: float) -> Tensor:
    """Lifts a depth map (..., S, S) to the camera-frame points (..., S, S, 3) at its pixel centres."""
    size = depth.shape[-1]
    ray = (pixel_centres(size, depth.device, depth.dtype) - 0.5 * size) / focal_length(size, fov)
    return torch.cat((ray * depth[..., None], depth[..., None]), dim=-1)


def points_to_pixels(points: Tensor, size: int, fov: float) -> Tensor:
    """Projects camera-frame points (..., 3) with z > 0 to (x, y) in pixels and z, their depth: (..., 3)."""
    xy = points[..., :2] / points[..., 2:] * focal_length(size, fov) + 0.5 * size
    return torch.cat((xy, points[..., 2:]), dim=-1)


def rotation_matrix(angles: Tensor) -> Tensor:
    """Rz(roll) Ry(yaw) Rx(pitch) as (..., 3, 3), from `angles` (..., 3) = pitch, yaw, roll in radians.

    With x right, y down and z forward: positive yaw moves the near side of an object to the image's left
    (Ry sends -z to -x), positive pitch moves it down, positive roll turns the image clockwise.
    """
    (cp, cy, cr), (sp, sy, sr) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = (
        torch.stack((cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp), dim=-1),
        torch.stack((sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp), dim=-1),
        torch.stack((-sy, cy * sp, cy * cp), dim=-1),
    )
    return torch.stack(rows, dim=-2)


def rotate(vectors: Tensor, angles: Tensor) -> Tensor:
    """Turns directions (B, ..., 3) by one triple of angles (B, 3) an item."""
    flat = vectors.reshape(vectors.shape[0], math.prod(vectors.shape[1:-1]), 3)
    return (flat @ rotation_matrix(angles).transpose(-1, -2)).reshape(vectors.shape)


def transform(points: Tensor, pose: Tensor) -> Tensor:
    """Moves canonical points (B, ..., 3) into the view: R (p - c) + c + t about c = (0, 0, 1).

    `pose` (B, 6) holds pitch, yaw, roll in radians and then the translation t.
    """
    centre = points.new_tensor(CENTRE)
    shift = (centre + pose[:, 3:]).reshape(-1, *[1] * (points.dim() - 2), 3)
    return rotate(points - centre, pose[:, :3]) + shift


def inverse_transform(points: Tensor, pose: Tensor) -> Tensor:
    """Undoes `transform`: view points (B, ..., 3) to canonical ones."""
    centre = points.new_tensor(CENTRE)
    shift = (centre + pose[:, 3:]).reshape(-1, *[1] * (points.dim() - 2), 3)
    flat = (points - shift).reshape(points.shape[0], -1, 3)
    return (flat @ rotation_matrix(pose[:, :3])).reshape(points.shape) + centre


def points_to_normals(points: Tensor) -> Tensor:
    """Unit normals (..., H, W, 3) of a surface given as a grid of points; they point towards the camera.

    Central differences inside, one-sided ones at the rim. The grid's columns must run to the right and
    its rows down, as those of a depth map do: then n = d(row) x d(column) has z < 0.
    """
    along_x, along_y = _differences(points, -2), _differences(points, -3)
    return torch.nn.functional.normalize(torch.linalg.cross(along_y, along_x), dim=-1, eps=1e-12)


def depth_to_normals(depth: Tensor, fov: float) -> Tensor:
    """Unit normals (..., 3, S, S) of a depth map (..., S, S), pointing towards the camera (z < 0)."""
    return points_to_normals(depth_to_points(depth, fov)).movedim(-1, -3)


def _differences(grid: Tensor, dim: int) -> Tensor:
    """Central differences along `dim`, one-sided at both ends; same shape as `grid`."""
    n = grid.shape[dim]
    ahead = torch.cat((grid.narrow(dim, 1, n - 1), grid.narrow(dim, n - 1, 1)), dim)
    behind = torch.cat((grid.narrow(dim, 0, 1), grid.narrow(dim, 0, n - 1)), dim)
    return ahead - behind
