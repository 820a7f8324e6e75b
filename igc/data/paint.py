"""The colours and the parts of a procedural head, evaluated at surface coordinates (see `heads`), so that
they are crisp at any resolution. All of it is our own design."""

import torch
from torch import Tensor

from igc.data.heads import (
    Parameters,
    bell,
    brow_line,
    bumps,
    ear_place,
    is_long,
    lids,
    mouth_half,
    mouth_line,
    step,
)

COLOUR = {
    "skin": (0.0, 1.0), "ruddy": (-1.0, 1.0), "hair": (0.0, 1.0), "iris": (0.0, 1.0), "lip_red": (0.0, 1.0),
    "lip_dark": (0.75, 1.05), "lip_hue": (-1.0, 1.0),
    "brow_thick": (0.22, 0.5), "brow_dark": (0.55, 0.95), "blush": (0.1, 1.0), "beard": (-1.2, 0.8),
    "mottle_1": (-3.1, 3.1), "mottle_2": (-3.1, 3.1), "mottle_3": (-3.1, 3.1), "strands": (-3.1, 3.1),
}  # fmt: skip
"""Ranges of the colours of an identity (uniform); `skin`, `hair`, `iris`: places on scales."""

LABELS = (
    "background", "forehead", "brows and eyes", "nose", "mouth", "cheeks", "chin", "hair", "ears", "neck",
)  # fmt: skip
FACE_PARTS = (1, 2, 3, 4, 5, 6)
"""Labels that count as parts of the face: those of its front, without hair, ears and neck."""

SKIN_TONES = (
    (0.97, 0.81, 0.71), (0.91, 0.71, 0.57), (0.80, 0.58, 0.43), (0.64, 0.43, 0.30), (0.45, 0.30, 0.22),
)  # fmt: skip
HAIR_TONES = (
    (0.07, 0.06, 0.06), (0.16, 0.10, 0.07), (0.29, 0.17, 0.09), (0.47, 0.25, 0.11), (0.72, 0.53, 0.27),
    (0.60, 0.58, 0.56),
)  # fmt: skip
WHITE, DARK = torch.tensor((0.93, 0.91, 0.89))[:, None], torch.full((3, 1), 0.03)
LIP, MOUTH = torch.tensor((0.86, 0.46, 0.48))[:, None], torch.tensor((0.22, 0.06, 0.06))[:, None]
IRIS_TONES = ((0.20, 0.11, 0.06), (0.33, 0.20, 0.09), (0.30, 0.36, 0.20), (0.25, 0.42, 0.58))


def tone(scale: tuple, place: float) -> Tensor:
    """Colour (3, 1) at `place` in [0, 1] on a scale of colours, linear in between."""
    low = min(int(place * (len(scale) - 1)), len(scale) - 2)
    rest = place * (len(scale) - 1) - low
    return torch.lerp(torch.tensor(scale[low]), torch.tensor(scale[low + 1]), rest)[:, None]


def albedo(p: Parameters, surface: Tensor) -> Tensor:
    """Albedo (3, N) in [0, 1] at surface coordinates (5, N), see `heads.surface_coordinates`."""
    x, y, phi, hair, jaw = surface
    side = x.abs()
    skin, dark = tone(SKIN_TONES, p.skin), tone(HAIR_TONES, p.hair)
    colour = _skin(p, skin, x, side, y, phi, jaw)
    if p.beard > 0 and not is_long(p):
        colour = _lay(colour, 0.55 * dark + 0.2 * skin, _beard(p, side, y, jaw))
    brows = torch.lerp(skin, 0.7 * dark, p.brow_dark)
    colour = _lay(colour, brows, _brow(p, side, y))
    colour = _eyes(p, colour, skin, side, y)
    colour = _lips(p, colour, skin, x, y)
    nostril = bumps(side, y, (0.75, 0.5 * p.nose_w, p.nose_y + 0.02, 0.36, 0.22))
    colour = _lay(colour, 0.25 * skin, nostril)
    return _hair(p, colour, dark, phi, y, hair).clamp(0, 1)


def labels(p: Parameters, surface: Tensor) -> Tensor:
    """Labels (N,) int64 (see LABELS), none of them 0: regions around features, as one would point at them.

    Later ones win: forehead, chin and cheeks; then eyes with brows, nose, mouth; neck (and what is behind the
    ears); ears; hair."""
    x, y, phi, hair, jaw = surface
    side = x.abs()
    line, _, gap = mouth_line(p, x)
    out = torch.full_like(y, 5, dtype=torch.long)
    out[y < p.brow_y - 0.4] = 1
    out[(y > p.mouth_y + p.lip_low + 0.5 + 0.5 * max(p.open, 0)) & (side < 3.6)] = 6
    middle = 0.5 * (p.brow_y + p.eye_y) - 0.1
    out[((side - p.eye_x - 0.1) / 2.9).abs() ** 3 + ((y - middle) / 2.2).abs() ** 3 < 1] = 2
    along = ((y - p.eye_y + 0.5) / (p.nose_y - p.eye_y)).clamp(0, 1)
    nose = side < 0.9 + (p.nose_w - 0.2) * along
    out[nose & (y > p.eye_y - 0.8) & (y < p.nose_y + 0.55)] = 3
    height = torch.where(y < line, p.lip_up + 0.3, p.lip_low + 0.3) + gap
    out[(x / (mouth_half(p) + 0.4)) ** 2 + ((y - line) / height) ** 2 < 1] = 4
    out[(jaw < 0) | (phi.abs() > 1.75)] = 9
    out[ear_place(p, phi, y) < 0.9] = 8
    out[hair > 0] = 7
    return out


def _lay(under: Tensor, over: Tensor, amount: Tensor) -> Tensor:
    """Lays a colour (3, N) or (3, 1) over another, `amount` (N,) in [0, 1] of it."""
    return torch.lerp(under, over.expand_as(under), amount.expand_as(under))


def _skin(p, skin, x, side, y, phi, jaw) -> Tensor:
    """Skin with blush, mottling, and the soft dark of hollows that light does not reach."""
    mottle = torch.sin(0.9 * x + 0.7 * y + p.mottle_1) + torch.sin(1.3 * y - 0.8 * x + p.mottle_2)
    mottle += torch.sin(2.1 * x - 1.7 * y + p.mottle_3)
    red = bumps(side, y, (0.10 * p.blush, 4.2, 2.9, 2.0, 1.6), (0.08 * p.blush, 0, p.nose_y - 0.5, 1.4, 1.0))
    red += 0.03 * p.ruddy + 0.10 * step(0.9 - ear_place(p, phi, y), 0.6)
    tint = torch.stack((1 + 0.25 * red, 1 - red, 1 - 1.1 * red))
    hollow = bumps(
        side, y,
        (0.30, p.eye_x - 0.9, p.eye_y - 0.6, 1.5, 0.75), (0.20, p.eye_x, p.eye_y + 1.0, 1.5, 0.45),
        (0.15, 0, p.nose_y + 0.5, p.nose_w, 0.35), (0.18, p.nose_w + 0.35, p.nose_y - 0.3, 0.35, 0.8),
        (0.22, 0, p.mouth_y + 1.35 * p.lip_low + 0.35, 1.7, 0.4),
    )  # fmt: skip
    hollow += 0.30 * step(-jaw - 0.2, 2.4) + bumps(phi.abs(), y, (0.35, 1.7, 1.6, 0.13, 1.5))
    fold = side - p.nose_w - 0.45 - 0.42 * (y - p.nose_y) * (1 + 0.25 * p.smile)
    hollow += bumps(fold, y, (0.08 + 0.10 * max(p.smile, 0), 0, 5.2, 0.3, 1.8))
    return skin * tint * ((1 + 0.016 * mottle) * (1 - hollow.clamp(max=0.6)))


def _beard(p, side, y, jaw) -> Tensor:
    """How much beard shows: around the mouth, on the chin and along the jaw."""
    top = p.nose_y + 0.7 + 2.2 * bell((side - 4.0) / 1.3) - 0.45 * (side - 5).clamp(min=0)
    return p.beard * step(y - top, 1.6) * step(jaw + 0.8, 1.6)


def _brow(p, side, y) -> Tensor:
    along = ((side - p.eye_x - 0.15) / 2.35).clamp(-1.5, 1.5)
    thick = p.brow_thick * (1.05 - 0.35 * along)
    return step(thick - (y - brow_line(p, side)).abs(), 0.4) * step(1 - along.abs(), 0.24)


def _eyes(p, colour, skin, side, y) -> Tensor:
    """Lids, lashes, and the white, the iris and the pupil between the lids."""
    upper, lower = lids(p, side)
    inwards = p.eye_w - (side - p.eye_x).abs()
    within = step(inwards, 0.3)
    crease = bell((y - upper + 0.5) / 0.17) * step(inwards - 0.1, 0.8)
    colour = _lay(colour, 0.55 * skin, 0.6 * crease)
    inside = step(y - upper, 0.24) * step(lower - y, 0.24) * within
    r = ((side - p.eye_x) ** 2 + (y - p.eye_y + 0.12) ** 2).sqrt()
    ball = WHITE * (1 - 0.3 * step(upper + 0.25 - y, 0.5))
    ball = _lay(ball, tone(IRIS_TONES, p.iris), step(0.68 - r, 0.2))
    dark = (step(0.3 - r, 0.2) + 0.5 * bell((r - 0.68) / 0.09)).clamp(max=1)
    colour = _lay(colour, _lay(ball, DARK, dark), inside)
    lash = bell((y - upper + 0.05) / 0.17) + 0.3 * bell((y - lower) / 0.13)
    return _lay(colour, 0.12 * skin, (0.9 * lash * within).clamp(max=1))


def _lips(p, colour, skin, x, y) -> Tensor:
    """Lips, the line or the gap between them, and teeth in a wide gap."""
    line, rest, gap = mouth_line(p, x)
    bow = p.lip_up * (rest**0.7 - 0.22 * bell(x / 0.5))
    within = step(rest - 0.1, 0.08)
    lips = step(y - line + gap + bow, 0.28) * step(line + gap + p.lip_low * rest**0.6 - y, 0.32) * within
    tint = LIP + 0.09 * p.lip_hue * torch.tensor((0.0, 1.0, -1.0))[:, None]
    lip_colour = torch.lerp(skin, skin * tint, 0.35 + 0.65 * p.lip_red) * p.lip_dark
    colour = _lay(colour, lip_colour * (1 - 0.16 * step(line - y, 0.6)), lips)
    seam = bell((y - line) / 0.13) * within
    if p.open <= 0:
        return _lay(colour, 0.3 * lip_colour, 0.8 * seam)
    mouth = step(gap - (y - line).abs(), 0.2) * within
    teeth = step(y - line + gap - 0.05, 0.2) * step(line - gap + 0.75 - y, 0.3) * step(gap - 0.22, 0.2)
    colour = _lay(colour, MOUTH, torch.maximum(mouth, 0.8 * seam * step(0.15 - gap, 0.2)))
    return _lay(colour, 0.93 * WHITE, 0.9 * teeth * mouth)


def _hair(p, colour, dark, phi, y, hair) -> Tensor:
    """Hair with strands that run from the crown outwards, and its shadow on the skin."""
    around = phi.abs()
    fine = torch.sin(37 * around + 0.5 * y + p.strands) + torch.sin(23 * around - 0.8 * y + 2 * p.strands)
    broad = torch.sin(9 * around + 3 * p.strands) + torch.sin(5 * around + 0.6 * y - p.strands)
    strands = 1.02 + 0.13 * fine + 0.08 * broad + 0.45 * bell((y + 8.6) / 1.1)
    colour = colour * (1 - 0.22 * step(hair + 0.7, 1.4))
    return _lay(colour, dark * strands, step(hair + 0.16 * fine + 0.08 * broad, 0.6))
