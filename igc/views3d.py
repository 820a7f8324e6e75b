"""3D views of faces and surfaces that turn, in a notebook and in the built book: what `viewer` shows.

A surface comes as a grid of camera-frame points (x right, y down, z forward; see the book's page on
conventions) that lie on the rays of a camera, one a pixel, as `geometry.depth_to_points` puts them. So a view
stores depths only, in 16 bits, the colours in 8 and the part in 8: below 60 kB of HTML for a face of 64x64.
All of this is ours.
"""

import base64

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter

from igc.capsules import one_hot_max
from igc.data.label_images import PART_COLOURS
from igc.errors import UserError
from igc.geometry import pixel_centres
from igc.model import IGCNet
from igc.outputs import Output
from igc.stills import still
from igc.viewer import STATE, FaceView
from igc.views import STRENGTHS, from_front, one_face, seen_parts

MARGIN = 2
"""Cells around a surface that are stored besides: its outline is smoothed, and lies between two vertices."""


SMOOTH = 1.2
"""Width in pixels of the blur of a head's relief: a network's depths come from a coarser grid, whose creases
would be all that one sees in a light from the side."""


def face_view(model: IGCNet, out: Output, item: int = 0, **begin) -> FaceView:
    """Face number `item` of `out`, canonical: turned, lit, coloured by part, pulled apart, in parts.

    `begin` holds what of `viewer.STATE` is different. IndexError where there is no such face, UserError where
    it is empty.
    """
    face = one_face(out, item)
    seen = seen_parts(model, face)
    shares = torch.cat((seen, ~seen.any(dim=1, keepdim=True)), dim=1).to(face.albedo)
    support = [] if face.support is None else [face.support]
    points, maps = from_front(model, face, torch.cat((face.albedo, shares, *support), dim=1))
    colours, shares, support = maps[0].tensor_split((3, 3 + shares.shape[1]))
    masks = one_hot_max(shares, dim=0)[:-1] > 0.5
    every = (len(masks), *points.shape[1:])
    names = [f"part {m + 1}" for m in range(len(masks))]
    colours = colours.movedim(0, -1).expand(every)
    support = support[0] if len(support) else None
    return parts_view(points.expand(every), colours, masks, names, support=support, **begin)


def surface_view(points, colours, mask=None, says: str = "A surface.", **begin) -> FaceView:
    """A coloured surface: `points` (S, S, 3) in the camera frame, `colours` (S, S, 3) in [0, 1], and `mask`
    (S, S), where given, true at the vertices that are part of it. Walls across a jump in depth are drawn
    dark: nobody saw them. `says` tells those who cannot see it what is shown. Tensors and arrays are both
    taken. Raises ValueError where shapes do not fit together or points are on no camera's rays, and UserError
    where there is nothing to show.
    """
    points = _array(points)
    mask = np.ones(points.shape[:-1], bool) if mask is None else _array(mask)
    return parts_view(points[None], _array(colours)[None], mask[None], ["surface"], says, smooth=0, **begin)


def parts_view(
    points, colours, masks, names, says: str | None = None, support=None,
    smooth: float = SMOOTH, **begin,
) -> FaceView:  # fmt: skip
    """The parts of a head, with a slider that pulls them apart, and a box for each that hides it.

    `points` (M, S, S, 3) in the camera frame, `colours` (M, S, S, 3) in [0, 1], `masks` (M, S, S) true at
    the vertices of each part; where masks overlap, the first counts. `names` are M strings. A part with an
    empty mask is left out. `support` (S, S), where given, is a smooth map that is positive on the face: it
    says to a fraction of a pixel where the face ends. `smooth` is the width of a blur of the relief, in
    pixels. Raises as `surface_view`.
    """
    points, colours, masks = _array(points), _array(colours), _array(masks).astype(bool)
    _check(points, colours, masks, names)
    masks &= np.isfinite(points).all(axis=-1)
    seen = [m for m in range(len(masks)) if (masks[m] & ~masks[:m].any(axis=0)).any()]
    if not _cells(masks.any(axis=0)).any():
        raise UserError(f"There is no surface to show in {', '.join(names)}: give a mask with more vertices.")
    labels = np.where(masks.any(axis=0), masks[seen].argmax(axis=0) + 1, 0)
    winner = np.maximum(labels - 1, 0)[None, ..., None]
    one, painted = (np.take_along_axis(values[seen], winner, axis=0)[0] for values in (points, colours))
    outline = _outline(labels > 0) if support is None else _distance(_array(support))
    face = _packed(one, painted, labels, outline)
    face["depth"] = gaussian_filter(face["depth"], smooth) if smooth else face["depth"]
    face["names"] = [names[m] for m in seen]
    face["tints"] = [PART_COLOURS[m % len(PART_COLOURS)] for m in seen]
    face["says"] = says or f"A face of {len(seen)} parts: {', '.join(face['names'])}."
    return FaceView(_stored(face), still(face, STATE | begin), **begin)


def _array(values) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().numpy()


def _check(points, colours, masks, names) -> None:
    """ValueError unless the arguments of `parts_view` fit together."""
    if points.ndim != 4 or points.shape[-1] != 3 or points.shape[1] != points.shape[2]:
        raise ValueError(f"points must be (..., S, S, 3), not {points.shape}")
    if colours.shape != points.shape or masks.shape != points.shape[:-1] or len(names) != len(points):
        raise ValueError(
            f"points {points.shape}, colours {colours.shape}, masks {masks.shape} and {len(names)} names "
            "do not fit together"
        )


def _cells(mask: np.ndarray) -> np.ndarray:
    """Where all four corners of a cell of the grid are in the mask."""
    return mask[1:, 1:] & mask[:-1, 1:] & mask[1:, :-1] & mask[:-1, :-1]


def _packed(points: np.ndarray, colours: np.ndarray, labels: np.ndarray, outline: np.ndarray) -> dict:
    """A face as `viewer.js` takes it, but with arrays in place of text: cut to what is seen.

    `depth` (h, w), `colours` (h, w, 3) in [0, 1] and `parts` (h, w), numbers from 1, go on around the face a
    little; `outline` (h, w) says where it ends: how many vertices inside, negative outside. `corner`: the
    first vertex (x, y) in pixels from the optical axis; `focal` in pixels; `spacing` of the vertices;
    `shifts`: how far each part moves at full pull.
    """
    seen = labels > 0
    depth, focal = points[..., 2], _focal(points, seen)
    spacing = float(np.median(depth[seen]) / focal)
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    cut = slice(rows[0], rows[-1] + 1 + 2 * MARGIN), slice(columns[0], columns[-1] + 1 + 2 * MARGIN)
    outline = np.minimum(np.pad(outline, MARGIN, mode="edge"), _within_frame(len(points)))[cut]
    depth, colours, parts = _continued(
        np.pad(depth, MARGIN)[cut], np.pad(colours, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))[cut],
        np.pad(labels, MARGIN)[cut], spacing,
    )  # fmt: skip
    first = (int(first[0]) - MARGIN + 0.5 - len(points) / 2 for first in (columns, rows))
    return {
        "shape": parts.shape, "corner": tuple(first), "focal": focal, "spacing": spacing, "depth": depth,
        "colours": np.clip(colours, 0, 1), "parts": parts, "outline": outline,
        "shifts": _pull_directions([points[labels == m] for m in range(1, labels.max() + 1)]),
        "strengths": STRENGTHS,
    }  # fmt: skip


def _within_frame(size: int) -> np.ndarray:
    """How far inside of a frame, which ends half a step beyond its `size` x `size` vertices, these and
    those of the margin are."""
    place = np.arange(-MARGIN, size + MARGIN) + 0.5
    place = np.minimum(place, size - place)
    return np.minimum(place[:, None], place)


def _distance(support: np.ndarray) -> np.ndarray:
    """How many vertices inside of the outline, where a smooth map (S, S) is 0, each vertex lies; nearby."""
    slope = np.hypot(*np.gradient(support))
    return support / np.maximum(slope, 1e-6 * np.abs(support).max() + 1e-12)


def _outline(mask: np.ndarray) -> np.ndarray:
    """The same for a mask, whose steps are smoothed."""
    mask = np.pad(mask, 1)
    signed = np.where(mask, distance_transform_edt(mask) - 0.5, 0.5 - distance_transform_edt(~mask))
    return gaussian_filter(np.clip(signed, -6, 6), 1.5)[1:-1, 1:-1]


def _focal(points: np.ndarray, seen: np.ndarray) -> float:
    """The focal length in pixels of the camera on whose rays `points` (S, S, 3) lie where they are seen."""
    size = points.shape[0]
    ray = (pixel_centres(size).numpy() - 0.5 * size)[seen] * points[seen][:, 2:]
    flat = points[seen][:, :2]
    focal = float((ray * ray).sum() / (ray * flat).sum())
    if not focal > 0 or np.abs(ray / focal - flat).max() > 0.01 * np.abs(points[seen][:, 2]).min() / focal:
        raise ValueError("points must lie on the rays of a camera, as geometry.depth_to_points puts them")
    return focal


def _continued(depth, colours, parts, spacing) -> tuple[np.ndarray, ...]:
    """Depth (h, w), colours (h, w, 3) and parts (h, w), filled in where there is no part (0): colour and
    part are those of the nearest vertex, and the depth goes on as it went there."""
    distance, nearest = distance_transform_edt(parts == 0, return_indices=True)
    here = np.stack(np.indices(parts.shape))
    mirrored = tuple(np.clip(2 * nearest - here, 0, np.array(parts.shape)[:, None, None] - 1))
    rim = depth[tuple(nearest)]
    slope = np.clip(rim - depth[mirrored], -4 * spacing, 4 * spacing)
    near = (distance <= 1.5 * MARGIN) & (parts[mirrored] > 0)
    return rim + slope * near, colours[tuple(nearest)], parts[tuple(nearest)]


def _pull_directions(parts: list[np.ndarray]) -> np.ndarray:
    """How far each part moves at full pull (M, 3): away from the head's centre, the nearest parts forward."""
    if len(parts) == 1:
        return np.zeros((1, 3))
    centres = np.stack([(part.min(0) + part.max(0)) / 2 for part in parts])
    head = np.concatenate(parts)
    shifts = 0.9 * (centres - (head.min(0) + head.max(0)) / 2)
    order = np.argsort(np.argsort(centres[:, 2]))
    shifts[:, 2] = 0.7 * np.ptp(head[:, 0]) * (order / (len(parts) - 1) - 0.5)
    return shifts


def _stored(face: dict) -> dict:
    """The face with text in place of arrays: depths as steps of `span` / 65535 from `near` on,
    distances from the outline as 128 and 60 for every vertex inside."""
    near, span = float(face["depth"].min()), float(max(np.ptp(face["depth"]), 1e-6))
    steps = np.rint((face["depth"] - near) / span * 65535).astype("<u2")
    maps = {
        "depth": steps, "colours": np.rint(255 * face["colours"]).astype(np.uint8),
        "parts": face["parts"].astype(np.uint8),
        "outline": np.rint(128 + 60 * np.clip(face["outline"], -2, 2)).astype(np.uint8),
    }  # fmt: skip
    texts = {name: base64.b64encode(values.tobytes()).decode() for name, values in maps.items()}
    numbers = {"near": near, "span": span, "shifts": np.round(face["shifts"], 5).tolist()}
    return face | numbers | texts | {"shape": list(face["shape"]), "corner": list(face["corner"])}
