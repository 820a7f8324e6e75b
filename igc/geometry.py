"""Camera, rigid motion, depth maps and normals: pure functions on tensors.

Frames (the book's page on conventions draws them): x points right, y down, z forward, away from the
camera, which sits at the origin. A *depth* is a z coordinate: the distance along the optical axis, not
along the ray. Depth 1.0 is where objects are centred, and the point (0, 0, 1) is what they turn about.
Image coordinates are pixels; pixel i covers [i, i+1), so that its centre is at i + 0.5. Angles are in
radians. *Canonical* is the frame of the face seen from the front; a pose takes it to the *view*, the frame
of the picture; both have these axes. All functions take any floating type and device, and are differentiable.
"""

import math

import torch
from torch import Tensor

CENTRE = (0.0, 0.0, 1.0)
"""The point that objects turn about (camera frame)."""


def focal_length(size: int, fov: float) -> float:
    """Focal length in pixels of a camera that sees `fov` radians across `size` pixels.

    ValueError unless 0 < fov < pi.
    """
    if not 0 < fov < math.pi:
        raise ValueError(f"the field of view must lie between 0 and pi radians, not at {fov}")
    return 0.5 * size / math.tan(0.5 * fov)


def zoomed(fov: float, zoom: float) -> float:
    """The field of view in radians in which everything looks `zoom` times as large as in `fov`.

    It is the lens that changes, not the distance: the picture is scaled about its middle and its
    perspective stays as it is. ValueError unless zoom > 0.
    """
    if not zoom > 0:
        raise ValueError(f"the zoom must be above 0, not {zoom}")
    return 2 * math.atan(math.tan(0.5 * fov) / zoom)


def pixel_centres(size: int, device=None, dtype=torch.float32) -> Tensor:
    """Centres of the pixels of a square image: (size, size, 2), the last axis being (x, y) in pixels."""
    centres = torch.arange(size, device=device, dtype=dtype) + 0.5
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack((x, y), dim=-1)


def depth_to_points(depth: Tensor, fov: float) -> Tensor:
    """Lifts a depth map (..., S, S) to the camera-frame points (..., S, S, 3) at its pixel centres.

    `points_to_pixels` takes them back to the pixel centres and their depths. ValueError unless the map
    is square.
    """
    size = depth.shape[-1]
    if depth.dim() < 2 or depth.shape[-2] != size:
        raise ValueError(f"a depth map must have shape (..., S, S), not {tuple(depth.shape)}")
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


def matrix_to_angles(matrix: Tensor) -> Tensor:
    """The inverse of `rotation_matrix`: (..., 3, 3) to pitch, yaw, roll (..., 3) in radians.

    Of the two triples that make a rotation it is the one with yaw in [-pi/2, pi/2]; pitch and roll lie in
    [-pi, pi]. At yaw = +-pi/2 (gimbal lock) only roll -+ pitch is determined: roll is then what rounding
    leaves of it, 0 in an exact matrix, and the pitch, which is read off after the roll is undone, makes
    up for it. So the angles always give the matrix back; only there they have no gradient.
    ValueError for another shape. (Ours.)
    """
    if matrix.shape[-2:] != (3, 3):
        raise ValueError(f"rotations must have shape (..., 3, 3), not {tuple(matrix.shape)}")
    first, second, third = matrix.unbind(-2)
    roll = torch.atan2(second[..., 0], first[..., 0])
    cos, sin = roll.cos()[..., None], roll.sin()[..., None]
    along, across = cos * first + sin * second, cos * second - sin * first  # the rows of Ry Rx
    yaw = torch.atan2(-third[..., 0], along[..., 0])
    return torch.stack((torch.atan2(-across[..., 2], across[..., 1]), yaw, roll), dim=-1)


def rotate(vectors: Tensor, angles: Tensor, back: bool = False) -> Tensor:
    """Turns directions (B, ..., 3) by one triple of angles (B, 3) an item: canonical ones into the view, or,
    with `back`, those of the view into the canonical frame. One triple (1, 3) serves all items."""
    _check_items(vectors, angles, 3)
    flat = vectors.reshape(vectors.shape[0], math.prod(vectors.shape[1:-1]), 3)
    matrix = rotation_matrix(angles)
    return (flat @ (matrix if back else matrix.transpose(-1, -2))).reshape(vectors.shape)


def rotate_normals(normal: Tensor, pose: Tensor, back: bool = False) -> Tensor:
    """Turns normal maps (B, 3, H, W) from the canonical frame into that of the view from `pose` (B, 6), or,
    with `back`, the other way. It is the vectors that turn: each stays at its place in the map."""
    return rotate(normal.movedim(1, -1), pose[:, :3], back).movedim(-1, 1)


def transform(points: Tensor, pose: Tensor) -> Tensor:
    """Moves canonical points (B, ..., 3) into the view: R (p - c) + c + t about c = (0, 0, 1).

    `pose` (B, 6) holds pitch, yaw, roll in radians and then the translation t; one pose (1, 6) serves
    all items. ValueError where shapes do not fit together.
    """
    _check_items(points, pose, 6)
    centre, shift = _centre_and_shift(points, pose)
    return rotate(points - centre, pose[:, :3]) + shift


def inverse_transform(points: Tensor, pose: Tensor) -> Tensor:
    """Undoes `transform`: view points (B, ..., 3) to canonical ones."""
    _check_items(points, pose, 6)
    centre, shift = _centre_and_shift(points, pose)
    return rotate(points - shift, pose[:, :3], back=True) + centre


def turned_about(pose: Tensor, offset: Tensor) -> Tensor:
    """The poses (B, 6) about (0, 0, 1) that move points as `pose` (B, 6) does about (0, 0, 1) + `offset`
    (3,)."""
    centre = offset.expand(len(pose), 1, 3)
    back = centre - rotate(centre, pose[:, :3])
    return torch.cat((pose[:, :3], pose[:, 3:] + back[:, 0]), dim=1)


def points_to_normals(points: Tensor) -> Tensor:
    """Unit normals (..., H, W, 3) of a surface given as a grid of points; they point towards the camera.

    Central differences inside, one-sided ones at the rim. The grid's columns must run to the right and
    its rows down, as those of a depth map do: then n = d(row) x d(column) has z < 0.
    """
    along_x, along_y = _differences(points, -2), _differences(points, -3)
    return torch.nn.functional.normalize(torch.linalg.cross(along_y, along_x), dim=-1, eps=1e-12)


def depth_to_normals(depth: Tensor, fov: float) -> Tensor:
    """Unit normals (..., 3, S, S) of a depth map (..., S, S), in the frame of the map: those of a canonical
    depth are canonical, those of a view depth are in the view. They point towards the camera."""
    return points_to_normals(depth_to_points(depth, fov)).movedim(-1, -3)


def _check_items(vectors: Tensor, numbers: Tensor, count: int) -> None:
    """ValueError unless `vectors` are (B, ..., 3) and `numbers` are (B, count) or (1, count)."""
    fits = vectors.dim() > 1 and vectors.shape[-1] == 3 and numbers.shape[1:] == (count,)
    if not fits or len(numbers) not in (1, len(vectors)):
        shapes = f"{tuple(vectors.shape)} and {tuple(numbers.shape)}"
        raise ValueError(f"shapes must be (B, ..., 3) and (B, {count}), not {shapes}")


def _centre_and_shift(points: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
    """The centre of the turn (3,), and where it lies in the view, (B, 1, ..., 3)."""
    centre = points.new_tensor(CENTRE)
    return centre, (centre + pose[:, 3:]).reshape(-1, *[1] * (points.dim() - 2), 3)


def _differences(grid: Tensor, dim: int) -> Tensor:
    """Central differences along `dim`, one-sided at both ends; same shape as `grid`."""
    n = grid.shape[dim]
    ahead = torch.cat((grid.narrow(dim, 1, n - 1), grid.narrow(dim, n - 1, 1)), dim)
    behind = torch.cat((grid.narrow(dim, 0, 1), grid.narrow(dim, 0, n - 1)), dim)
    return ahead - behind
