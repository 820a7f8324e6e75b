"""An exact z-buffer in plain PyTorch that uses what is known of a grid: its cells are small.

Every pair of a cell and a pixel centre inside the cell's bounding box is listed (about one and a half a cell
for a depth map seen at its own resolution, as many as it takes for a stretched one: no window that could be
too small). A pair is tested against both triangles of the cell, whose common edge is computed once, and the
nearest triangle of a pixel is kept by one `scatter_reduce` on (depth, index) in one integer.

Corners are taken relative to the pixel's centre before anything is multiplied. Then x1 y2 - y1 x2 changes
its sign exactly when an edge is walked the other way, so that two neighbours can neither both miss a centre
on their common edge nor need a tolerance there.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from igc.raster.weights import PerspectiveWeights, snap

DIAGONALS = ("rising", "falling")
"""Which way the two triangles of a cell meet: from its lower left to its upper right corner, or mirrored."""


def cell_corners(width: int, diagonal: str = "rising") -> tuple[int, int, int, int]:
    """Offsets a, b, c, d of a cell's corners from its first vertex in a grid `width` vertices wide: its
    triangles are (a, b, c) and (d, c, b)."""
    upper_left, upper_right, lower_left, lower_right = 0, 1, width, width + 1
    if diagonal == "rising":
        return upper_left, upper_right, lower_left, lower_right
    return upper_right, upper_left, lower_right, lower_left


def triangle_corners(triangle: Tensor, width: int, diagonal: str = "rising") -> Tensor:
    """Vertex indices (..., 3) of triangles (...) in a grid `width` vertices wide (see the package's page)."""
    cell, odd = triangle // 2, triangle % 2 == 1
    first = cell + cell // (width - 1)
    a, b, c, d = cell_corners(width, diagonal)
    return torch.stack(
        (first + torch.where(odd, d, a), first + torch.where(odd, c, b), first + torch.where(odd, b, c)),
        dim=-1,
    )


def drawn_triangles(mask: Tensor, diagonal: str = "rising") -> Tensor:
    """(2, B, H-1, W-1) bool: whether each first and each second triangle has a corner in `mask` (B, H, W)."""
    corner = mask[:, :-1, :-1], mask[:, :-1, 1:], mask[:, 1:, :-1], mask[:, 1:, 1:]
    a, b, c, d = (corner[k] for k in ((0, 1, 2, 3) if diagonal == "rising" else (1, 0, 3, 2)))
    return torch.stack((a | b | c, d | c | b))


def visible_triangles(
    vertices: Tensor, size: int, mask: Tensor | None = None, diagonal: str = "rising"
) -> Tensor:
    """Index of the nearest triangle at each pixel centre, (B, size, size) int64, -1 where there is none.

    `vertices` (B, H, W, 3): x and y in pixels and the depth z > 0; `mask` (B, H, W) bool.
    """
    batch, height, width = vertices.shape[:3]
    planes = vertices.movedim(-1, 0).clone(memory_format=torch.contiguous_format)
    planes[:2] = snap(planes[:2], size)
    x, y, z = planes.reshape(3, -1)
    drawn = None if mask is None else pad(drawn_triangles(mask, diagonal), (0, 1, 0, 1)).flatten(1)
    cell, at_x, at_y = _list_pairs(planes[:2], size, drawn)
    places = cell_corners(width, diagonal)
    xa, xb, xc, xd = (x[k:].index_select(0, cell).sub_(at_x) for k in places)
    ya, yb, yc, yd = (y[k:].index_select(0, cell).sub_(at_y) for k in places)
    ab, bc, ca = xa * yb - ya * xb, xb * yc - yb * xc, xc * ya - yc * xa
    bd, dc = xb * yd - yb * xd, xd * yc - yd * xc

    a, b, c, d = (z[k:] for k in places)
    number = torch.arange(height * width, device=vertices.device)
    number = 2 * (number - number // width)
    nearest = torch.full((batch * size * size,), torch.iinfo(torch.int64).max, device=vertices.device)
    for odd, (edges, corners) in enumerate((((bc, ca, ab), (a, b, c)), ((-bc, bd, dc), (d, c, b)))):
        inside = _inside(*edges)
        if drawn is not None:
            inside &= drawn[odd].index_select(0, cell)
        hit = where_true(inside)
        first = cell.index_select(0, hit)
        depth = _depth([e.index_select(0, hit) for e in edges], corners, first)
        image = first // (height * width)
        triangle = number.index_select(0, first - image * (height * width)) + odd
        key = (depth.float().view(torch.int32).long() << 32) | triangle
        pixel = (image * size + at_y.index_select(0, hit).long()) * size + at_x.index_select(0, hit).long()
        nearest.scatter_reduce_(0, pixel, key, "amin")
    return unpack(nearest).reshape(batch, size, size)


def unpack(nearest: Tensor) -> Tensor:
    """Indices of triangles from the keys that hold depth and index, in place; -1 for the largest key."""
    empty = nearest == torch.iinfo(torch.int64).max
    return nearest.bitwise_and_(0xFFFFFFFF).masked_fill_(empty, -1)


def where_true(flags: Tensor) -> Tensor:
    """Indices (N,) int64 at which `flags` (M,) bool is set; NumPy finds them several times faster."""
    if flags.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(flags.numpy()))
    return flags.nonzero().squeeze(1)


def _inside(e0: Tensor, e1: Tensor, e2: Tensor) -> Tensor:
    """Whether the pixel lies in the triangle: no two of its edges have it on different sides. A triangle
    seen edge-on (all three are 0) holds nothing. (Comparisons in place, of floats, are the fastest.)"""
    low, high = e0.minimum(e1).minimum(e2), e0.maximum(e1).maximum(e2)
    return low.ge_(0).ne_(high.le_(0)).bool()


def _depth(edges: list[Tensor], corners: tuple[Tensor, ...], first: Tensor) -> Tensor:
    """1 / z is linear in the image; the edges' values are the corners' weights, up to their sum."""
    e0, e1, e2 = edges
    z0, z1, z2 = (z.index_select(0, first) for z in corners)
    return (e0 + e1 + e2) / (e0 / z0 + e1 / z1 + e2 / z2)


def _list_pairs(plane: Tensor, size: int, drawn: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Every (cell, pixel) pair whose centre lies in the cell's box, boxes clipped to the image: the cell as
    the index of its first vertex in (B, H, W), and the x and y of the centre. `plane` (2, B, H, W): x and y;
    `drawn` (2, B H W): which cells' triangles are drawn, none in the last row and column."""
    batch, height, width = plane.shape[1:]
    flat = plane.flatten(1)
    low, high = flat[:, 1:].minimum(flat[:, :-1]), flat[:, 1:].maximum(flat[:, :-1])
    low, high = low[:, width:].minimum(low[:, :-width]), high[:, width:].maximum(high[:, :-width])
    first = low.sub_(0.5).clamp_(0, size).ceil_()
    count = high.sub_(0.5).clamp_(-1, size - 1).floor_().sub_(first).add_(1).clamp_(min=0)
    if drawn is None:
        shown = pad(plane.new_ones(height - 1, width - 1), (0, 1, 0, 1)).expand(batch, -1, -1).flatten()
    else:
        shown = drawn[0] | drawn[1]
    total = (count[0] * count[1] * shown[: count.shape[1]]).long()
    cell = torch.repeat_interleave(total)
    start = (total.cumsum(0) - total).index_select(0, cell)
    within = (torch.arange(len(cell), device=cell.device) - start).to(plane.dtype)
    wide = count[0].index_select(0, cell)
    row = (within / wide).floor_()
    column = within - row * wide
    left, top = first + 0.5
    return cell, column.add_(left.index_select(0, cell)), row.add_(top.index_select(0, cell))


def barycentric(corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Perspective-correct weights (N, 3) and depth (N,) at (x, y) (N,) in triangles (N, 3, 3), for readers
    that need no gradient."""
    places = torch.arange(3 * len(corners), device=corners.device).reshape(-1, 3)
    return PerspectiveWeights.apply(corners.reshape(-1, 3), places, x, y)
