"""Lambertian light. A light is (ambient, diffuse, l): two weights and a unit direction l that points from
the surface to the light, so that a light behind the camera is l = (0, 0, -1)."""

from torch import Tensor


def lambert(normal: Tensor, light: Tensor) -> Tensor:
    """Shading (B, 1, S, S) = ambient + diffuse * max(0, n . l), to be multiplied with the albedo.

    `normal` (B, 3, S, S) unit, `light` (B, 5); both in the same frame (METHOD: Lambert, as in Unsup3D).
    """
    ambient, diffuse, direction = light[:, 0], light[:, 1], light[:, 2:]
    cosine = (normal * direction[:, :, None, None]).sum(dim=1, keepdim=True).clamp(min=0)
    return ambient[:, None, None, None] + diffuse[:, None, None, None] * cosine
