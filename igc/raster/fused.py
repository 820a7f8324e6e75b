"""The z-buffer of `raster.grid` as one Triton kernel, for CUDA: the same triangles, without lists in memory.

The plain PyTorch path writes every pair of a cell and a pixel, and all that is computed of it, to memory.
Here a thread keeps its cell in registers, walks the pixels of the cell's box, and lowers the packed
(depth, index) of a pixel by an atomic minimum.

What has been checked: in Triton's interpreter on a CPU it gives exactly the triangles of `raster.grid`, and
compiled for a GPU its code has no fused multiply-add in the edges (`tests/raster/test_fused.py`). On an H100
(PyTorch 2.11) it ran and drew what the plain path draws; its time has not been compared there. GPUs differ:
the first use on every device draws a small batch both ways, and where the kernel fails or differs the plain
path is taken, with a warning.
"""

import importlib.util
import warnings
from functools import lru_cache

import torch
from torch import Tensor

from igc.raster import grid
from igc.raster.weights import snap

BLOCK = 32
"""Cells of one program: a warp, so that few threads wait for the one whose cell has the largest box."""


def usable(vertices: Tensor) -> bool:
    """Whether `visible_triangles` can draw these vertices: float32 on CUDA, where Triton is installed."""
    if not vertices.is_cuda or vertices.dtype != torch.float32:
        return False
    return importlib.util.find_spec("triton") is not None and _agrees(vertices.device)


def visible_triangles(
    vertices: Tensor, size: int, mask: Tensor | None = None, diagonal: str = "rising"
) -> Tensor:
    """Index of the nearest triangle at each pixel centre, (B, size, size) int64, -1 where there is none.

    The same as `grid.visible_triangles`, for float32 only: `vertices` (B, H, W, 3), x and y in pixels and the
    depth z > 0; `mask` (B, H, W) bool. Raises ModuleNotFoundError where Triton is not installed.
    """
    from igc.raster import zbuffer

    batch, height, width = vertices.shape[:3]
    places = snap(vertices[..., :2], size).contiguous()
    drawn = None if mask is None else grid.drawn_triangles(mask, diagonal).view(torch.uint8)
    nearest = torch.full((batch, size, size), torch.iinfo(torch.int64).max, device=vertices.device)
    total = batch * (height - 1) * (width - 1)
    with torch.cuda.device_of(vertices):
        zbuffer.draw_cells[(-(-total // BLOCK),)](
            places, vertices.contiguous(), drawn, nearest, *grid.cell_corners(width, diagonal),
            height, width, size, total, BLOCK=BLOCK, num_warps=BLOCK // 32, enable_fp_fusion=False,
        )  # fmt: skip
    return grid.unpack(nearest)


@lru_cache
def _agrees(device: torch.device) -> bool:
    """Whether the kernel runs on a device and draws a small random batch as the plain path does."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    flat = torch.stack((columns + 0.5, rows + 0.5, torch.ones(16, 16)), dim=-1)
    moved = flat + torch.rand(4, 16, 16, 3, generator=generator) * torch.tensor([3.0, 3.0, 1.0])
    vertices = torch.cat((flat[None], moved)).to(device)
    try:
        same = torch.equal(visible_triangles(vertices, 16), grid.visible_triangles(vertices, 16))
        reason = "it draws other triangles than the plain path"
    except Exception as error:  # a compiler that is missing, a GPU too old: the plain path does not need them
        same, reason = False, f"{type(error).__name__}: {error}"
    if not same:
        message = (
            f"the fused z-buffer is not used on {device}: {reason}; the plain path gives the same images"
        )
        warnings.warn(message, stacklevel=2)
    return same
