"""The face framing: heads placed so that the camera shows what a cropper of photographs cuts out.

It is a square whose side is `side` times the distance from the middle of the eyes to the middle of the mouth,
with the eyes at 29 % of its height and the face's midline in the middle. Nothing is resampled: a head is
scaled and moved, once for each person, so that the canonical picture shows that square, and every pose
gets the translation that keeps it there, since a cropper measures eyes and mouth in the picture itself. The
size is the person's own: a turned head is not made larger because its eyes and mouth come closer together.
All of it is our own design.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from igc import geometry
from igc.data import heads
from igc.data.crop import EYES_AND_MOUTH
from igc.data.heads import Parameters
from igc.data.landmarks import landmark_places, surface_points

FRAMES = ("head", "face")
EYES = 0.29
"""How far down the picture the eyes are, as a share of its height."""
SIDE, YAW = 1.7, 20.0
"""The defaults of the face framing, yaw in degrees: 6 % of the pixels are background."""
SIDES = (1.0, 4.0)
"""Sides that can be drawn: at the upper end the picture shows the whole head."""
NEUTRAL = {"open": 0.0, "smile": 0.0, "raised": 0.0, "lids": 1.0}
"""The expression in which a person is measured."""
CENTRE = np.array(geometry.CENTRE, np.float32)


class Placement(NamedTuple):
    """Where a head's points go: scaled about (0, 0, 1), then moved."""

    scale: float
    shift: ndarray
    """(3,) x, y, z of the camera frame."""

    def of(self, points: ndarray) -> ndarray:
        """Points (..., 3) of the head at zero pose as the framing places them."""
        return ((points - CENTRE) * np.float32(self.scale) + (CENTRE + self.shift)).astype(np.float32)


def placement(p: Parameters, side: float, fov: float) -> Placement:
    """Where a person's head goes for a camera that sees `fov` radians: the same in all of its expressions.

    The canonical picture is then `side` times as high as the neutral face's eyes and mouth are apart, and the
    point half-way between them lies at depth 1, so that the face turns about itself.
    """
    neutral = Parameters(**vars(p) | NEUTRAL)
    vertices = heads.head_points(neutral, heads.surface_coordinates(neutral))
    (_, eyes_y, eyes_z), (_, mouth_y, mouth_z) = eyes_and_mouth(
        surface_points(vertices, landmark_places(neutral)).astype(np.float64)
    )
    middle = 0.5 * (eyes_z + mouth_z)
    high = _height(fov)
    eyes, mouth = (EYES - 0.5) * high, (EYES - 0.5 + 1 / side) * high  # y of both in the picture, at depth 1
    apart = mouth_y - eyes_y - mouth * (mouth_z - middle) + eyes * (eyes_z - middle)
    scale = (mouth - eyes) / apart
    down = eyes * (1 + scale * (eyes_z - middle)) - scale * eyes_y
    return Placement(scale, np.array((0.0, down, scale * (1 - middle)), np.float32))


def kept(points: Tensor, pose: Tensor, fov: float) -> Tensor:
    """A pose (6,) with the x and y of its translation such that the framing holds in the view.

    `points` (68, 3): the canonical landmarks. Their eyes come to `EYES` of the height, and the middle of the
    eyes as far to one side of the picture's middle column as that of the mouth to the other.
    """
    still = torch.cat((pose[:3], pose.new_zeros(2), pose[5:]))
    eyes, mouth = eyes_and_mouth(geometry.transform(points[None], still[None])[0].double())
    x = -(eyes[0] / eyes[2] + mouth[0] / mouth[2]) / (1 / eyes[2] + 1 / mouth[2])
    y = (EYES - 0.5) * _height(fov) * eyes[2] - eyes[1]
    return torch.cat((pose[:3], torch.stack((x, y)).to(pose.dtype), pose[5:]))


def eyes_and_mouth(landmarks):
    """The middles of the eyes and of the mouth, each (3,) or (2,), of 68 landmarks (68, 3) or (68, 2)."""
    (a, b), (c, d), (e, f) = EYES_AND_MOUTH[68]
    return (landmarks[a:b].mean(0) + landmarks[c:d].mean(0)) / 2, landmarks[e:f].mean(0)


def _height(fov: float) -> float:
    """How high the picture is at depth 1."""
    return 2 * math.tan(0.5 * fov)
