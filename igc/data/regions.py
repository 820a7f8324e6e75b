"""The regions of a face, fixed before any training: what can be told apart by its colour or by its relief.

A region ends where an edge of colour can be seen (hair, brows, lips) or where the relief can be felt to turn
(the rims of the eye sockets, the sides of the nose, the groove under the lower lip, the edge of the jaw).
The data card says how the list was chosen.
"""

import numpy as np
from numpy import ndarray

from igc.data.heads import Parameters, ear_place, mouth_half, nose_width, step
from igc.data.landmarks import brow_line
from igc.data.paint import lip_edges

LABELS = (
    "background", "forehead", "brows and eyes", "nose", "lips", "cheeks", "chin and jaw", "hair", "ears",
    "neck",
)  # fmt: skip
FACE_PARTS = (1, 2, 3, 4, 5, 6)
"""Labels that count as parts of the face: those of its front, without hair, ears and neck."""


def labels(p: Parameters, surface: ndarray) -> ndarray:
    """Labels (N,) int64 (see LABELS), none of them 0, at surface coordinates (5, N).

    Later ones win: cheeks (with the upper lip's skin); chin and jaw; forehead; brows and eyes; nose; lips;
    neck (and what is behind the ears); ears; hair.
    """
    x, y, phi, hair, jaw = surface
    side, angle = np.abs(x), np.abs(phi)
    out = np.full(len(x), 5, np.int64)
    out[_chin_and_jaw(p, side, y, jaw)] = 6
    top = brow_line(p, side.clip(max=p.eye_x + 2.2)) - p.brow_thick - 0.15
    temple = 0.9 * (side - p.eye_x - 2.2).clip(0)
    out[(y < np.minimum(top + temple, p.eye_y)) | ((side < 1.5) & (y < p.eye_y - 0.9))] = 1
    out[_brows_and_eyes(p, side, y, top)] = 2
    out[_nose(p, side, y)] = 3
    upper, lower = lip_edges(p, side)
    out[(side < 0.97 * mouth_half(p)) & (y > upper) & (y < lower)] = 4
    out[(jaw < 0) | (angle > 1.75)] = 9
    out[ear_place(p, angle, y) < 0.9] = 8
    out[hair > 0] = 7
    return out


def _brows_and_eyes(p: Parameters, side: ndarray, y: ndarray, top: ndarray) -> ndarray:
    """From the upper edge of the brow down to the lower rim of the socket, whose relief it follows."""
    bottom = p.eye_y + 1.45
    middle = 0.5 * (top + bottom)
    across = (side - p.eye_x - 0.1) * (1 / 2.65)
    down = (y - middle) / (bottom - middle)
    return (across**4 < 1) & (across * across * across * across + down**4 < 1)


def _nose(p: Parameters, side: ndarray, y: ndarray) -> ndarray:
    """The ridge as far as it stands out by a fifth of its height, and the wings."""
    ridge = (side < 1.5 * nose_width(p, y)[0]) & (y > p.eye_y - 0.9) & (y < p.nose_y + 0.35)
    across, down = (side - 0.72 * p.nose_w) * (1 / (0.5 * p.nose_w)), (y - p.nose_y + 0.4) * (1 / 0.8)
    return ridge | (across * across + down * down < 1)


def _chin_and_jaw(p: Parameters, side: ndarray, y: ndarray, jaw: ndarray) -> ndarray:
    """Below the groove under the lower lip; beyond the corners of the mouth the band along the jaw's edge."""
    groove = p.mouth_y + p.lip_low + 0.45 + 0.5 * max(p.open, 0)
    outwards = step(side - mouth_half(p) - 0.2, 2.0)
    return (y - groove) * (1 - outwards) + (2.3 - jaw) * outwards > 0
