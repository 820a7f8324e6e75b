"""The shape of a procedural head: parameters, one grid of vertices for everybody, landmarks.

A head is a grid of rows (crown to neck) and columns (once around, from the back over the image's left, the
face and the image's right to the back; the last column repeats the first). Its *surface coordinates* are the
same for everybody: X, the lateral distance from the midline, Y, the height, and the angle around the axis,
0 at the nose. Features sit at (X, Y) given by the parameters; the parameters then bend the surface. Lengths
are centimetres of an adult's head until `head_points` scales them. All of it is our own design.
"""

import math
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

SCALE = 0.0059
"""One centimetre of a head in the units of the camera frame."""

SHAPE = {
    "width": (0.93, 1.06), "length": (0.94, 1.06), "lower_face": (0.95, 1.10), "jaw": (-0.9, 0.7),
    "chin_width": (1.6, 2.6), "chin_out": (0.3, 1.3), "cheekbone": (0.0, 0.7), "cheek_full": (-0.4, 0.5),
    "forehead_out": (-0.4, 0.5), "brow_ridge": (0.15, 0.75), "eye_x": (3.0, 3.5), "eye_y": (-0.7, -0.1),
    "eye_w": (1.5, 1.85), "eye_h": (0.72, 0.95), "socket": (0.5, 0.95), "brow_y": (-2.75, -2.2),
    "nose_y": (3.1, 4.1), "nose_w": (1.25, 1.95), "nose_out": (1.9, 3.0), "bridge": (0.35, 1.15),
    "bridge_w": (0.65, 0.95), "mouth_y": (6.0, 6.7), "mouth_w": (2.6, 3.4), "lip_up": (0.45, 0.85),
    "lip_low": (0.6, 1.1), "muzzle": (0.2, 0.8), "ear_out": (1.3, 2.3), "ear_size": (0.9, 1.15),
    "neck": (0.86, 1.1), "hairline": (-7.6, -5.6), "recede": (0.0, 1.6), "hair_thick": (0.5, 1.6),
    "hair_long": (0.0, 1.0),
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


def _columns() -> np.ndarray:
    """Angles of the columns, dense on the face and at the ears: (W,) radians, -pi to pi."""
    knots = ((0, 50, 2.3), (50, 82, 4.0), (82, 118, 3.6), (118, 180, 10.0))
    half = [np.linspace(a, b, round((b - a) / step), endpoint=False) for a, b, step in knots]
    half = np.radians(np.concatenate([*half, [180.0]]))
    return np.concatenate([-half[:0:-1], half])


def _rows() -> np.ndarray:
    """Heights of the rows, dense from the brows to the chin: (H,) cm, crown first."""
    cap = EQUATOR - 0.8 + (CROWN - EQUATOR + 0.8) * np.cos(np.linspace(0, 0.5 * math.pi, 14))[:-1]
    face = np.arange(EQUATOR - 0.8, CHIN + 0.4, 0.34)
    return np.concatenate([cap, face, np.linspace(CHIN + 0.7, NECK_END, 7)])


def _equator_radius(phi: np.ndarray) -> np.ndarray:
    """Horizontal section of the skull at its widest, as a radius about the axis."""
    depth = np.where(np.cos(phi) > 0, FRONT, BACK)
    power = 2.3
    return ((np.abs(np.sin(phi)) / SIDE) ** power + (np.abs(np.cos(phi)) / depth) ** power) ** (-1 / power)


PHI, HEIGHT = _columns(), _rows()
LATERAL = _equator_radius(PHI) * np.sin(PHI)
_DEGREES = np.abs(np.degrees(PHI))
_JAW_ANGLES = (0, 15, 40, 60, 80, 95, 120, 180)
_JAW_RISES = (0, -0.05, -0.6, -1.6, -3.2, -4.3, -5.0, -5.5)
_JAW = np.interp(_DEGREES, _JAW_ANGLES, _JAW_RISES) + CHIN
_HAIRLINE = np.interp(
    _DEGREES,
    (0, 25, 42, 56, 64, 70, 76, 82, 86, 100, 112, 124, 150, 180),
    (-6.5, -6.5, -6.4, -5.3, -3.3, -2.1, 1.3, 1.7, -1.3, -2.3, -0.5, 6.0, 8.5, 9.0),
)
_HAIRLINE_MOVES = np.interp(_DEGREES, (0, 45, 75), (1, 1, 0))
_TEMPLE = np.exp(-(((_DEGREES - 36) / 13) ** 2))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


GRID = SimpleNamespace(
    y=_tensor(HEIGHT)[:, None], phi=_tensor(PHI), x=_tensor(LATERAL), side=_tensor(np.abs(LATERAL)),
    sin=_tensor(np.sin(PHI)), cos=_tensor(np.cos(PHI)), equator=_tensor(_equator_radius(PHI)),
    jaw=_tensor(_JAW), hairline=_tensor(_HAIRLINE), moves=_tensor(_HAIRLINE_MOVES), temple=_tensor(_TEMPLE),
)  # fmt: skip
"""Surface coordinates and curves of the grid: y is (H, 1), all others (W,)."""


def bell(x: Tensor) -> Tensor:
    """exp(-x^2), cut off where it is below 1e-13: denormal numbers are slow."""
    return torch.exp(-(x**2).clamp(max=30))


def bumps(x: Tensor, y: Tensor, *each: tuple) -> Tensor:
    """Sum of amount * exp(-((x - cx) / wx)^2 - ((y - cy) / wy)^2) over tuples (amount, cx, cy, wx, wy).

    x and y both (N,): their sum there, (N,). x (W,) and y (H, 1): over the whole grid, (H, W)."""
    amount, cx, cy, wx, wy = torch.tensor(each).T[:, :, None]
    if x.shape == y.shape:
        return (amount.T @ torch.exp(-(((x - cx) / wx) ** 2 + ((y - cy) / wy) ** 2).clamp(max=30)))[0]
    return (amount * bell((y[:, 0] - cy) / wy)).T @ bell((x - cx) / wx)


def step(x: Tensor, width: float) -> Tensor:
    """Rises smoothly from 0 to 1 around x = 0: 0.02 at -width, 0.98 at width."""
    return torch.sigmoid(x * (4.0 / width))


def is_long(p: Parameters) -> bool:
    """Whether the hair hangs over ears and neck."""
    return p.hair_long > 0.6


def surface_coordinates(p: Parameters) -> Tensor:
    """What the paint needs to know at every vertex, (5, H, W): X, Y and the angle; how far inside the hair
    and how far above the jaw's lower edge it lies (both cm, negative outside)."""
    g = GRID
    line = g.hairline + g.moves * (p.hairline + 6.5) - p.recede * g.temple
    if is_long(p):
        curtain = (p.hair_long - 0.6) / 0.4 * 9 + 7
        line = torch.where(g.phi.abs() > 1.22, torch.clamp(line, min=curtain), line)
    channels = (g.x, g.y, g.phi, line - g.y, _jaw(p) - g.y)
    return torch.stack([channel.expand(len(HEIGHT), len(PHI)) for channel in channels])


def head_points(p: Parameters, surface: Tensor) -> Tensor:
    """Vertices (H, W, 3) of a head at zero pose, in the camera frame (turned about (0, 0, 1))."""
    g, hair = GRID, step(surface[3], 1.0)
    skin = 1 - hair
    radius = _radius(p) + _ear(p) * skin
    x, y = radius * g.sin * p.width, g.y + _stretch(p)
    z = AXIS - radius * g.cos - _relief(p) * skin
    x, y, z = _comb(p, hair, x, y, z)
    return torch.stack((x * SCALE, y * p.length * SCALE, z * SCALE + 1), dim=-1)


def _jaw(p: Parameters) -> Tensor:
    """Height of the jaw's lower edge in every column (W,)."""
    return GRID.jaw + 0.5 * p.jaw * GRID.sin.abs()


def _radius(p: Parameters) -> Tensor:
    """The skull with the jaw, and the neck, without features: distance (H, W) from the axis."""
    g = GRID
    front = g.cos.clamp(min=0)
    up = ((EQUATOR - g.y) / (EQUATOR - CROWN)).clamp(0, 1)
    down = ((g.y - EQUATOR) / (_jaw(p) - EQUATOR)).clamp(0, 1)
    above = (1 - up ** (2.2 + 0.4 * front)).clamp(min=0) ** 0.5
    below = (1 - down ** (2.8 + 1.7 * front**2 + 0.5 * p.jaw * g.sin**2)).clamp(min=0) ** 0.5
    skull = g.equator * above * below
    section = torch.where(g.cos > 0, 2.6, 5.6)
    neck = ((g.sin.abs() / 4.8) ** 2 + (g.cos.abs() / section) ** 2) ** -0.5 * p.neck
    shoulders = 1 + (0.9 * g.sin**2 + 0.2) * ((g.y - 12.3).clamp(min=0) / 3.2) ** 1.5
    return (skull**8 + (neck * step(g.y - 3.0, 6.0) * shoulders) ** 8) ** 0.125


def _relief(p: Parameters) -> Tensor:
    """What stands out of the face towards the front, in cm (H, W); negative in the eye sockets."""
    x, y = GRID.side, GRID.y
    cheek = 0.25 + p.cheek_full + 0.5 * max(p.smile, 0)
    out = bumps(
        x, y,
        (p.forehead_out, 0, -6, 4, 3), (p.brow_ridge, 2.4, p.brow_y + 0.1, 2.4, 0.9),
        (-p.socket, p.eye_x - 0.2, p.eye_y, 2.1, 1.25), (0.62, p.eye_x, p.eye_y, 1.25, 0.85),
        (0.9 * p.cheekbone, 4.7, 1.8, 1.7, 1.5), (cheek, 4.0, 4.3, 1.9, 1.9),
        (0.95, 0.75 * p.nose_w, p.nose_y - 0.45, 0.42 * p.nose_w, 0.6),
        (-0.3, p.nose_w + 0.9, p.nose_y + 0.2, 0.6, 0.9),
        (p.muzzle, 0, p.mouth_y, 3.2, 2.0),
        (-0.35, 0, p.mouth_y + p.lip_low + 0.75 + 0.5 * max(p.open, 0), 1.9, 0.5),
        (p.chin_out, 0, 9.3, p.chin_width, 1.1),
    )  # fmt: skip
    return (out + _nose(p, x, y) + _lips(p, x, y)) * step(GRID.cos - 0.25, 0.4)


def _nose(p: Parameters, x: Tensor, y: Tensor) -> Tensor:
    """The ridge and the tip."""
    top, tip = p.eye_y - 1.6, p.nose_y - 0.55
    along = (y - top) / (tip - top)
    start, along = step(along - 0.15, 0.25), along.clamp(min=0)
    ridge = p.bridge * start + (p.nose_out - p.bridge) * along.clamp(max=1) ** 1.6
    ridge = ridge * step(p.nose_y + 0.05 - y, 0.7)
    width = p.bridge_w + (0.62 * p.nose_w - p.bridge_w) * along.clamp(max=1)
    return ridge * bell(0.84 * x / width)


def mouth_line(p: Parameters, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Height of the line between the lips at X, what is left of the mouth's width there (1 in the middle to
    0 at the corners), and half the gap between the parted lips (cm)."""
    across = x / mouth_half(p)
    rest = (1 - across**2).clamp(min=0)
    line = p.mouth_y - (0.15 + 0.6 * p.smile) * (1 - rest) + 0.06 * rest
    return line, rest, 0.5 * max(p.open, 0) * rest


def mouth_half(p: Parameters) -> float:
    """Half the width of the mouth: a smile widens it."""
    return p.mouth_w + 0.3 * p.smile


def _lips(p: Parameters, x: Tensor, y: Tensor) -> Tensor:
    """The lips and the groove between them."""
    line, rest, gap = mouth_line(p, x)
    upper = 0.42 * bell((y - line + gap + 0.5 * p.lip_up) / (0.65 * p.lip_up))
    lower = 0.55 * bell((y - line - gap - 0.5 * p.lip_low) / (0.6 * p.lip_low))
    return (upper + lower - (0.28 + 0.6 * gap) * bell((y - line) / (0.28 + gap))) * rest**0.5


def ear_place(p: Parameters, phi: Tensor, y: Tensor) -> Tensor:
    """Squared distance from the middle of the ear, in its half-axes: below 1 is ear."""
    return ((phi.abs() - 1.735 + 0.03 * y) / 0.27) ** 2 + ((y - 1.5) / (3.3 * p.ear_size)) ** 2


def _ear(p: Parameters) -> Tensor:
    place = ear_place(p, GRID.phi, GRID.y)
    shell = step(1 - place, 0.9) * (0.35 + 0.65 * (place / 0.8).clamp(max=1))
    return p.ear_out * shell * (1 + 0.5 * (GRID.phi.abs() - 1.69))


def _stretch(p: Parameters) -> Tensor:
    """How far points move down: long or short lower faces, and the jaw of an open mouth."""
    lower = (GRID.y - p.nose_y).clamp(0, CHIN - 3.5)
    drop = 0.75 * max(p.open, 0) * step(GRID.y - p.mouth_y - 0.8, 2.4) * step(GRID.cos - 0.2, 1.0)
    return (p.lower_face - 1) * lower + drop


def _comb(p: Parameters, hair: Tensor, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lifts the hair off the skull; long hair hangs down from the widest part of the head."""
    back = z - AXIS
    rise = 0.8 * (GRID.y - EQUATOR).clamp(max=0)
    length = (x**2 + back**2 + rise**2).clamp(min=1e-6).sqrt()
    lift = hair * p.hair_thick * (0.35 + 0.65 * step(1.0 - GRID.y, 12.0)) / length
    x, y, back = x * (1 + lift), y + lift * rise, back * (1 + lift)
    if is_long(p):
        hang = hair * step(GRID.y - 0.5, 4.0) * step(GRID.phi.abs() - 1.2, 0.3)
        radius = (x**2 + back**2).clamp(min=1e-6).sqrt()
        swell = 1 + hang * ((SIDE + 0.8 * p.hair_thick) / radius - 1).clamp(min=0)
        x, back = x * swell, back * swell
    return x, y, AXIS + back


def landmark_places(p: Parameters) -> Tensor:
    """Surface coordinates (68, 2) = X, Y of the landmarks in the usual order of 68: jaw 0-16, brows 17-26,
    nose 27-35, eyes 36-47, mouth 48-67, each from the image's left to its right (lids and lips clockwise)."""
    jaw, brow, eye = _jaw_places(p), _brow_places(p), _eye_places(p)
    left = torch.tensor((-1.0, 1.0))
    jaw = torch.cat((jaw * left, jaw[:-1].flip(0)))
    brows = torch.cat((brow * left, brow.flip(0)))
    eyes = torch.cat((eye * left, eye[[3, 2, 1, 0, 5, 4]]))
    return torch.cat((jaw, brows, _nose_places(p), eyes, _mouth_places(p)))


def _jaw_places(p: Parameters) -> Tensor:
    """The outline of the jaw as the front shows it, from the ear to the chin (9, 2)."""
    phi = np.radians((78.0, 70.0, 59.0, 52.0, 43.0, 37.0, 28.0, 15.0, 0.0))
    y = _tensor((-0.5, 1.8, 4.0, 5.9, 7.4, 8.4, 9.1, 9.6, 9.8))
    return torch.stack((_tensor(_equator_radius(phi) * np.sin(phi)), y), dim=1)


def brow_line(p: Parameters, x: Tensor) -> Tensor:
    """Height of the middle of a brow at lateral distance x >= 0."""
    return p.brow_y - p.raised - 0.55 + 0.085 * (x - p.eye_x - 0.35) ** 2


def _brow_places(p: Parameters) -> Tensor:
    x = p.eye_x + torch.tensor((2.1, 1.3, 0.3, -0.8, -1.8))
    return torch.stack((x, brow_line(p, x)), dim=1)


def lids(p: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
    """Heights of the edges of the upper and the lower lid at lateral distance x >= 0."""
    across = ((x - p.eye_x) / p.eye_w).clamp(-1, 1)
    tilt, rest = p.eye_y - 0.12 * across, 1 - across**2
    return tilt - p.eye_h * p.lids * rest * (1 - 0.2 * across), tilt + 0.55 * p.eye_h * rest


def _eye_places(p: Parameters) -> Tensor:
    x = p.eye_x + p.eye_w * torch.tensor((1.0, 0.38, -0.38, -1.0, -0.38, 0.38))
    upper, lower = lids(p, x)
    return torch.stack((x, torch.cat((upper[:4], lower[4:]))), dim=1)


def _nose_places(p: Parameters) -> Tensor:
    top, tip = p.eye_y - 0.5, p.nose_y - 0.55
    ridge = top + (tip - top) * torch.tensor((0.0, 0.34, 0.67, 1.0))
    x = p.nose_w * torch.tensor((-1.0, -0.5, 0.0, 0.5, 1.0))
    y = p.nose_y + torch.tensor((0.0, 0.12, 0.2, 0.12, 0.0))
    return torch.cat((torch.stack((torch.zeros(4), ridge), dim=1), torch.stack((x, y), dim=1)))


def _mouth_places(p: Parameters) -> Tensor:
    x = mouth_half(p) * torch.tensor((-1, -0.6, -0.2, 0, 0.2, 0.6, 1, 0.6, 0.25, 0, -0.25, -0.6))
    side = torch.tensor((0.0, -1, -1, -1, -1, -1, 0, 1, 1, 1, 1, 1))
    line, rest, gap = mouth_line(p, x)
    outer = line + side * (gap + torch.where(side < 0, p.lip_up, p.lip_low) * rest**0.65)
    x_in = mouth_half(p) * torch.tensor((-0.85, -0.3, 0, 0.3, 0.85, 0.3, 0, -0.3))
    line, _, gap = mouth_line(p, x_in)
    inner = line + torch.tensor((0.0, -1, -1, -1, 0, 1, 1, 1)) * gap
    return torch.stack((torch.cat((x, x_in)), torch.cat((outer, inner))), dim=1)


def surface_points(vertices: Tensor, places: Tensor) -> Tensor:
    """Points (N, 3) of a grid of vertices (H, W, 3) at surface coordinates (N, 2) = X, Y of the face (angles
    up to 85 degrees)."""
    face = np.flatnonzero(_DEGREES <= 85)
    column = _fractional_index(places[:, 0], LATERAL[face]) + float(face[0])
    row = _fractional_index(places[:, 1], HEIGHT)
    i, j = row.long(), column.long()
    a, b = (row - i)[:, None], (column - j)[:, None]
    upper = torch.lerp(vertices[i, j], vertices[i, j + 1], b)
    return torch.lerp(upper, torch.lerp(vertices[i + 1, j], vertices[i + 1, j + 1], b), a)


def _fractional_index(values: Tensor, knots: np.ndarray) -> Tensor:
    """Where values lie among increasing knots, in units of their index."""
    grid = _tensor(knots)
    right = torch.searchsorted(grid, values.contiguous()).clamp(1, len(knots) - 1)
    return right - 1 + (values - grid[right - 1]) / (grid[right] - grid[right - 1])
