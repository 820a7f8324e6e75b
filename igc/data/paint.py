"""The colours of a procedural head. What changes slowly over the skin is evaluated at the vertices (`skin`),
what has edges at surface coordinates of single pixels (`albedo`), so that it is crisp at any resolution. All
of it is our own design."""

import numpy as np
from numpy import ndarray

from igc.data.heads import (
    GRID,
    Parameters,
    bell,
    bumps,
    ear_place,
    is_long,
    mouth_half,
    mouth_line,
    step,
)
from igc.data.landmarks import brow_line, lids

COLOUR = {
    "skin": (0.0, 1.0), "ruddy": (-1.0, 1.0), "hair": (0.0, 1.0), "iris": (0.0, 1.0), "lip_red": (0.0, 1.0),
    "lip_dark": (0.7, 1.05), "lip_hue": (-1.0, 1.0), "brow_thick": (0.2, 0.5), "brow_dark": (0.4, 0.95),
    "brow_arch": (-0.05, 0.06), "blush": (0.1, 1.0), "beard": (-1.2, 0.9), "moustache": (0.3, 1.0),
    "freckles": (-2.0, 1.0), "mole_x": (-5.0, 5.0), "mole_y": (-4.5, 9.0), "mole": (-1.5, 0.8),
    "mottle_1": (-3.1, 3.1), "mottle_2": (-3.1, 3.1), "mottle_3": (-3.1, 3.1), "strands": (-3.1, 3.1),
}  # fmt: skip
"""Ranges of the colours of an identity (uniform); `skin`, `hair`, `iris`: places on scales. What is below 0
of `beard`, `freckles` and `mole` is none. Long hair goes without a beard."""


def _scale(*colours: tuple) -> ndarray:
    return np.array(colours, np.float32)


SKIN_TONES = _scale(
    (0.97, 0.81, 0.71), (0.91, 0.71, 0.57), (0.80, 0.58, 0.43), (0.64, 0.43, 0.30), (0.45, 0.30, 0.22)
)
HAIR_TONES = _scale(
    (0.06, 0.05, 0.05), (0.11, 0.08, 0.06), (0.17, 0.10, 0.06), (0.28, 0.17, 0.10), (0.45, 0.25, 0.12),
    (0.68, 0.50, 0.28), (0.58, 0.56, 0.54),
)  # fmt: skip
IRIS_TONES = _scale((0.20, 0.11, 0.06), (0.33, 0.20, 0.09), (0.30, 0.36, 0.20), (0.25, 0.42, 0.58))
WHITE, DARK, LIP, MOUTH = _scale(
    (0.90, 0.88, 0.86), (0.03, 0.03, 0.03), (0.86, 0.46, 0.48), (0.22, 0.06, 0.06)
)


def tone(scale: ndarray, place: float) -> ndarray:
    """Colour (3,) at `place` in [0, 1] on a scale of colours, linear in between."""
    low = min(int(place * (len(scale) - 1)), len(scale) - 2)
    rest = place * (len(scale) - 1) - low
    return scale[low] * (1 - rest) + scale[low + 1] * rest


def skin(p: Parameters, surface: ndarray) -> ndarray:
    """At the vertices, from surface coordinates (5, H, W): redness, darkness in hollows that light does not
    reach, and cover by beard, each about 0 to 1: (3, H, W)."""
    x, y, side, jaw = GRID.x, GRID.y, GRID.side, surface[4]
    out = np.empty_like(surface[:3])
    ears = ear_place(p, GRID.angle, y)
    out[0] = bumps(
        side, y, (0.10 * p.blush, 4.2, 2.9, 2.0, 1.6), (0.08 * p.blush, 0, p.nose_y - 0.5, 1.4, 1.0)
    )
    out[0] += 0.10 * step(0.9 - ears, 0.6) + 0.03 * p.ruddy
    out[1] = bumps(
        side, y,
        (0.30, p.eye_x - 0.9, p.eye_y - 0.6, 1.5, 0.75), (0.22, p.eye_x, p.eye_y + 1.0, 1.5, 0.45),
        (0.2, 0, p.nose_y + 0.45, p.nose_w, 0.4), (0.18, p.nose_w + 0.35, p.nose_y - 0.3, 0.35, 0.8),
        (0.22, 0, p.mouth_y + 1.35 * p.lip_low + 0.35, 1.7, 0.4),
    )  # fmt: skip
    out[1] += 0.35 * step(-jaw - 0.2, 2.4) + bumps(GRID.angle, y, (0.35, 1.7, 1.6, 0.13, 1.5))
    fold = bell((side - p.nose_w - 0.45 - 0.42 * (y - p.nose_y) * (1 + 0.25 * p.smile)) * (1 / 0.3))
    out[1] += (0.08 + 0.10 * max(p.smile, 0)) * bell((y - 5.2) / 1.8) * fold
    if is_long(p):
        out[1] += 0.3 * step(GRID.angle - 0.95, 0.5) * step(y - 1, 6.0)
    mottle = np.sin(0.9 * x + 0.7 * y + p.mottle_1) + np.sin(1.3 * y - 0.8 * x + p.mottle_2)
    out[1] -= 0.016 * (mottle + np.sin(2.1 * x - 1.7 * y + p.mottle_3))
    out[2] = 0 if p.beard <= 0 or is_long(p) else _beard(p, side, y, jaw)
    return out


def _beard(p: Parameters, side: ndarray, y: ndarray, jaw: ndarray) -> ndarray:
    """How much beard there is: a moustache, on the chin and along the jaw, up to the ears; the lower lip
    stays free."""
    cheek = p.nose_y + 0.9 + 2.0 * bell((side - 4.2) * (1 / 1.3)) - 0.5 * (side - 5).clip(0)
    grown = step(y - cheek, 1.3) * step(jaw + 0.8, 1.6)
    lip = p.mouth_y - 0.6 * p.lip_up
    return p.beard * grown * (1 - (1 - p.moustache) * step(3.4 - side, 1.0) * step(lip - y, 0.8))


def albedo(p: Parameters, surface: ndarray, fields: ndarray) -> ndarray:
    """Albedo (N, 3) in [0, 1] at surface coordinates (5, N), see `heads.surface_coordinates`, where `skin`
    is `fields` (3, N)."""
    x, y, phi, hair, _ = surface
    flesh, dark = tone(SKIN_TONES, p.skin), tone(HAIR_TONES, p.hair)
    colour = _skin(p, flesh, dark, x, y, hair, fields)
    side = np.abs(x)
    reach = p.eye_x + 2.75
    near = (side < reach) & (side > p.eye_x - 2.75) & (np.abs(phi) < 1.5)
    _dab(colour, near & (y > p.brow_y - 2.6) & (y < p.eye_y - 0.2), _brow, p, flesh, dark, side, y)
    _dab(colour, near & (y > p.eye_y - 1.9) & (y < p.eye_y + 1.0), _eyes, p, flesh, dark, side, y)
    half, low = mouth_half(p) + 0.1, p.mouth_y + p.lip_low + 1.0 + 0.5 * max(p.open, 0)
    there = (side < half) & (y > p.mouth_y - 2.9) & (y < low) & (np.abs(phi) < 1)
    _dab(colour, there, _lips, p, flesh, dark, side, y)
    there = (side < p.nose_w) & (np.abs(y - p.nose_y) < 0.6) & (np.abs(phi) < 1)
    _dab(colour, there, _nostrils, p, flesh, dark, side, y)
    if p.mole > 0:
        there = (np.abs(x - p.mole_x) < 0.4) & (np.abs(y - p.mole_y) < 0.4) & (np.abs(phi) < 1.5)
        _dab(colour, there, _mole, p, flesh, dark, x, y)
    _dab(colour, hair > -1.4, _hair, p, flesh, dark, phi, y, hair)
    return colour.clip(0, 1)


def _dab(colour: ndarray, there: ndarray, paint, p, flesh, dark, *coordinates: ndarray) -> None:
    """Paints over the pixels of `colour` (N, 3) that are `there` (N,) and on no others."""
    at = there.nonzero()[0]
    if len(at):
        colour[at] = paint(p, colour[at], flesh, dark, *(c[at] for c in coordinates))


def _lay(under: ndarray, over: ndarray, amount: ndarray) -> ndarray:
    """Lays a colour (N, 3) or (3,) over another, `amount` (N,) in [0, 1] of it."""
    return under + (over - under) * amount[:, None]


def _skin(p, flesh, dark, x, y, hair, fields) -> ndarray:
    """Skin with blush, mottling, pores, freckles and beard."""
    red, hollow, beard = fields
    bent_x, bent_y = x + 0.5 * np.sin(1.9 * y + p.mottle_3), y + 0.5 * np.sin(2.3 * x + p.mottle_1)
    pores = np.sin(9.3 * bent_x + 4.1 * y + p.mottle_1) * np.sin(8.7 * bent_y - 3.2 * x + p.mottle_2)
    shade = 1 - hollow.clip(max=0.6) + 0.015 * pores
    colour = np.empty((len(x), 3), np.float32)
    for channel, tint in enumerate((0.25, -1.0, -1.1)):
        colour[:, channel] = shade * (flesh[channel] + (flesh[channel] * tint) * red)
    if p.freckles > 0:
        spots = np.sin(5 * bent_x - 2.5 * bent_y + p.mottle_3) * np.sin(5 * bent_y + 2.5 * bent_x)
        spots = (spots + 0.35 * np.sin(2.9 * x - 3.3 * y + p.mottle_2) - 0.25).clip(0)
        spots = spots * bell((y - 1.8) * (1 / 2.6)) * bell(x * (1 / 5.5))
        colour = _lay(colour, flesh * (0.62, 0.5, 0.42), p.freckles * spots)
    if beard.any():
        grain = 0.85 + 0.15 * pores
        colour = _lay(colour, 0.7 * dark + 0.1 * flesh, beard * grain)
    return colour


def _brow(p, colour, flesh, dark, side, y) -> ndarray:
    along = ((side - p.eye_x - 0.15) * (1 / 2.35)).clip(-1.5, 1.5)
    thick = p.brow_thick * (1.05 - 0.35 * along)
    amount = step(thick - np.abs(y - brow_line(p, side)), 0.4) * step(1 - np.abs(along), 0.24)
    hairs = 0.9 + 0.1 * np.sin(14 * side + 6 * y)
    return _lay(colour, flesh + (0.7 * dark - flesh) * p.brow_dark, amount * hairs)


def _eyes(p, colour, flesh, dark, side, y) -> ndarray:
    """Lids, lashes, and the white, the iris and the pupil between the lids."""
    upper, lower = lids(p, side)
    inwards = p.eye_w - np.abs(side - p.eye_x)
    within = step(inwards, 0.3)
    crease = bell((y - upper + 0.5) * (1 / 0.17)) * step(inwards - 0.1, 0.8)
    colour = _lay(colour, 0.55 * flesh, 0.6 * crease)
    inside = step(y - upper, 0.24) * step(lower - y, 0.24) * within
    across, down = side - p.eye_x, y - p.eye_y + 0.12
    r = np.sqrt(across * across + down * down)
    ball = WHITE * (1 - 0.3 * step(upper + 0.25 - y, 0.5) - 0.15 * bell(inwards * (1 / 0.5)))[:, None]
    ball = _lay(ball, tone(IRIS_TONES, p.iris), step(0.68 - r, 0.2))
    pupil = (step(0.3 - r, 0.2) + 0.5 * bell((r - 0.68) * (1 / 0.09))).clip(max=1)
    colour = _lay(colour, _lay(ball, DARK, pupil), inside)
    lash = bell((y - upper + 0.05) * (1 / 0.17)) + 0.3 * bell((y - lower) * (1 / 0.13))
    return _lay(colour, 0.12 * flesh, (0.9 * lash * within).clip(max=1))


def lip_edges(p: Parameters, side: ndarray) -> tuple[ndarray, ndarray]:
    """Heights of the upper and the lower edge of the lips' colour at lateral distance >= 0."""
    line, rest, gap = mouth_line(p, side)
    root = np.sqrt(rest)
    bow = p.lip_up * (root * np.sqrt(root) - 0.22 * bell(side * 2))
    return line - gap - bow, line + gap + p.lip_low * root


def _lips(p, colour, flesh, dark, side, y) -> ndarray:
    """Lips, the line or the gap between them, and teeth in a wide gap."""
    line, rest, gap = mouth_line(p, side)
    top, bottom = lip_edges(p, side)
    within = step(rest - 0.1, 0.08)
    lips = step(y - top, 0.28) * step(bottom - y, 0.32) * within
    tint = LIP + 0.09 * p.lip_hue * np.array((0, 1, -1), np.float32)
    red = flesh * (1 + (tint - 1) * (0.35 + 0.65 * p.lip_red)) * p.lip_dark
    colour = _lay(colour, red * (1 - 0.16 * step(line - y, 0.6))[:, None], lips)
    seam = bell((y - line) * (1 / 0.13)) * within
    if p.open <= 0:
        return _lay(colour, 0.3 * red, 0.8 * seam)
    mouth = step(gap - np.abs(y - line), 0.2) * within
    teeth = step(y - line + gap - 0.05, 0.2) * step(line - gap + 0.75 - y, 0.3) * step(gap - 0.22, 0.2)
    colour = _lay(colour, MOUTH, np.maximum(mouth, 0.8 * seam * step(0.15 - gap, 0.2)))
    return _lay(colour, 0.93 * WHITE, 0.9 * teeth * mouth)


def _nostrils(p, colour, flesh, dark, side, y) -> ndarray:
    place = bell((side - 0.5 * p.nose_w) * (1 / 0.36)) * bell((y - p.nose_y - 0.02) * (1 / 0.22))
    return _lay(colour, 0.25 * flesh, 0.75 * place)


def _mole(p, colour, flesh, dark, x, y) -> ndarray:
    r = np.sqrt((x - p.mole_x) ** 2 + (y - p.mole_y) ** 2)
    return _lay(colour, 0.35 * flesh, p.mole * step(0.17 - r, 0.16))


def _hair(p, colour, flesh, dark, phi, y, hair) -> ndarray:
    """Hair with strands that run from the crown outwards, and its shadow on the skin."""
    around = np.abs(phi)
    fine = np.sin(37 * around + 0.5 * y + p.strands) + np.sin(23 * around - 0.8 * y + 2 * p.strands)
    broad = np.sin(9 * around + 3 * p.strands) + np.sin(5 * around + 0.6 * y - p.strands)
    strands = 1.02 + 0.13 * fine + 0.08 * broad + 0.45 * bell((y + 8.6) * (1 / 1.1))
    colour = colour * (1 - 0.22 * step(hair + 0.7, 1.4))[:, None]
    return _lay(colour, dark * strands[:, None], step(hair + 0.16 * fine + 0.08 * broad, 0.6))
