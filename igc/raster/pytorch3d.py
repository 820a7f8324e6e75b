"""PyTorch3D's rasteriser behind the same interface, where it is installed: slower, and independent of ours.

Its screen has x to the left and y up, from 1 to -1 over the image; a pixel belongs to a triangle when its
centre lies strictly inside.
"""

import importlib.util
from functools import lru_cache

import torch
from torch import Tensor

from igc.raster import grid


def available() -> bool:
    """Whether PyTorch3D can be imported here."""
    return importlib.util.find_spec("pytorch3d") is not None


def rasterize(
    vertices: Tensor, size: int, mask: Tensor | None = None, diagonal: str = "rising"
) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest triangle (B, S, S), its depth (B, S, S) and weights (B, S, S, 3), both differentiable; -1
    where there is none. ModuleNotFoundError where PyTorch3D is not installed, ValueError for float64."""
    if not available():
        raise ModuleNotFoundError(
            "the backend 'pytorch3d' needs PyTorch3D, which is not installed: install it (environment.yml "
            "does), or use the backend 'grid'"
        )
    if vertices.dtype != torch.float32:
        raise ValueError(f"PyTorch3D takes float32 only, not {vertices.dtype}: use the backend 'grid'")
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    batch, height, width = vertices.shape[:3]
    triangles = _all_triangles(height, width, diagonal).to(vertices.device)
    drawn = torch.ones(batch, len(triangles), dtype=torch.bool, device=vertices.device)
    if mask is not None:
        drawn = grid.drawn_triangles(mask, diagonal).movedim(0, -1).reshape(batch, -1)
    xy = 1 - vertices[..., :2] * (2 / size)
    points = torch.cat((xy, vertices[..., 2:]), dim=-1).reshape(batch, -1, 3)
    kept = [d.nonzero().squeeze(1) for d in drawn]
    meshes = Meshes(list(points), [triangles.index_select(0, k) for k in kept])
    packed, depth, weights, _ = rasterize_meshes(
        meshes, image_size=size, blur_radius=0.0, faces_per_pixel=1, perspective_correct=True
    )
    triangle = torch.where(packed >= 0, torch.cat(kept)[packed.clamp(min=0)], -1)
    return triangle[..., 0], depth[..., 0], weights[..., 0, :]


@lru_cache(maxsize=8)
def _all_triangles(height: int, width: int, diagonal: str) -> Tensor:
    return grid.triangle_corners(torch.arange(2 * (height - 1) * (width - 1)), width, diagonal)
