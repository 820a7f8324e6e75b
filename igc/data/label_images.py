"""Label maps as picture files: palette pictures whose pixels are the labels, and overlays to look at."""

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from igc.data.images import shown
from igc.errors import UserError

PART_COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
"""Tol's 'bright' scheme, safe for colour-blind readers: part m is always drawn in colour m (mod 6)."""

OVERLAY, STRENGTH = 256, 0.6
"""Least width of an overlay in pixels, and the share of the parts' colours in it."""


def label_image(labels: Tensor) -> Image.Image:
    """Labels (H, W), 0 to 255, as a palette picture: a pixel's value is its label. It is shown in the part's
    colour, the background in white."""
    image = Image.fromarray(labels.numpy().astype(np.uint8), mode="P")
    image.putpalette(_palette().tobytes())
    return image


def overlay(labels: Tensor, image: Tensor) -> Image.Image:
    """The picture (3, S, S) with its labels (S, S) laid over it, enlarged by a whole number."""
    times = -(-OVERLAY // labels.shape[-1])
    pixels, labels = image.clamp(0, 1).permute(1, 2, 0).numpy() * 255, labels.numpy()
    mixed = (1 - STRENGTH) * pixels + STRENGTH * _palette()[labels]
    shown = np.where(labels[..., None] > 0, mixed, pixels).round().astype(np.uint8)
    return Image.fromarray(shown.repeat(times, axis=0).repeat(times, axis=1))


def _palette() -> np.ndarray:
    """Colours (256, 3) uint8 of the labels: white, and then the parts' over and over."""
    parts = [list(bytes.fromhex(PART_COLOURS[part % len(PART_COLOURS)][1:])) for part in range(255)]
    return np.array([[255, 255, 255], *parts], np.uint8)


def save_image(image: Image.Image, folder: Path, path: Path) -> None:
    """Writes a PNG to `path` within `folder`. UserError if that cannot be done or a link leads out of it."""
    try:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise OSError(None, "a link leads out of it")
        image.save(folder / path)
    except OSError as error:
        raise UserError(
            f"'out' ({folder}) cannot take {shown(path)} ({error.strerror or error}): choose another."
        ) from error
