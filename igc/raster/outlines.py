"""Outlines with a gradient: the pixels that an outline crosses are blended by the area covered.

A z-buffer decides at pixel centres; when an outline moves a little, nothing changes, and the gradient says
nothing. After Laine et al. 2020 (nvdiffrast's antialiasing), every place where an outline passes between two
neighbouring centres moves colour from one to the other, by the area that a straight outline would cover
there. Here outlines are found among all edges of the grid, not only those of the triangles that won a pixel:
at a limb the triangles are too thin to win any.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from igc.raster import Fragments

FAMILIES = {
    "rising": (
        ((0, 0), (0, 1), (1, 0), (-1, 1)),
        ((0, 0), (1, 0), (0, 1), (1, -1)),
        ((0, 1), (1, 0), (0, 0), (1, 1)),
    ),
    "falling": (
        ((0, 0), (0, 1), (1, 1), (-1, 0)),
        ((0, 0), (1, 0), (1, 1), (0, -1)),
        ((0, 0), (1, 1), (0, 1), (1, 0)),
    ),
}
"""The grid's edges to the right, down and across a cell, seen from a vertex: steps (rows, columns) to the
edge's two ends and to the third corners of the triangles on its two sides."""


class Crossings(NamedTuple):
    """Where outlines pass between two neighbouring pixel centres, K of them."""

    inner: Tensor
    """(K,) int64: the pixel on the surface's side, in the flattened (B, S, S) images."""
    outer: Tensor
    """(K,) int64: its neighbour beyond the outline."""
    reach: Tensor
    """(K,) in [0, 1]: how far from the inner centre to the outer one the surface goes; differentiable."""


def blend_outlines(
    image: Tensor, fragments: Fragments, vertices: Tensor, mask: Tensor | None = None, diagonal="rising"
) -> Tensor:
    """Images (B, C, S, S) with their outlines blended; the same size. The other arguments are those that
    `rasterize` was given, and what it returned. Gradients flow to `image` and to `vertices`."""
    found = crossings(fragments, vertices, mask, diagonal)
    pixels = image.movedim(1, -1).flatten(0, 2)
    inner, outer = pixels.index_select(0, found.inner), pixels.index_select(0, found.outer)
    beyond = found.reach - 0.5
    to_outer, to_inner = torch.where(beyond > 0, beyond, 0), torch.where(beyond > 0, 0, -beyond)
    change = torch.zeros_like(pixels)
    change = change.index_add(0, found.outer, to_outer[:, None] * (inner - outer))
    change = change.index_add(0, found.inner, to_inner[:, None] * (outer - inner))
    return image + change.unflatten(0, fragments.triangle.shape).movedim(-1, 1)


def crossings(
    fragments: Fragments, vertices: Tensor, mask: Tensor | None = None, diagonal="rising"
) -> Crossings:
    """All crossings of visible outlines with the lines between neighbouring pixel centres.

    An outline is an edge of the grid with a drawn triangle on one side only, or one that two triangles of
    opposite orientation share. Steep edges cross between columns, others between rows. Where several edges
    cross between the same two centres the outermost counts.
    """
    size = fragments.triangle.shape[-1]
    flat = vertices.reshape(-1, 3)
    with torch.no_grad():
        ends = _outline_edges(vertices, mask, diagonal)
        run = (flat[ends[1]] - flat[ends[0]]).abs()
        steep = run[:, 1] >= run[:, 0]
        first = steep.long()  # made on the device: a constant sent to a GPU makes the host wait
        along = torch.stack((first, 1 - first, torch.full_like(first, 2)), dim=1)
        edge, line = _crossed_lines(*(flat[end].gather(1, along[:, :1])[:, 0] for end in ends[:2]))
    # (u, v, z): u runs along the edge, y of a steep one and x of the others; v across it
    start, stop, third = (flat[end[edge]].gather(1, along[edge]) for end in ends)
    share = (line + 0.5 - start[:, 0]) / (stop[:, 0] - start[:, 0])
    place = start[:, 1] + share * (stop[:, 1] - start[:, 1])
    with torch.no_grad():
        depth = 1 / ((1 - share) / start[:, 2] + share / stop[:, 2])
        third_share = (third[:, 0] - start[:, 0]) / (stop[:, 0] - start[:, 0])
        ahead = third[:, 1] > start[:, 1] + third_share * (stop[:, 1] - start[:, 1])
        below = torch.where(ahead, (place - 0.5).ceil() - 1, (place - 0.5).floor()).long()
        inside = (below >= 0) & (below < size - 1) & (line >= 0) & (line < size)
        keep = inside.nonzero().squeeze(1)
        step = torch.where(steep[edge], 1, size)
        image = ends[0][edge] // (vertices.shape[1] * vertices.shape[2])
        inner = image * size**2 + line * torch.where(steep[edge], size, 1) + (below + ahead.long()) * step
        outer = inner + torch.where(ahead, -step, step)
        keep = keep[_visible(fragments, inner[keep], outer[keep], depth[keep])]
    reach = torch.where(ahead, -1, 1) * (place - (below + ahead.long() + 0.5))
    keep = keep[_outermost(inner[keep], outer[keep], reach[keep].detach(), fragments.triangle.numel())]
    return Crossings(inner[keep], outer[keep], reach[keep])


def _outline_edges(vertices: Tensor, mask: Tensor | None, diagonal: str) -> tuple[Tensor, Tensor, Tensor]:
    """First end, second end, and the third corner of a drawn triangle at every edge of the outline, as
    indices (E,) into the flattened vertices."""
    height, width = vertices.shape[1:3]
    x, y = vertices[..., 0].contiguous(), vertices[..., 1].contiguous()
    outlines, first_sides = [], []
    for family in FAMILIES[diagonal]:
        at_x, at_y = ([plane.roll((-i, -j), (1, 2)) for i, j in family] for plane in (x, y))
        run_x, run_y = at_x[1] - at_x[0], at_y[1] - at_y[0]
        drawn = _drawn(mask, family, height, width, vertices.device)
        sides = [
            (run_x * (at_y[k] - at_y[0]) - run_y * (at_x[k] - at_x[0])).sign() * drawn[k - 2] for k in (2, 3)
        ]
        outlines.append((sides[0] != -sides[1]).flatten())
        first_sides.append((sides[0] != 0).flatten())
    edge = torch.cat(outlines).nonzero().squeeze(1)  # of all families at once: a GPU makes the host wait here
    kind = edge // x.numel()
    vertex = edge - kind * x.numel()
    p, q, third, other = (vertex + step for step in _steps(diagonal, width, x.device)[:, kind])
    return p, q, torch.where(torch.cat(first_sides)[edge], third, other)


@lru_cache(maxsize=32)
def _steps(diagonal: str, width: int, device: torch.device) -> Tensor:
    """(4, 3) int64: the steps of `FAMILIES` in a grid `width` vertices wide, as differences of indices."""
    families = [[i * width + j for i, j in family] for family in FAMILIES[diagonal]]
    return torch.tensor(families, device=device).T.contiguous()


def _drawn(mask: Tensor | None, family: tuple, height: int, width: int, device) -> list[Tensor]:
    """Whether the triangles on the two sides of a family's edges exist and are drawn, (B or 1, H, W)."""
    row = torch.arange(height, device=device)[:, None]
    column = torch.arange(width, device=device)
    there = [
        (row + i >= 0) & (row + i < height) & (column + j >= 0) & (column + j < width) for i, j in family
    ]
    drawn = [(there[0] & there[1] & there[k])[None] for k in (2, 3)]
    if mask is None:
        return drawn
    corner = [mask.roll((-i, -j), (1, 2)) for i, j in family]
    return [part & (corner[0] | corner[1] | corner[k]) for part, k in zip(drawn, (2, 3), strict=True)]


def _crossed_lines(start: Tensor, stop: Tensor) -> tuple[Tensor, Tensor]:
    """The lines of pixel centres between `start` and `stop` (E,), in pixels: the edge's index and the number
    of the line, both (K,) int64. A centre at the lower end counts, one at the upper end does not."""
    first = (torch.minimum(start, stop) - 0.5).ceil()
    count = ((torch.maximum(start, stop) - 0.5).ceil() - first).long()
    edge = torch.repeat_interleave(count)
    begin = count.cumsum(0) - count
    within = torch.arange(len(edge), device=start.device) - begin[edge]
    return edge, first.long()[edge] + within


def _visible(fragments: Fragments, inner: Tensor, outer: Tensor, depth: Tensor) -> Tensor:
    """Whether the surface is seen at the inner pixel and the edge lies before what the outer one sees."""
    covered, seen = fragments.coverage.flatten(), fragments.depth.detach().flatten()
    return covered[inner] & (~covered[outer] | (depth < seen[outer]))


def _outermost(inner: Tensor, outer: Tensor, reach: Tensor, pixels: int) -> Tensor:
    """Indices of the crossings that reach farthest between their two pixels, one for each such pair."""
    pair, group = torch.unique(inner * pixels + outer, return_inverse=True)
    farthest = torch.zeros(len(pair), dtype=reach.dtype, device=reach.device)
    farthest.scatter_reduce_(0, group, reach, "amax", include_self=False)
    best = (reach == farthest[group]).nonzero().squeeze(1)
    first = torch.full((len(pair),), len(reach), device=reach.device)
    return first.scatter_reduce_(0, group[best], best, "amin")
