"""`SyntheticFaces`: procedural faces with exact ground truth, made while they are read; nothing is stored.

Drawn uniformly unless said otherwise, by seed: an identity from `heads.SHAPE` and `paint.COLOUR`; for every
image of it an expression from `heads.EXPRESSION`, yaw within +-`yaw` degrees, pitch within +-20 and roll
within +-10 degrees (both triangular, commonest at 0), translation within +-0.005, a light and a background.
The camera sees 10 degrees. In the face framing (see `framing`) the translation across the picture is the one
that keeps the face where it is. All of it is our own design; only the camera is the paper's family's. The
book's data card describes the set.
"""

import copy
import hashlib
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from igc import geometry
from igc.data import framing, heads, scene
from igc.data.framing import FRAMES
from igc.data.heads import Parameters
from igc.data.planted import CODES, IDENTITY, NUMBERS, PLANTED, planted_identity
from igc.data.regions import FACE_PARTS, LABELS
from igc.data.scene import FOV
from igc.data.upside_down import upside_down as turned_around
from igc.errors import UserError

VERSION = "synthetic-2"
"""Changes whenever the same arguments would give other images."""
SPLITS = ("train", "validation", "test")
BACKGROUNDS = ("plain", "clutter")
PITCH, YAW, ROLL, SHIFT = 20.0, 45.0, 10.0, 0.005
AMBIENT, DIFFUSE, SIDEWAYS = (0.3, 0.6), (0.4, 0.7), 0.8
"""Ranges of the light's weights, and of x and y of its direction (x, y, -1) before it is normalised."""
BENCHMARK = {"train": 8192, "validation": 1000, "test": 1000}
"""Images of the fixed splits: seed 0, 8 of each person, all other arguments at their defaults."""
CHECKSUMS = {
    "train": "becc3cdf2a9a8711f2cb6c1df605b5bb57d49398015ac2b0cb5f0dca41c5a948",
    "validation": "db0c74a25ea0aa4ea26e93e10b244565c7ca8f9a34714167ba83af908eb58f0f",
    "test": "658a3e3bbeab1552284cbc1595ba36a55d7bc3a87cf20db4a71faf772986fdf9",
}
"""`SyntheticFaces.checksum` of the fixed splits: the same on every machine."""

__all__ = ["BENCHMARK", "CHECKSUMS", "FACE_PARTS", "FOV", "LABELS", "PLANTED", "VERSION", "SyntheticFaces"]


class Draw(NamedTuple):
    """What one picture is made of."""

    p: Parameters
    pose: Tensor
    """(6,) pitch, yaw, roll in radians, then the translation."""
    light: Tensor
    """(5,) ambient, diffuse and the direction to the light in the view."""
    backdrop: ndarray
    """Numbers in [0, 1) for the background."""
    glasses: ndarray | None
    """Numbers in [0, 1) for the glasses."""


class SyntheticFaces(torch.utils.data.Dataset):
    """Procedural faces; `ds[i]` is a dict of tensors, `ds.batch(indices)` the same for many at once.

    `split`: train, validation or test, with different people. `count`: how many images. `size`: pixels of a
    side, a multiple of 16. `seed`: another seed is another world of people. `background`: plain (a soft
    gradient) or clutter. `yaw`: largest yaw in degrees, in (0, 90]; if not given 45, or 20 where the frame is
    the face. `per_identity`: images of each person, in a row. `planted`: one of PLANTED, to write identity
    only there. `shadows`: the head throws shadows on itself. `glasses`: half of the images show glasses,
    whoever it is. `frame`: "head" shows all of the head, "face" what a cropper of photographs cuts out,
    `side` times as wide as eyes and mouth are apart, in [1, 4]. `upside_down`: pictures and truth are turned
    by 180 degrees. `renew`: after how many epochs training goes on with new people, see `epoch`; 0: never.
    Item i is the same whatever `count` is and however it is read.
    Raises UserError for arguments outside of these.

    Items: `image` (3, S, S) in [0, 1]; `identity` int64, unique across splits; in the view's frame `depth`
    (S, S), 0 on the background, `normal` and `albedo` (3, S, S), `labels` (S, S) int64 (see LABELS); the same
    at zero pose under `canonical_` and those names; `landmarks` (68, 2) in pixels, `landmarks_visible` (68,)
    bool, `landmarks_3d` (68, 3) in the camera frame; `pose` (6,) as `geometry.transform` takes it; `light`
    (5,) ambient, diffuse and the direction to the light in the CANONICAL frame, as `model.light` is: turn it
    with `geometry.rotate` and the pose for shading the view's normals. Shadows and glasses are in the image
    only: the truth is the head's.
    """

    def __init__(
        self, split="train", count=4096, size=64, seed=0, background="plain", yaw=None, per_identity=8,
        planted=None, shadows=False, glasses=False, frame="head", side=framing.SIDE,
        upside_down=False, renew=0,
    ):  # fmt: skip
        if yaw is None:
            yaw = framing.YAW if frame == "face" else YAW
        _check(split, count, size, seed, background, yaw, per_identity, planted, shadows, glasses)
        _check_frame(frame, side, upside_down)
        _check_whole("renew", renew, 0)
        self.split, self.count, self.size, self.seed = split, int(count), int(size), int(seed)
        self.background, self.yaw, self.per_identity = background, float(yaw), int(per_identity)
        self.planted, self.shadows, self.glasses, self.fov = planted, bool(shadows), bool(glasses), FOV
        self.frame, self.side, self.upside_down = frame, float(side), upside_down
        self.renew, self.stage = int(renew), 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.batch([index]).items()}

    def epoch(self, number: int) -> "SyntheticFaces":
        """The set to train on in an epoch, counted from 0: every `renew` epochs one of other people.

        Their identities go on counting, so that nobody comes twice, and nobody from another split."""
        if not self.renew:
            return self
        later = copy.copy(self)
        later.stage = number // self.renew
        return later

    def fingerprint(self) -> str:
        """Names everything that the items depend on, in one line."""
        options = (
            self.planted, self.shadows and "shadows", self.glasses and "glasses",
            self.frame == "face" and f"face{self.side:g}", self.upside_down and "upside-down",
            self.renew and f"renew{self.renew}", self.stage and f"stage{self.stage}",
        )  # fmt: skip
        return (
            f"{VERSION}/{self.split}/{self.count}x{self.size}px/seed{self.seed}/{self.background}"
            f"/yaw{self.yaw:g}/{self.per_identity}each" + "".join(f"/{name}" for name in options if name)
        )

    def checksum(self) -> str:
        """SHA-256 of all that the images are made of, at six decimals: 64 hexadecimal digits, the same on
        every machine."""
        digest = hashlib.sha256()
        for index in range(self.count):
            drawn = self._draw(self._position(index))
            numbers = (*vars(drawn.p).values(), *drawn.pose, *drawn.light, *drawn.backdrop)
            digest.update(" ".join(f"{float(n):.6f}" for n in numbers).encode())
            if drawn.glasses is not None:
                digest.update(" ".join(f"{float(n):.6f}" for n in drawn.glasses).encode())
        return digest.hexdigest()

    def batch(self, indices, truth: bool = True) -> dict[str, Tensor]:
        """The items at `indices`, stacked; without `truth` only `image` and `identity`, which is faster.

        Every head is drawn by itself, so that an item does not depend, to the last bit, on its company."""
        items = [self._item(self._position(index), truth) for index in indices]
        return {name: torch.stack([item[name] for item in items]) for name in items[0]}

    def _position(self, index: int) -> int:
        """Where an item stands in the row of all pictures that there could be."""
        if not -self.count <= index < self.count:
            raise IndexError(f"item {index} of a data set of {self.count}")
        people = -(-self.count // self.per_identity)
        return int(index) % self.count + self.stage * people * self.per_identity

    def _item(self, index: int, truth: bool) -> dict[str, Tensor]:
        drawn = self._draw(index)
        head, light = scene.Head(drawn.p, self.side if self.frame == "face" else None), drawn.light
        pose = head.framed(drawn.pose)
        image = scene.photograph(
            head, pose, light, self.size, drawn.backdrop, self.background == "clutter", self.shadows,
            drawn.glasses,
        )  # fmt: skip
        person = index // self.per_identity + SPLITS.index(self.split) * 10**9
        out = {"image": image, "identity": torch.tensor(person)}
        if truth:
            out |= head.maps(pose, self.size)
            canonical = head.maps(torch.zeros(6), self.size)
            out |= {f"canonical_{name}": value for name, value in canonical.items()}
            out |= head.landmarks(pose, out["depth"])
            direction = light[2:] @ geometry.rotation_matrix(pose[:3])
            out |= {"pose": pose, "light": torch.cat((light[:2], direction))}
        return turned_around(out) if self.upside_down else out

    def _draw(self, index: int) -> Draw:
        """All that picture `index` is made of; each kind of it comes from a stream of its own."""
        person, how = self._stream(0, index // self.per_identity), self._stream(1, index)
        lamp = how.random(4)
        if self.planted is None:
            who = _spread(person.random(len(IDENTITY)), IDENTITY)
        else:
            code = self._stream(2, index // self.per_identity)
            who = planted_identity(self.planted, code.random((CODES, NUMBERS)), how.random(8))
            lamp = code.random(4) if self.planted == "light" else lamp
        p = Parameters(**who, **_spread(how.random(len(heads.EXPRESSION)), heads.EXPRESSION))
        pitch, roll = (how.random(2) + how.random(2) - 1) * (PITCH, ROLL)
        yaw = self.yaw * (2 * how.random() - 1)
        pose = [*np.radians((pitch, yaw, roll)), *SHIFT * (2 * how.random(3) - 1)]
        backdrop = how.random(scene.BACKDROP)
        glasses = self._stream(3, index).random(scene.GLASSES) if self.glasses else None
        return Draw(p, torch.tensor(pose, dtype=torch.float32), _light(lamp), backdrop, glasses)

    def _stream(self, kind: int, index: int) -> np.random.Generator:
        """A stream of random numbers of its own for every kind and index."""
        key = (self.seed, SPLITS.index(self.split), kind, index)
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _spread(u: ndarray, ranges: dict) -> dict[str, float]:
    """Numbers in [0, 1) stretched over the ranges."""
    return {name: low + (high - low) * x for (name, (low, high)), x in zip(ranges.items(), u.tolist())}


def _light(u: ndarray) -> Tensor:
    """Ambient, diffuse and the direction to the light (5,) from four numbers in [0, 1)."""
    weights = _spread(u, {"ambient": AMBIENT, "diffuse": DIFFUSE}).values()
    toward = np.array([*SIDEWAYS * (2 * u[2:] - 1), -1.0])
    return torch.tensor([*weights, *toward / np.sqrt((toward * toward).sum())], dtype=torch.float32)


def _is_whole(value, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


def _check_whole(name: str, value, least: int) -> None:
    if not _is_whole(value, least):
        raise UserError(f"{name}={value!r} will not do: give a whole number of at least {least}.")


def _check(split, count, size, seed, background, yaw, per_identity, planted, shadows, glasses) -> None:
    """Raises UserError for the first argument that will not do."""
    if split not in SPLITS:
        raise UserError(f"split={split!r} is not one of the splits: choose one of {', '.join(SPLITS)}.")
    if background not in BACKGROUNDS:
        raise UserError(f"background={background!r} is unknown: choose one of {', '.join(BACKGROUNDS)}.")
    if planted is not None and planted not in PLANTED:
        raise UserError(f"planted={planted!r} is unknown: choose None or one of {', '.join(PLANTED)}.")
    for name, value, least in (("count", count, 1), ("seed", seed, 0), ("per_identity", per_identity, 1)):
        _check_whole(name, value, least)
    if not _is_whole(size, 16) or size % 16:
        raise UserError(f"size={size!r} will not do: give a multiple of 16 pixels, such as 64.")
    if not isinstance(yaw, Real) or not 0 < yaw <= 90:
        raise UserError(f"yaw={yaw!r} will not do: give degrees above 0 and up to 90.")
    for name, value in (("shadows", shadows), ("glasses", glasses)):
        if not isinstance(value, bool):
            raise UserError(f"{name}={value!r} will not do: give True or False.")


def _check_frame(frame, side, upside_down) -> None:
    """Raises UserError for a framing that is none."""
    low, high = framing.SIDES
    if frame not in FRAMES:
        raise UserError(f"frame={frame!r} is unknown: choose one of {', '.join(FRAMES)}.")
    if not isinstance(side, Real) or not low <= side <= high:
        raise UserError(f"side={side!r} will not do: give a number from {low:g} to {high:g}.")
    if not isinstance(upside_down, bool):
        raise UserError(f"upside_down={upside_down!r} will not do: give True or False.")
