"""Figures that explain how a grid of depths becomes an image: triangles over pixels, why the nearest wins,
what an outline's gradient is, and two rasterisers side by side. All of it is ours."""

import math

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch import Tensor

from igc import geometry, raster
from igc.figures import depth_picture, grid, panels, picture
from igc.raster.grid import drawn_triangles, triangle_corners
from igc.raster.outlines import blend_outlines

BLUE, RED, GREY = "#4477AA", "#EE6677", "#7d8790"


def coarse_face(
    depth: Tensor, face: Tensor, pose: Tensor, fov: float, step: int = 4
) -> tuple[Tensor, Tensor]:
    """Vertices (1, h, w, 3) and mask (1, h, w) of a face (S, S) thinned to every `step`-th vertex and seen at
    `pose` (6,), in pixels of an image S / `step` wide: few enough triangles to be drawn one by one."""
    size = depth.shape[-1]
    points = geometry.transform(geometry.depth_to_points(depth[None], fov), pose[None])
    pixels = geometry.points_to_pixels(points, size // step, fov)
    return pixels[:, step // 2 :: step, step // 2 :: step], face[None, step // 2 :: step, step // 2 :: step]


def triangles_to_pixels(vertices: Tensor, mask: Tensor, size: int) -> Figure:
    """Three steps of the z-buffer for one grid (1, h, w, 3): the triangles over the pixels' centres, the
    triangle that every centre sees, and its depth read there."""
    fragments = raster.rasterize(vertices, size, mask)
    corners = triangle_corners(torch.arange(drawn_triangles(mask)[:, 0].numel()), vertices.shape[2])
    drawn = drawn_triangles(mask)[:, 0].movedim(0, -1).flatten()
    places = vertices[0].reshape(-1, 3)[corners[drawn]].detach()
    nearest_last = places[places[..., 2].mean(1).argsort(descending=True)]
    figure, (axes,) = panels(1, 3, (8.4, 2.9))
    y, x = np.mgrid[:size, :size] + 0.5
    seen = fragments.coverage[0].numpy()
    depth = depth_picture(fragments.depth[0], fragments.coverage[0])
    axes[1].imshow(_speckle(fragments.triangle[0]), extent=(0, size, size, 0))
    axes[2].imshow(depth, extent=(0, size, size, 0))
    for axis, edge in zip(axes, (GREY, "#00000050", "none")):
        fill = "#ffffffc0" if axis is axes[0] else "none"
        axis.add_collection(
            PolyCollection(nearest_last[..., :2].numpy(), facecolors=fill, edgecolors=edge, lw=0.5)
        )
    axes[0].plot(x[seen], y[seen], ".", color=BLUE, ms=3)
    axes[0].plot(x[~seen], y[~seen], ".", color=RED, ms=2, alpha=0.5)
    for axis, title in zip(
        axes, ("triangles, and pixel centres", "the triangle each sees", "its depth there")
    ):
        axis.set(xlim=(0, size), ylim=(size, 0), aspect="equal", xticks=[], yticks=[])
        axis.set_title(title, fontsize=9)
    return figure


def nearest_wins(vertices: Tensor, mask: Tensor, colour: Tensor) -> Figure:
    """A face (1, S, S, 3) of colours (1, 3, S, S), drawn with the z-buffer, and as if triangles were painted
    one over the other from the grid's right to its left, whatever their depth."""
    size = vertices.shape[1]
    order = torch.linspace(0.5, 1.0, size).expand(1, size, size)
    painted = torch.cat((vertices[..., :2], order[..., None]), dim=-1)
    drawn = [_on_white(raster.rasterize(v, size, mask), colour) for v in (vertices, painted)]
    return grid([drawn], ["the nearest wins", "the last painted wins"], side=2.2)


def outline_gradient(depth: Tensor, face: Tensor, pose: Tensor, fov: float, degrees: float = 1.0) -> Figure:
    """What changes in the covered area when a face (S, S) at `pose` (6,) turns by one degree of yaw: for
    pixels that are covered or not, for blended outlines, and in truth (256 samples a pixel)."""
    size, shift = depth.shape[-1], torch.zeros(6)
    shift[1] = math.radians(degrees) / 2
    before, after = (_coverages(depth, face, p, fov, size) for p in (pose - shift, pose + shift))
    now = _coverages(depth, face, pose, fov, size)
    figure, axes = panels(2, 3, (7.2, 4.9))
    for j, title in enumerate(("pixel centres", "outlines blended", "256 samples a pixel")):
        axes[0, j].imshow(now[j], cmap="Greys", vmin=0, vmax=1.4, interpolation="nearest")
        axes[1, j].imshow(after[j] - before[j], cmap="RdBu_r", vmin=-0.25, vmax=0.25, interpolation="nearest")
        axes[0, j].set_title(title, fontsize=9)
        for axis in axes[:, j]:
            axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("covered", fontsize=9)
    axes[1, 0].set_ylabel("change in one degree of yaw", fontsize=9)
    return figure


def backends(vertices: Tensor, mask: Tensor, colour: Tensor) -> Figure:
    """The same face (1, S, S, 3) by every backend that is installed here, and where their depths differ."""
    size, names = vertices.shape[1], ["grid", *(["pytorch3d"] if raster.pytorch3d.available() else [])]
    found = [raster.rasterize(vertices, size, mask, backend=name) for name in names]
    row = [_on_white(fragments, colour) for fragments in found]
    titles = [f'"{name}"' for name in names]
    if len(found) > 1:
        differ = (found[0].depth - found[1].depth)[0].abs().detach() * 1e6
        row.append(np.repeat(differ.clamp(0, 1).numpy()[..., None], 3, axis=-1))
        titles.append("difference × 10⁶")
    return grid([row], titles, side=2.2)


def _on_white(fragments: raster.Fragments, colour: Tensor) -> np.ndarray:
    drawn = raster.interpolate(fragments, colour)[0]
    return picture(torch.where(fragments.coverage[0], drawn, 1.0))


def _speckle(triangle: Tensor) -> np.ndarray:
    """A colour for every triangle, unlike those of its neighbours; white where there is none."""
    colours = np.random.default_rng(3).uniform(0.25, 0.95, (int(triangle.max()) + 2, 3))
    colours[-1] = 1.0
    return colours[triangle.numpy()]


def _coverages(depth: Tensor, face: Tensor, pose: Tensor, fov: float, size: int) -> list[np.ndarray]:
    points = geometry.transform(geometry.depth_to_points(depth[None], fov), pose[None])
    vertices, mask = geometry.points_to_pixels(points, size, fov), face[None]
    fragments = raster.rasterize(vertices, size, mask)
    hard = fragments.coverage[:, None].float()
    fine = vertices * vertices.new_tensor((16, 16, 1))
    samples = raster.rasterize(fine, 16 * size, mask).coverage[:, None].float()
    shown = hard, blend_outlines(hard, fragments, vertices, mask), torch.nn.functional.avg_pool2d(samples, 16)
    return [image[0, 0].detach().numpy() for image in shown]
