"""Lambertian light. A light is (ambient, diffuse, l): two weights and a unit direction l that points from
the surface to the light, so that a light behind the camera is l = (0, 0, -1). Frames are those of
`geometry`. The model's light is canonical: it turns with the face. The lamp of a drawn face stands in the
view; its truth is told in the canonical frame."""

import math

import torch
from torch import Tensor


def lambert(normal: Tensor, light: Tensor) -> Tensor:
    """Shading (B, 1, S, S) = ambient + diffuse * max(0, n . l), to be multiplied with the albedo.

    `normal` (B, 3, S, S) unit, `light` (B, 5), or (1, 5) for all. Both are in one frame, the canonical or
    the view's: the cosine is the same in either. Where the normal is zero there is ambient light only.
    ValueError for other shapes. (METHOD: Lambert, as in Unsup3D.)
    """
    if normal.dim() != 4 or normal.shape[1] != 3 or light.shape not in ((1, 5), (len(normal), 5)):
        shapes = f"{tuple(normal.shape)} and {tuple(light.shape)}"
        raise ValueError(f"normals and light must be (B, 3, H, W) and (B, 5), not {shapes}")
    ambient, diffuse, direction = light[:, 0], light[:, 1], light[:, 2:]
    cosine = (normal * direction[:, :, None, None]).sum(dim=1, keepdim=True).clamp(min=0)
    return ambient[:, None, None, None] + diffuse[:, None, None, None] * cosine


def light_direction(right: float, down: float) -> Tensor:
    """The unit direction (3,) to a light that stands `right` degrees to the right of the camera and `down`
    degrees below it, as seen from (0, 0, 1); (0, 0) is the camera's own place, l = (0, 0, -1)."""
    x, y = math.radians(right), math.radians(down)
    return torch.tensor([math.sin(x) * math.cos(y), math.sin(y), -math.cos(x) * math.cos(y)])
