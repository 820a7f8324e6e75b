"""An exact z-buffer in plain PyTorch that uses what is known of a grid: its triangles are small.

Every pair of a triangle and a pixel centre inside the triangle's bounding box is listed (about one and a
half a triangle for a depth map seen at its own resolution, as many as it takes for a stretched one: no
window that could be too small), tested against the three edges, and kept by one `scatter_reduce` with the
smallest (depth, index). Only the winner's weights are computed with gradients, by the caller.
"""

import torch
from torch import Tensor

EDGE = 3e-5
"""Pixel centres closer than this to an edge, in barycentric units, count as covered: neighbours overlap on
their common edge rather than leave a gap there."""


def triangle_corners(triangle: Tensor, width: int) -> Tensor:
    """Vertex indices (..., 3) of triangles (...) in a grid `width` vertices wide (see the package's page)."""
    cell, odd = triangle // 2, triangle % 2
    corner = cell + cell // (width - 1)
    first = torch.where(odd == 1, corner + width + 1, corner)
    second = torch.where(odd == 1, corner + width, corner + 1)
    third = torch.where(odd == 1, corner + 1, corner + width)
    return torch.stack((first, second, third), dim=-1)


def visible_triangles(vertices: Tensor, size: int, mask: Tensor | None = None) -> Tensor:
    """Index of the nearest triangle at each pixel centre, (B, size, size) int64, -1 where there is none."""
    batch = vertices.shape[0]
    corners = _corner_coordinates(vertices)
    item, count_x, count_y, first_x, first_y = _bounding_boxes(corners, size, mask)
    pair, pixel_x, pixel_y = _list_pairs(count_x, count_y, first_x, first_y)
    corners = corners.reshape(-1, 3, 3).index_select(0, item.index_select(0, pair))
    weights, depth = barycentric(corners, pixel_x + 0.5, pixel_y + 0.5)
    inside = ((weights.amin(dim=-1) >= -EDGE) & (depth > 0)).nonzero().squeeze(1)
    pair, pixel_x, pixel_y, depth = (part.index_select(0, inside) for part in (pair, pixel_x, pixel_y, depth))

    per_image = vertices[0, ..., 0].numel() and 2 * (vertices.shape[1] - 1) * (vertices.shape[2] - 1)
    image, triangle = item[pair] // per_image, item[pair] % per_image
    key = (depth.float().view(torch.int32).long() << 32) | triangle
    nearest = torch.full((batch * size * size,), torch.iinfo(torch.int64).max, device=vertices.device)
    nearest.scatter_reduce_(0, (image * size + pixel_y) * size + pixel_x, key, "amin")
    empty = nearest == torch.iinfo(torch.int64).max
    return torch.where(empty, -1, nearest & 0xFFFFFFFF).reshape(batch, size, size)


def barycentric(corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Perspective-correct weights (..., 3) and depth (...) at (x, y) in triangles (..., 3, 3).

    1/z is linear in the image, z is not: the image-plane weights are divided by the corners' depths.
    Triangles that are edge-on get weights -1 (never inside).
    """
    (x0, x1, x2), (y0, y1, y2), z = corners[..., 0].unbind(-1), corners[..., 1].unbind(-1), corners[..., 2]
    e0 = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
    e1 = (x0 - x2) * (y - y2) - (y0 - y2) * (x - x2)
    area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
    flat = area.abs() < 1e-9
    area = torch.where(flat, 1, area)
    linear = torch.stack((e0 / area, e1 / area, 1 - (e0 + e1) / area), dim=-1)
    inverse = linear / z
    depth = 1 / inverse.sum(dim=-1)
    return torch.where(flat[..., None], -1, inverse * depth[..., None]), depth


def _corner_coordinates(vertices: Tensor) -> Tensor:
    """(B, H, W, 3) vertices to (B, 2 (H-1) (W-1), 3 corners, 3), in the order of the package's page."""
    a, b = vertices[:, :-1, :-1], vertices[:, :-1, 1:]
    c, d = vertices[:, 1:, :-1], vertices[:, 1:, 1:]
    even, odd = torch.stack((a, b, c), dim=-2), torch.stack((d, c, b), dim=-2)
    return torch.stack((even, odd), dim=3).reshape(vertices.shape[0], -1, 3, 3)


def _bounding_boxes(corners: Tensor, size: int, mask: Tensor | None) -> tuple[Tensor, ...]:
    """Pixels whose centres the boxes of triangles (B, T, 3, 3) hold: indices of those that hold any,
    their numbers of columns and rows, and the first of each (all clipped to the image)."""
    first_corner, second, third = corners.unbind(dim=2)
    low = first_corner.minimum(second).minimum(third)
    high = first_corner.maximum(second).maximum(third)
    behind, low, high = low[..., 2] <= 0, low[..., :2], high[..., :2]
    bound = float(size)
    first = (low - 0.5 - 1e-4).clamp(-1, bound).ceil().clamp(min=0)
    last = (high - 0.5 + 1e-4).clamp(-1, bound).floor().clamp(max=size - 1)
    count = (last - first + 1).clamp(min=0)
    keep = (count[..., 0] * count[..., 1] > 0) & ~behind
    if mask is not None:
        drawn = _corner_coordinates(mask[..., None].expand(*mask.shape, 3))[..., 0].any(dim=-1)
        keep &= drawn
    item = keep.reshape(-1).nonzero().squeeze(1)
    first, count = first.reshape(-1, 2)[item].long(), count.reshape(-1, 2)[item].long()
    return item, count[:, 0], count[:, 1], first[:, 0], first[:, 1]


def _list_pairs(count_x: Tensor, count_y: Tensor, first_x: Tensor, first_y: Tensor) -> tuple[Tensor, ...]:
    """Every (box, pixel) pair: the box's position in the list, and the pixel's column and row."""
    count = count_x * count_y
    pair = torch.repeat_interleave(count)
    start = count.cumsum(0) - count
    within = torch.arange(pair.shape[0], device=pair.device) - start.index_select(0, pair)
    width = count_x.index_select(0, pair)
    row = within // width
    column = within - row * width
    return pair, first_x.index_select(0, pair) + column, first_y.index_select(0, pair) + row
