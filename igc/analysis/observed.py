"""What a photograph shows where the capsules say to look: local shape and colour in the canonical frame.

A capsule's depth and pose tell where in the photograph each point of the canonical face lies. Its colour
there over the model's shading, in logarithms, is what the albedo would have to be (`look`). What differs
from the mean face, part by part, is then dealt out to the two cues (`fit_atlas`; all of it is ours):

- *Hue*: white light darkens a colour and leaves its hue, so that a change of hue is albedo.
- *Contrast*: brightness that strengthens or weakens the marks of the mean face, where they are, is albedo.
- Brightness that changes smoothly over the whole face is light, and so is overall brightness.
- Any other change of brightness, such as another shading, or marks where the mean face has none, is shape.

Grey paint that the mean face has no mark for therefore counts as shape, and a shape that moves a mark counts
as albedo as far as this looks like another contrast or hue. Nothing here is told who is who.
"""

from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy import ndarray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from igc import geometry, shading
from igc.model import IGCNet
from igc.outputs import Output

VERSION = "observed-1"
"""Of these features: what is recorded of another version cannot be compared."""
AXES = 32
"""Features of a component at most: principal axes."""
DARK, FACING, BEHIND = 0.01, 0.25, 0.02
"""Added to colours before their logarithm is taken; the least cosine between a surface that is trusted and
the line of sight; the depth by which a hidden point lies behind what is seen."""
MARKS, WINDOW, APART, CALM = 2.5, 4.0, 4, 0.02
"""Of the mean face's marks, in cells: the width of the blur that they stand out of, and the width and spacing
of the windows in which their contrast may change; the ridge that keeps these changes calm."""
SMOOTH = 5
"""Degree of the changes of brightness over the whole face that are left to the light."""


class Look(NamedTuple):
    """N photographs in the canonical frame, on cells of 2 x 2 pixels, s = S / 2."""

    colour: ndarray
    """(N, 3, s, s): logarithms of the photograph's colours over the shading; 0 where it is hidden"""
    seen: ndarray
    """(N, s, s) bool"""
    places: ndarray
    """(M, s, s): in what share of the faces each part is there, the same on both sides"""


class Basis(NamedTuple):
    """Of one component."""

    cells: ndarray
    """indices into s * s of the part's cells"""
    mean: ndarray
    axes: ndarray
    """(channels * cells, K), orthonormal: channels are brightness, then for albedo two of hue"""


class Atlas(NamedTuple):
    """The mean face, and the axes along which the parts' shape and albedo differ from it."""

    mean: ndarray
    """(3, s, s): brightness, and red and blue over green, in logarithms"""
    bases: dict
    """`Basis` by component"""

    def draw(self, component: tuple, features: ndarray) -> ndarray:
        """What features (N, K) of a component stand for: changes (N, 3, s, s) of the logarithms of red, green
        and blue in the canonical frame; linear."""
        basis, side = self.bases[component], self.mean.shape[-1]
        drawn = np.zeros((len(features), 3, side * side))
        rows = (features @ basis.axes.T).reshape(len(features), -1, len(basis.cells))
        drawn[:, : rows.shape[1], basis.cells] = rows
        bright, red, blue = drawn.reshape(-1, 3, side, side).transpose(1, 0, 2, 3)
        green = bright - (red + blue) / 3
        return np.stack((green + red, green, green + blue), axis=1)


def look(model: IGCNet, images: Tensor, out: Output) -> Look:
    """Brings `images` (B, 3, S, S), explained by `out`, to the canonical frame."""
    size = model.config.size
    points = geometry.transform(geometry.depth_to_points(out.depth, model.fov), out.pose)
    pixels = geometry.points_to_pixels(points, size, model.fov)
    place = 2 * pixels[..., :2] / size - 1
    colour = F.grid_sample(images, place, padding_mode="border", align_corners=False)
    front = F.grid_sample(out.view_depth[:, None], place, mode="nearest", align_corners=False)[:, 0]
    facing = -geometry.rotate_normals(out.normal, out.pose)[:, 2]
    trusted = (front > 0) & ((pixels[..., 2] - front).abs() < BEHIND) & (facing > FACING)
    shade = shading.lambert(out.normal, out.light).clamp(min=0.1)
    seen = trusted[:, None].float()
    share = F.avg_pool2d(seen, 2)
    found = F.avg_pool2d(((colour + DARK).log() - shade.log()) * seen, 2) / share.clamp(min=1e-3)
    found = found * (share > 0.5)
    places = F.avg_pool2d(out.parts.visibility[:, :-1], 2).sum(dim=0)
    return Look(found.cpu().numpy(), (share > 0.5)[:, 0].cpu().numpy(), places.cpu().numpy())


def joined_looks(looks: list[Look]) -> Look:
    """Looks at several batches as one."""
    colour, seen = (np.concatenate([getattr(each, name) for each in looks]) for name in ("colour", "seen"))
    places = sum(each.places for each in looks) / len(seen)
    return Look(colour, seen, (places + places[..., ::-1]) / 2)


def fit_atlas(looked: Look, fit: ndarray | None = None) -> tuple[Atlas, dict]:
    """The atlas, and the features (N, K) of every component; fitted without labels on the rows `fit`, or all.

    What is hidden is taken from the other side of the face, and where that is hidden too, from the mean.
    """
    fit = np.arange(len(looked.seen)) if fit is None else fit
    maps, mean = _differences(looked, fit)
    marks = 0.5 * (mean[0] + mean[0, :, ::-1])
    marks = marks - gaussian_filter(marks, MARKS)
    owner, face = looked.places.argmax(axis=0), looked.places.sum(axis=0) > 0.5
    bases, features = {}, {}
    for part in range(len(looked.places)):
        cells = np.flatnonzero((owner == part) & face)
        bright, *hues = maps.reshape(len(maps), 3, -1)[:, :, cells].transpose(1, 0, 2)
        contrast = bright @ _contrast(marks, cells)
        albedo = np.concatenate((contrast, *hues), axis=1)
        for cue, values in (("shape", bright - contrast), ("albedo", albedo)):
            bases[part, cue], features[part, cue] = _principal(values, fit, cells)
    return Atlas(mean, bases), features


def _differences(looked: Look, fit: ndarray) -> tuple[ndarray, ndarray]:
    """Differences (N, 3, s, s) from the mean face (3, s, s), both as brightness and hue."""
    red, green, blue = looked.colour.transpose(1, 0, 2, 3)
    maps = np.stack(((red + green + blue) / 3, red - green, blue - green), axis=1)
    seen = looked.seen[:, None].astype(maps.dtype)
    mean = maps[fit].sum(axis=0) / seen[fit].sum(axis=0).clip(min=1)
    maps = (maps - mean) * seen
    other, hidden = maps[..., ::-1], (1 - seen) * seen[..., ::-1]
    maps = maps + other * hidden
    maps[:, 0] = _evenly_lit(maps[:, 0], looked.places.sum(axis=0) > 0.5)
    return maps, mean


def _evenly_lit(bright: ndarray, face: ndarray) -> ndarray:
    """Brightness (N, s, s) without what changes smoothly over the whole `face` (s, s): polynomials of
    `SMOOTH` degrees in place, which is what an error of the light looks like."""
    y, x = (2 * at / len(face) - 1 for at in np.nonzero(face))
    terms = [x**i * y**j for i in range(SMOOTH + 1) for j in range(SMOOTH + 1 - i)]
    axes = np.linalg.qr(np.stack(terms, axis=1))[0]
    even = bright.copy()
    even[:, face] -= (bright[:, face] @ axes) @ axes.T
    return even


def _contrast(marks: ndarray, cells: ndarray) -> ndarray:
    """The projection (cells, cells) of brightness on local changes of the contrast of `marks` (s, s)."""
    side = len(marks)
    y, x = np.divmod(cells, side)
    middle = np.arange(1, side, APART)
    down, across = (np.exp(-((at[None] - middle[:, None]) ** 2) / (2 * WINDOW**2)) for at in (y, x))
    windows = (down[:, None] * across[None]).reshape(-1, len(cells)) * marks.ravel()[cells]
    windows = windows[np.linalg.norm(windows, axis=1) > CALM]
    return windows.T @ np.linalg.solve(windows @ windows.T + CALM * np.eye(len(windows)), windows)


def _principal(values: ndarray, fit: ndarray, cells: ndarray) -> tuple[Basis, ndarray]:
    """Principal axes of the rows `fit` of `values` (N, F), and all rows along them (N, K)."""
    if not len(cells):
        return Basis(cells, np.zeros(0), np.zeros((0, 0))), np.zeros((len(values), 0))
    mean = values[fit].mean(axis=0)
    centred = (values - mean).astype(float)
    count = min(AXES, values.shape[1], len(fit) - 1)
    _, axes = np.linalg.eigh(centred[fit].T @ centred[fit])
    axes = axes[:, : -count - 1 : -1]
    return Basis(cells, mean, axes), centred @ axes
