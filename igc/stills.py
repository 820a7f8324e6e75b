"""The still picture that stands for a 3D view where nothing turns: before its script has run, on paper, and
where there is no WebGL. It shows what the view shows when it starts. Ours."""

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from igc.geometry import CENTRE, points_to_normals, rotate
from igc.raster import interpolate, rasterize
from igc.shading import lambert, light_direction

WIDTH, HEIGHT = 540, 360
"""Of the picture, in pixels."""
FINER = 3
"""Vertices in the picture for each of the face's, along an axis; samples a pixel are 2 x 2."""


def still(face: dict, state: dict) -> bytes:
    """A WebP, transparent around the face, of what `views3d` packed, in the given `viewer.STATE`."""
    depth, colours = (_finer(torch.as_tensor(face[name]).float()) for name in ("depth", "colours"))
    labels = _finer_labels(torch.as_tensor(face["parts"]).long(), len(face["names"]))
    inside = _finer(torch.as_tensor(face["outline"]).float().clamp(-2, 2))[0] > 0
    x0, y0 = face["corner"]
    rays = [start + torch.arange(n) / FINER for start, n in ((y0, depth.shape[1]), (x0, depth.shape[2]))]
    y, x = torch.meshgrid(*rays, indexing="ij")
    points = torch.stack((x / face["focal"], y / face["focal"], torch.ones_like(x)), -1) * depth[0, ..., None]
    shade = _shade(points, face["strengths"], state)
    if state["colour"] != "albedo":
        colours = torch.ones_like(colours) * 0.83
    nearest = torch.full((2 * WIDTH, 2 * WIDTH), math.inf)
    drawn = torch.zeros(4, *nearest.shape)
    for number, shift in enumerate(torch.as_tensor(face["shifts"]).float()):
        if number in state["hidden"]:
            continue
        tint = _tint(face["tints"][number]) if state["colour"] == "part" else colours
        lit = F.pad(tint * shade, (0, 0, 0, 0, 0, 1), value=1.0)
        pixels = _seen(points + state["apart"] * shift, face, state)
        fragments = rasterize(pixels[None], 2 * WIDTH, (inside & (labels == number + 1))[None])
        front = fragments.coverage[0] & (fragments.depth[0] < nearest)
        nearest = torch.where(front, fragments.depth[0], nearest)
        drawn = torch.where(front, interpolate(fragments, lit[None])[0], drawn)
    return _webp(drawn)


def _finer(values: Tensor) -> Tensor:
    """A map (h, w) or (h, w, C) with `FINER` vertices for each of its own: (C, h', w')."""
    maps = values[None, None] if values.dim() == 2 else values.movedim(-1, 0)[None]
    size = [FINER * (n - 1) + 1 for n in maps.shape[-2:]]
    return F.interpolate(maps, size=size, mode="bicubic", align_corners=True)[0]


def _finer_labels(labels: Tensor, parts: int) -> Tensor:
    """Labels (h', w') with smooth outlines, from labels (h, w)."""
    maps = F.one_hot(labels - 1, parts).movedim(-1, 0).float()[None]
    soft = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return _finer(soft[0].movedim(0, -1)).argmax(dim=0) + 1


def _shade(points: Tensor, strengths: tuple[float, float], state: dict) -> Tensor:
    """Lambert's shading (h', w') of a grid of points in the light of `state`."""
    light = torch.cat((torch.tensor(strengths), light_direction(state["light_x"], state["light_y"])))
    return lambert(points_to_normals(points).movedim(-1, 0)[None], light[None])[0, 0]


def _tint(colour: str) -> Tensor:
    """A colour "#rrggbb" as (3, 1, 1) in [0, 1]."""
    return torch.tensor(list(bytes.fromhex(colour[1:]))).float()[:, None, None] / 255


def _seen(points: Tensor, face: dict, state: dict) -> Tensor:
    """Pixels and depth (h', w', 3) of canonical points, turned as `state` says; `fitting` in viewer.js."""
    angles = torch.deg2rad(torch.tensor([[state["pitch"], state["yaw"], 0.0]]))
    centre = torch.tensor(CENTRE)
    turned = rotate((points - centre)[None], angles)[0] + centre
    across, top, bottom = _extent(face, state["apart"])
    lens = 0.92 * min(WIDTH / HEIGHT / across, 2 / (bottom - top)) * (1 - across) * HEIGHT
    middle = torch.tensor((0.0, (top + bottom) / 2))
    return torch.cat(((turned[..., :2] / turned[..., 2:] - middle) * lens + WIDTH, turned[..., 2:]), dim=-1)


def _extent(face: dict, apart: float) -> tuple[float, float, float]:
    """How far the parts reach to any side of the axis that the head turns about, and to where up and down."""
    rows, columns = np.indices(face["shape"])
    rays = (face["corner"][0] + columns, face["corner"][1] + rows, face["focal"])
    places = np.stack([ray * face["depth"] / face["focal"] for ray in rays], axis=-1) - CENTRE
    across, low, high = 0.0, [], []
    for number, shift in enumerate(np.asarray(face["shifts"])):
        mine = places[(face["parts"] == number + 1) & (face["outline"] > 0)] + apart * shift
        low, high = [*low, mine.min(axis=0)], [*high, mine.max(axis=0)]
    for x, _, z in (*low, *high):
        across = max(across, float(np.hypot(x, 0.7 * z)))
    return across, float(np.min(low, axis=0)[1]), float(np.max(high, axis=0)[1])


def _webp(drawn: Tensor) -> bytes:
    """(4, 2 WIDTH, 2 WIDTH) in [0, 1] as a WebP of WIDTH x HEIGHT: the middle of it, half as large."""
    pixels = (drawn.clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()
    rim = WIDTH - HEIGHT
    image = Image.fromarray(pixels[rim : 2 * WIDTH - rim]).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=80)
    return buffer.getvalue()
