"""The Triton kernel behind `raster.fused`, which alone imports this module. It needs Triton.

All arithmetic is that of `raster.grid`, in its order, rounded after every operation: division to nearest
(`div_rn`), and launched with `enable_fp_fusion=False`, because a fused multiply-add would round x1 y2 and
y1 x2 differently and open gaps between neighbours.
"""

import triton
import triton.language as tl

NOTHING = tl.constexpr(2**63 - 1)
"""The key of a pixel that sees no triangle."""


@triton.jit
def draw_cells(
    places, vertices, drawn, nearest, a, b, c, d, height, width, size, total, BLOCK: tl.constexpr
):  # fmt: skip
    """Lowers `nearest` (B, size, size) int64 to (depth, triangle) wherever one of `total` cells is nearer.

    `places` (B, H, W, 2): x and y on the lattice; `vertices` (B, H, W, 3): for z; `drawn` (2, total) uint8 or
    None; `a` to `d`: what `grid.cell_corners` gives. A program takes BLOCK cells, each of which walks the
    pixels of its own box, however many: the loop ends with the largest box of the block.
    """
    cell = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = cell < total
    cells = (height - 1) * (width - 1)
    image = cell // cells
    within = cell - image * cells
    first = image * (height * width) + within + within // (width - 1)
    xa, ya, za = _corner(places, vertices, first + a, there)
    xb, yb, zb = _corner(places, vertices, first + b, there)
    xc, yc, zc = _corner(places, vertices, first + c, there)
    xd, yd, zd = _corner(places, vertices, first + d, there)
    even, odd = there, there
    if drawn is not None:
        even = tl.load(drawn + cell, mask=there, other=0) != 0
        odd = tl.load(drawn + total + cell, mask=there, other=0) != 0
    left, right = _span(xa, xb, xc, xd, size)
    top, bottom = _span(ya, yb, yc, yd, size)
    pixels = tl.maximum(right - left + 1, 0).to(tl.int32) * tl.maximum(bottom - top + 1, 0).to(tl.int32)
    pixels = tl.where(even | odd, pixels, 0)
    column, row = left, top
    step, most = 0, tl.max(pixels, axis=0)
    while step < most:
        at_x, at_y = column + 0.5, row + 0.5
        ax, bx, cx, dx = xa - at_x, xb - at_x, xc - at_x, xd - at_x
        ay, by, cy, dy = ya - at_y, yb - at_y, yc - at_y, yd - at_y
        ab, bc, ca = ax * by - ay * bx, bx * cy - by * cx, cx * ay - cy * ax
        bd, dc = bx * dy - by * dx, dx * cy - dy * cx
        key = tl.where(even & _inside(bc, ca, ab), _key(bc, ca, ab, za, zb, zc, 2 * within), NOTHING)
        other = tl.where(odd & _inside(-bc, bd, dc), _key(-bc, bd, dc, zd, zc, zb, 2 * within + 1), NOTHING)
        key = tl.minimum(key, other)
        pixel = (image * size + row.to(tl.int64)) * size + column.to(tl.int64)
        tl.atomic_min(nearest + pixel, key, mask=(step < pixels) & (key != NOTHING), sem="relaxed")
        end = column == right
        column, row = tl.where(end, left, column + 1), tl.where(end, row + 1, row)
        step += 1


@triton.jit
def _corner(places, vertices, vertex, there):
    """x, y and z of vertices."""
    x = tl.load(places + 2 * vertex, mask=there, other=0.0)
    y = tl.load(places + 2 * vertex + 1, mask=there, other=0.0)
    return x, y, tl.load(vertices + 3 * vertex + 2, mask=there, other=1.0)


@triton.jit
def _span(p, q, r, s, size):
    """The first and the last column (or row) of pixels whose centres lie between four corners."""
    low = tl.minimum(tl.minimum(p, q), tl.minimum(r, s)) - 0.5
    high = tl.maximum(tl.maximum(p, q), tl.maximum(r, s)) - 0.5
    first = tl.ceil(tl.minimum(tl.maximum(low, 0.0), size))
    return first, tl.floor(tl.minimum(tl.maximum(high, -1.0), size - 1))


@triton.jit
def _inside(e0, e1, e2):
    """Whether no two edges have the pixel on different sides, and not all three are 0."""
    left = (e0 >= 0) & (e1 >= 0) & (e2 >= 0) & ((e0 > 0) | (e1 > 0) | (e2 > 0))
    right = (e0 <= 0) & (e1 <= 0) & (e2 <= 0) & ((e0 < 0) | (e1 < 0) | (e2 < 0))
    return left | right


@triton.jit
def _key(e0, e1, e2, z0, z1, z2, triangle):
    """The bits of the depth above those of the triangle's index: positive floats sort as integers do."""
    over = tl.div_rn(e0, z0) + tl.div_rn(e1, z1) + tl.div_rn(e2, z2)
    depth = tl.div_rn(e0 + e1 + e2, over)
    return (depth.to(tl.int32, bitcast=True).to(tl.int64) << 32) | triangle
