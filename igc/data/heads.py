"""The shape of a procedural head: parameters, and one grid of vertices for everybody.

A head is a grid of rows (crown to neck) and columns (once around, from the back over the image's left, the
face and the image's right to the back; the last column repeats the first). Its *surface coordinates* are the
same for everybody: X, the lateral distance from the midline, Y, the height, and the angle around the axis,
0 at the nose. Features sit at (X, Y) given by the parameters; the parameters then bend the surface. Lengths
are centimetres of an adult's head until `head_points` scales them. All of it is our own design.

NumPy in float32, one head at a time: at these sizes that is faster than many heads in one tensor, whose
blocks outgrow the cache, and no head can depend on its company.
"""

import math
from types import SimpleNamespace

import numpy as np
from numpy import ndarray

SCALE = 0.0059
"""One centimetre of a head in the units of the camera frame."""

SHAPE = {
    "width": (0.93, 1.06), "length": (0.94, 1.06), "lower_face": (0.95, 1.10), "jaw": (-0.9, 0.7),
    "chin_width": (1.6, 2.6), "chin_out": (0.2, 1.4), "chin_drop": (-0.3, 0.5), "cheekbone": (0.0, 0.7),
    "cheek_full": (-0.4, 0.5), "forehead_out": (-0.4, 0.5), "brow_ridge": (0.15, 0.75),
    "eye_x": (3.0, 3.5), "eye_y": (-0.7, -0.1), "eye_w": (1.5, 1.8), "eye_h": (0.62, 0.85),
    "socket": (0.5, 0.95), "brow_y": (-2.6, -2.05), "nose_y": (3.1, 4.1), "nose_w": (1.25, 1.95),
    "nose_out": (1.9, 3.0), "bridge": (0.35, 1.15), "bridge_w": (0.65, 0.95), "mouth_y": (6.0, 6.7),
    "mouth_w": (2.4, 3.1), "lip_up": (0.45, 0.85), "lip_low": (0.6, 1.1), "muzzle": (0.2, 0.8),
    "ear_out": (1.3, 2.3), "ear_size": (0.9, 1.15), "neck": (0.86, 1.1), "hairline": (-8.2, -5.8),
    "recede": (0.0, 2.2), "fringe": (0.1, 0.8), "fringe_at": (-3.1, 3.1),
    "hair_thick": (0.4, 1.7), "hair_long": (0.0, 1.0),
}  # fmt: skip
"""Ranges of the shape of an identity (uniform); above 0.6, `hair_long` is how far hair falls."""

EXPRESSION = {"open": (-1.2, 1.5), "smile": (-0.35, 1.0), "raised": (-0.25, 0.5), "lids": (0.6, 1.08)}
"""Ranges of what changes within an identity (uniform): parting of the lips in cm (below 0: closed), smile,
raised brows in cm, and opening of the eyes."""

CROWN, EQUATOR, CHIN, NECK_END = -11.5, -2.5, 10.9, 26.0
AXIS = 4.1
"""How far the axis of the grid lies behind the point that a head turns about, in cm."""
FRONT, SIDE, BACK = 8.2, 7.2, 8.6

Parameters = SimpleNamespace
"""One head: a number for each name in SHAPE and EXPRESSION (and, to paint it, COLOUR)."""


def bell(x: ndarray) -> ndarray:
    """exp(-x^2), cut off where it is below 1e-13: denormal numbers are slow."""
    return np.exp(-np.minimum(x * x, 30))


def step(x: ndarray, width: float) -> ndarray:
    """Rises smoothly from 0 to 1 around x = 0, with slope 1 / width there: 0 below -0.75 width, 1 above."""
    t = (x * (1 / (1.5 * width)) + 0.5).clip(0, 1)
    return t * t * (3 - 2 * t)


def bumps(x: ndarray, y: ndarray, *each: tuple) -> ndarray:
    """Sum over tuples (amount, cx, cy, wx, wy) of amount * exp(-((x - cx) / wx)^2 - ((y - cy) / wy)^2) on a
    grid of x (W,) and y (H, 1): (H, W)."""
    amount, cx, cy, wx, wy = np.array(each, np.float32).T[:, :, None]
    return (amount * bell((y[:, 0] - cy) / wy)).T @ bell((x - cx) / wx)


def _columns() -> ndarray:
    """Angles of the columns, dense on the face and at the ears: (W,) radians, -pi to pi."""
    knots = ((0, 50, 2.3), (50, 82, 4.0), (82, 118, 3.6), (118, 180, 10.0))
    half = [np.linspace(a, b, round((b - a) / step), endpoint=False) for a, b, step in knots]
    half = np.radians(np.concatenate([*half, [180.0]]))
    return np.concatenate([-half[:0:-1], half])


def _rows() -> ndarray:
    """Heights of the rows, dense from the brows to the chin: (H,) cm, crown first."""
    cap = EQUATOR - 0.8 + (CROWN - EQUATOR + 0.8) * np.cos(np.linspace(0, 0.5 * math.pi, 14))[:-1]
    face = np.arange(EQUATOR - 0.8, CHIN + 0.4, 0.34)
    return np.concatenate([cap, face, np.linspace(CHIN + 0.7, NECK_END, 7)])


def equator_radius(phi: ndarray) -> ndarray:
    """Horizontal section of the skull at its widest, as a radius about the axis (cm)."""
    depth = np.where(np.cos(phi) > 0, FRONT, BACK)
    power = 2.3
    return ((np.abs(np.sin(phi)) / SIDE) ** power + (np.abs(np.cos(phi)) / depth) ** power) ** (-1 / power)


PHI, HEIGHT = _columns(), _rows()
LATERAL = equator_radius(PHI) * np.sin(PHI)


def _grid() -> SimpleNamespace:
    """Surface coordinates and all that is the same for everybody: y is (H, 1), curves (W,), maps (H, W)."""
    y, sin, cos = HEIGHT[:, None], np.sin(PHI), np.cos(PHI)
    degrees, front = np.abs(np.degrees(PHI)), np.cos(PHI).clip(0)
    up = ((EQUATOR - y) / (EQUATOR - CROWN)).clip(0, 1)
    section = np.where(cos > 0, 2.6, 5.6)
    neck = ((np.abs(sin) / 4.8) ** 2 + (np.abs(cos) / section) ** 2) ** -0.5
    shoulders = 1 + (0.9 * sin**2 + 0.2) * ((y - 12.3).clip(0) / 3.2) ** 1.5
    maps = {
        "y": y, "phi": PHI, "angle": np.abs(PHI), "x": LATERAL, "side": np.abs(LATERAL), "sin": sin,
        "cos": cos, "front": front, "cap": equator_radius(PHI) * np.sqrt(1 - up ** (2.2 + 0.4 * front)),
        "neck": neck * step(y - 3.0, 6.0) * shoulders,
        "jaw": np.interp(degrees, _JAW[0], _JAW[1]) + CHIN,
        "hairline": np.interp(degrees, _HAIRLINE[0], _HAIRLINE[1]),
        "steep": 1 / np.hypot(1, np.gradient(np.interp(degrees, _HAIRLINE[0], _HAIRLINE[1]), SIDE * PHI)),
        "moves": np.interp(degrees, (0, 45, 75), (1, 1, 0)),
        "temple": np.exp(-(((degrees - 36) / 13) ** 2)),
        "rise": 0.8 * (y - EQUATOR).clip(max=0), "crest": 0.35 + 0.65 * step(1.0 - y, 12.0),
        "in_front": step(cos - 0.25, 0.4), "at_mouth": step(cos - 0.2, 1.0),
        "hangs": step(y - 0.5, 4.0) * step(np.abs(PHI) - 1.2, 0.3),
    }  # fmt: skip
    return SimpleNamespace(**{name: np.float32(value) for name, value in maps.items()})


_JAW = (0, 15, 40, 60, 80, 95, 120, 180), (0, -0.05, -0.6, -1.6, -3.2, -4.3, -5.0, -5.5)
_HAIRLINE = (
    (0, 25, 42, 56, 64, 70, 76, 82, 86, 100, 112, 124, 150, 180),
    (-6.5, -6.5, -6.4, -5.3, -3.3, -2.1, 1.3, 1.7, -1.3, -2.3, -0.5, 6.0, 8.5, 9.0),
)
GRID = _grid()
_FACE = np.flatnonzero(GRID.in_front > 0)
FACE = np.s_[10:54, _FACE[0] : _FACE[-1] + 1]
"""Rows and columns of the grid that features stand on."""


def is_long(p: Parameters) -> bool:
    """Whether the hair hangs over ears and neck."""
    return p.hair_long > 0.6


def surface_coordinates(p: Parameters) -> ndarray:
    """What the paint needs to know at every vertex, (5, H, W): X, Y and the angle; how far inside the hair
    and how far above the jaw's lower edge it lies (both cm, negative outside)."""
    g = GRID
    line = g.hairline + g.moves * (p.hairline + 6.5) - p.recede * g.temple
    waves = np.sin(7 * g.phi + p.fringe_at) + np.sin(12 * g.phi + 2 * p.fringe_at)
    line = line + p.fringe * g.moves * waves
    inside = (line - g.y) * g.steep  # from the height above a slanting line to the distance from it
    if is_long(p):
        curtain = (p.hair_long - 0.6) / 0.4 * 9 + 7
        inside = np.maximum(inside, np.minimum(curtain - g.y, SIDE * (g.angle - 1.22)))
    out = np.empty((5, len(HEIGHT), len(PHI)), np.float32)
    out[0], out[1], out[2], out[3], out[4] = g.x, g.y, g.phi, inside, jaw_line(p) - g.y
    return out


def head_points(p: Parameters, surface: ndarray) -> ndarray:
    """Vertices (H, W, 3) of a head at zero pose, in the camera frame (turned about (0, 0, 1))."""
    g, hair = GRID, step(surface[3] - 0.4, 0.8)
    skin = 1 - hair
    radius = _radius(p) + _ear(p) * skin
    x, y, back = radius * (g.sin * p.width), g.y + _stretch(p), -radius * g.cos
    back[FACE] -= _relief(p) * skin[FACE]
    x, y, back = _comb(p, hair, x, y, back)
    return np.stack((x * SCALE, y * (p.length * SCALE), back * SCALE + (1 + AXIS * SCALE)), axis=-1)


def jaw_line(p: Parameters) -> ndarray:
    """Height of the jaw's lower edge in every column (W,)."""
    return GRID.jaw + np.abs(GRID.sin) * (0.5 * p.jaw)


def _radius(p: Parameters) -> ndarray:
    """The skull with the jaw, and the neck, without features: distance (H, W) from the axis."""
    g = GRID
    down = ((g.y - EQUATOR) / (jaw_line(p) - EQUATOR)).clip(0, 1)
    below = np.zeros_like(down)
    part = (down[:, 0] > 0) | (down[:, len(PHI) // 2] > 0)
    power = 2.8 + 1.7 * g.front**2 + 0.5 * p.jaw * g.sin**2
    below[part] = np.sqrt(1 - down[part] ** power)
    below[~part] = 1
    skull = g.cap * below
    wide, narrow = skull * skull, g.neck * g.neck * p.neck**2
    wide, narrow = wide * wide, narrow * narrow
    return np.sqrt(np.sqrt(np.sqrt(wide * wide + narrow * narrow)))


def _relief(p: Parameters) -> ndarray:
    """What stands out of the FACE towards the front, in cm; negative in the eye sockets."""
    x, y = GRID.side[FACE[1]], GRID.y[FACE[0]]
    cheek = 0.25 + p.cheek_full + 0.5 * max(p.smile, 0)
    groove = p.mouth_y + p.lip_low + 0.75 + 0.5 * max(p.open, 0)
    out = bumps(
        x, y,
        (p.forehead_out, 0, -6, 4, 3), (p.brow_ridge, 2.4, p.brow_y + 0.1, 2.4, 0.9),
        (-p.socket, p.eye_x - 0.2, p.eye_y, 2.1, 1.25), (0.62, p.eye_x, p.eye_y, 1.25, 0.85),
        (0.9 * p.cheekbone, 4.7, 1.8, 1.7, 1.5), (cheek, 4.0, 4.3, 1.9, 1.9),
        (0.85, 0.72 * p.nose_w, p.nose_y - 0.5, 0.4 * p.nose_w, 0.65),
        (0.45, 0, p.nose_y - 0.75, 0.8, 0.75), (-0.3, p.nose_w + 0.9, p.nose_y + 0.2, 0.6, 0.9),
        (p.muzzle, 0, p.mouth_y, 3.2, 2.0), (-0.12, 0, p.nose_y + 1.3, 0.4, 0.8),
        (-0.35, 0, groove, 1.9, 0.5), (p.chin_out, 0, 9.3, p.chin_width, 1.1),
    )  # fmt: skip
    return (out + _nose(p, x, y) + _lips(p, x, y)) * GRID.in_front[FACE[1]]


def nose_width(p: Parameters, y: ndarray) -> tuple[ndarray, ndarray]:
    """Scale of the width of the nose's ridge at a height, and the way down it: 0 above its root, 1 at the
    tip."""
    top, tip = p.eye_y - 1.6, p.nose_y - 0.55
    along = ((y - top) * (1 / (tip - top))).clip(0, 1)
    return p.bridge_w + (0.5 * p.nose_w - p.bridge_w) * along, along


def _nose(p: Parameters, x: ndarray, y: ndarray) -> ndarray:
    """The ridge and the tip."""
    width, along = nose_width(p, y)
    ridge = p.bridge * step(along - 0.15, 0.25) + (p.nose_out - 0.2 - p.bridge) * along**1.6
    return ridge * step(p.nose_y + 0.0 - y, 0.85) * bell(0.84 * x / width)


def mouth_line(p: Parameters, x: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """Height of the line between the lips at X, what is left of the mouth's width there (1 in the middle to
    0 at the corners), and half the gap between the parted lips (cm)."""
    across = x * (1 / mouth_half(p))
    rest = (1 - across * across).clip(0)
    line = p.mouth_y - (0.15 + 0.6 * p.smile) * (1 - rest) + 0.06 * rest
    return line, rest, 0.5 * max(p.open, 0) * rest


def mouth_half(p: Parameters) -> float:
    """Half the width of the mouth: a smile widens it."""
    return p.mouth_w + 0.3 * p.smile


def _lips(p: Parameters, x: ndarray, y: ndarray) -> ndarray:
    """The lips and the groove between them."""
    line, rest, gap = mouth_line(p, x)
    below = y - line
    upper = 0.42 * bell((below + gap + 0.5 * p.lip_up) * (1 / (0.65 * p.lip_up)))
    lower = 0.55 * bell((below - gap - 0.5 * p.lip_low) * (1 / (0.6 * p.lip_low)))
    return (upper + lower - (0.28 + 0.6 * gap) * bell(below / (0.28 + gap))) * np.sqrt(rest)


def ear_place(p: Parameters, angle: ndarray, y: ndarray) -> ndarray:
    """Squared distance from the middle of the ear, in its half-axes, at |angle|, Y: below 1 is ear."""
    across, down = (angle - 1.735 + 0.03 * y) * (1 / 0.27), (y - 1.5) * (1 / (3.3 * p.ear_size))
    return across * across + down * down


def _ear(p: Parameters) -> ndarray:
    place = ear_place(p, GRID.angle, GRID.y)
    shell = step(1 - place, 0.9) * (0.35 + 0.65 * (place / 0.8).clip(max=1))
    return p.ear_out * shell * (1 + 0.5 * (GRID.angle - 1.69))


def _stretch(p: Parameters) -> ndarray:
    """How far points move down: long or short lower faces, and the jaw of an open mouth."""
    lower = (GRID.y - p.nose_y).clip(0, CHIN - 3.5)
    drop = 0.75 * max(p.open, 0) * step(GRID.y - p.mouth_y - 0.8, 2.4)
    chin = p.chin_drop * step(GRID.y - p.mouth_y - 2.4, 1.6) * step(CHIN + 1.5 - GRID.y, 2.0)
    return (p.lower_face - 1) * lower + (drop + chin) * GRID.at_mouth


def _comb(p: Parameters, hair: ndarray, x: ndarray, y: ndarray, back: ndarray) -> tuple:
    """Lifts the hair off the skull; long hair hangs down from the widest part of the head."""
    g, flat = GRID, x * x + back * back
    lift = hair * (p.hair_thick * g.crest) / np.sqrt((flat + g.rise * g.rise).clip(1e-6))
    x, y, back = x * (1 + lift), y + lift * g.rise, back * (1 + lift)
    if is_long(p):
        radius = np.sqrt(x * x + back * back).clip(1e-3)
        swell = 1 + hair * g.hangs * ((SIDE + 0.8 * p.hair_thick) / radius - 1).clip(0)
        x, back = x * swell, back * swell
    return x, y, back
