"""What a photograph shows where the capsules say to look: local shape and colour in the canonical frame.

A capsule's depth and pose tell where in the photograph each point of the canonical face lies. Its colour
there over the model's shading, in logarithms, is what the albedo would have to be (`look`). What differs
from the mean face, part by part, is then dealt out to shape and albedo by whether it depends on the light
(`cues`), but for brightness that changes smoothly over the whole face, which is light itself. All of it is
ours. Nothing here is told who is who.
"""

from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor

from igc import geometry, shading
from igc.analysis import cues
from igc.model import IGCNet
from igc.outputs import Output

VERSION = "observed-5"
"""Of these features: what is recorded of another version cannot be compared."""
DARK, FACING, BEHIND = 0.01, 0.25, 0.02
"""Added to colours before their logarithm is taken; the least cosine between a surface that is trusted and
the line of sight; the depth by which a hidden point lies behind what is seen."""
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


class Atlas(NamedTuple):
    """The mean face, and how the parts' shape and albedo differ from it."""

    mean: ndarray
    """(3, s, s): brightness, and red and blue over green, in logarithms"""
    cells: list
    """of every part, indices into s * s"""
    patterns: dict
    """`cues.Patterns` by component"""

    def draw(self, component: tuple, features: ndarray, light: ndarray) -> ndarray:
        """What features (N, K) of a component stand for in lights (N, 5): changes (N, 3, s, s) of the
        logarithms of red, green and blue in the canonical frame; linear in the features."""
        side = self.mean.shape[-1]
        drawn = np.zeros((len(features), 3, side * side))
        changes = self.patterns[component].drawn(features, cues.slopes(light))
        drawn[:, :, self.cells[component[0]]] = changes
        bright, red, blue = drawn.reshape(-1, 3, side, side).transpose(1, 0, 2, 3)
        green = bright - (red + blue) / 3
        return np.stack((green + red, green, green + blue), axis=1)


def look(model: IGCNet, images: Tensor, out: Output) -> Look:
    """Brings `images` (B, 3, S, S), explained by `out`, to the canonical frame."""
    size = model.config.size
    points = geometry.transform(model.points(out.depth, out.shift), out.pose)
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


def fit_atlas(looked: Look, light: ndarray, fit: ndarray | None = None) -> tuple[Atlas, dict]:
    """The atlas, and the features (N, K) of every component, in lights (N, 5); fitted without labels on the
    rows `fit`, or all."""
    fit = np.arange(len(looked.seen)) if fit is None else fit
    maps, mean = _differences(looked, fit)
    owner, face = looked.places.argmax(axis=0), looked.places.sum(axis=0) > 0.5
    cells = [np.flatnonzero((owner == part) & face) for part in range(len(looked.places))]
    maps, seen = maps.reshape(len(maps), 3, -1), looked.seen.reshape(len(maps), -1)
    patterns, features = {}, {}
    for part, own in enumerate(cells):
        found = cues.separate(maps[:, :, own], seen[:, own], light, fit)
        for cue, (pattern, values) in found.items():
            patterns[part, cue], features[part, cue] = pattern, values
    return Atlas(mean, cells, patterns), features


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
