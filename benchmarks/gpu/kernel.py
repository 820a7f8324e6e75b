"""The fused z-buffer against the plain path on the same device and on a CPU: triangles, values, gradients,
and the time of both.

Triangles must be the same ones, to the last pixel. Values and gradients of a whole drawing are compared with
those of a CPU; they are sums in another order, so that they differ by rounding.
"""

import importlib.util
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.gpu import SEED, Findings, Place, apart, median_ms
from benchmarks.raster import posed_grids
from igc.raster import Fragments, covered, fused, grid, interpolate, rasterize
from igc.raster.outlines import blend_outlines
from igc.raster.weights import PerspectiveWeights

VALUES, GRADIENTS = 1e-5, 1e-3
"""The largest differences from a CPU that are let pass, over the largest value and gradient."""

Search = Callable[..., Tensor]
"""`visible_triangles`, of `fused` or of `grid`."""


def run(found: Findings, place: Place) -> None:
    kernel = place.device == "cuda" or importlib.util.find_spec("triton") is not None
    found.note(
        kernel=("compiled" if not place.tiny else "interpreted") if kernel else "none: plain with plain"
    )
    search = fused.visible_triangles if kernel else grid.visible_triangles
    sizes, batch = ((8,), 2) if place.tiny else ((64, 128), 8)
    if not place.tiny:
        vertices = posed_grids(64, 2, place.device)
        found.check("the kernel is taken where it can be", fused.usable(vertices))
    for size in sizes:
        same_triangles(found, search, size, batch, place.device)
    for size in sizes:
        same_drawing(found, search, size, batch, place.device)
    size, batches = (8, (2,)) if place.tiny else (64, (16, 64))
    for batch in batches:
        both_times(found, search, size, batch, place)


def grids(size: int, batch: int) -> Iterator[tuple[str, Tensor]]:
    """Names and vertices (B, H, W, 3) on a CPU: turned heads, such ones that reach beyond the image on all
    sides, folded surfaces with centres on edges and ties in depth, and a single cell over everything."""
    posed = posed_grids(size, batch, "cpu")
    yield "turned", posed
    scale, shift = torch.tensor([1.7, 1.7, 1.0]), torch.tensor([0.4 * size, 0.3 * size, 0.0])
    yield "clipped", posed * scale - shift
    generator = torch.Generator().manual_seed(SEED)
    thrown = torch.rand(batch, size, size, 3, generator=generator) * torch.tensor([6.0, 6.0, 1.0])
    flat = torch.zeros(batch, size, size, 3)
    flat[..., 0], flat[..., 1] = torch.arange(size), torch.arange(size)[:, None]
    yield "folded", ((flat + thrown) * 4).round() / 4 - torch.tensor([3.0, 3.0, -1.0])
    huge = [[[-900.0, -800.0, 1.0], [4000.0, -3.0, 2.0]], [[-5.0, 700.0, 3.0], [90.0, 95.0, 1.0]]]
    yield "one cell", torch.tensor(huge)[None].repeat(batch, 1, 1, 1)


def masks(vertices: Tensor) -> Iterator[tuple[str, Tensor | None]]:
    """No mask, one that leaves out half of the vertices and one that leaves nearly all of them out."""
    yield "all", None
    generator = torch.Generator().manual_seed(SEED)
    share = torch.rand(vertices.shape[:3], generator=generator)
    yield "half", share < 0.5
    yield "few", share < 0.02


def same_triangles(found: Findings, search: Search, size: int, batch: int, device: str) -> None:
    """How many pixels differ from the plain path here and from that on a CPU, over all grids and masks."""
    wrong = {"pixels": 0, "covered": 0, "differ_here": 0, "differ_from_cpu": 0}
    for kind, vertices in grids(size, batch):
        for held, mask in masks(vertices):
            for diagonal in grid.DIAGONALS:
                here = vertices.to(device), size, None if mask is None else mask.to(device), diagonal
                drawn, plain = search(*here), grid.visible_triangles(*here)
                cpu = grid.visible_triangles(vertices, size, mask, diagonal)
                differ = int((drawn != plain).sum()), int((drawn.cpu() != cpu).sum())
                if any(differ):
                    name = f"{kind}, {held}, {diagonal}, {size} pixels"
                    found.row("unlike", name, {"differ_here": differ[0], "differ_from_cpu": differ[1]})
                add = cpu.numel(), int((cpu >= 0).sum()), *differ
                wrong = {key: value + more for (key, value), more in zip(wrong.items(), add, strict=True)}
    found.row("triangles", f"{size} pixels", wrong)
    found.check(f"at {size} pixels all triangles are those of the plain path", not wrong["differ_here"])
    found.check(f"at {size} pixels all triangles are those of a CPU", not wrong["differ_from_cpu"])


def seen(search: Search, vertices: Tensor, size: int, mask: Tensor | None = None) -> Fragments:
    """What `rasterize` does, with a search of one's choice."""
    with torch.no_grad():
        triangle = search(vertices, size, mask)
        pixel, corners = covered(triangle, vertices, "rising")
        within = pixel % (size * size)
        x, y = ((each.to(vertices.dtype) + 0.5) for each in (within % size, within // size))
    weights, depth = PerspectiveWeights.apply(vertices.reshape(-1, 3), corners, x, y)
    whole = vertices.new_zeros(triangle.numel()).index_copy(0, pixel, depth).reshape(triangle.shape)
    return Fragments(triangle, whole, pixel, corners, weights)


def drawing(fragments: Fragments, vertices: Tensor, attributes: Tensor, mask: Tensor | None) -> Tensor:
    """The attributes as they are seen, with outlines blended, and last the depth: (B, C+1, S, S)."""
    image = blend_outlines(interpolate(fragments, attributes), fragments, vertices, mask)
    return torch.cat((image, fragments.depth[:, None]), dim=1)


def values_and_gradients(vertices: Tensor, attributes: Tensor, mask: Tensor, size: int, way: Tensor) -> tuple:
    """The drawing by `rasterize`, and how it changes along `way` with vertices and attributes."""
    vertices, attributes = vertices.clone().requires_grad_(), attributes.clone().requires_grad_()
    image = drawing(rasterize(vertices, size, mask), vertices, attributes, mask)
    return image, *torch.autograd.grad((image * way).sum(), (vertices, attributes))


def same_drawing(found: Findings, search: Search, size: int, batch: int, device: str) -> None:
    """Values and gradients here beside those of a CPU, in single precision."""
    generator = torch.Generator().manual_seed(SEED)
    vertices = posed_grids(size, batch, "cpu")
    attributes = torch.rand(batch, 4, size, size, generator=generator)
    way = torch.rand(batch, 5, size, size, generator=generator) - 0.5
    mask = torch.rand(batch, size, size, generator=generator) < 0.7
    there = values_and_gradients(vertices, attributes, mask, size, way)
    moved = (each.to(device) for each in (vertices, attributes, mask))
    here = values_and_gradients(*moved, size, way.to(device))
    names = "values", "gradients of vertices", "gradients of attributes"
    for name, value, reference, most in zip(names, here, there, (VALUES, GRADIENTS, GRADIENTS), strict=True):
        differ = apart(value, reference)
        found.row("drawing", f"{name}, {size} pixels", {**differ, "tolerance": most})
        found.check(f"at {size} pixels the {name} are a CPU's within {most:g}", differ["relative"] <= most)
    one, other = (f(vertices.to(device), size) for f in (rasterize, lambda *a: seen(search, *a)))
    alike = all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    found.check(f"at {size} pixels what is timed gives what the package draws", alike)


def both_times(found: Findings, search: Search, size: int, batch: int, place: Place) -> None:
    """Milliseconds a batch of both searches: alone, with the whole drawing, and with its backward pass."""
    vertices = posed_grids(size, batch, place.device).requires_grad_()
    attributes = torch.rand(batch, 16, size, size, device=place.device)
    few = {"warm": 1, "least": 2, "seconds": 0.0} if place.tiny else {}
    for name, chosen in (("fused", search), ("plain", grid.visible_triangles)):

        def forward(chosen=chosen) -> Tensor:
            return drawing(seen(chosen, vertices, size), vertices, attributes, None)

        bare = vertices.detach()
        row = {
            "search_ms": median_ms(lambda chosen=chosen, bare=bare: chosen(bare, size), place.device, **few),
            "forward_ms": median_ms(forward, place.device, **few),
            "both_ms": median_ms(lambda forward=forward: forward().sum().backward(), place.device, **few),
        }
        found.row("times", f"{name}, batch {batch}, {size} pixels", row)
