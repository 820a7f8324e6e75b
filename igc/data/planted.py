"""Sets of people who differ in known places only, to hold an analysis against a known answer."""

from typing import NamedTuple

import numpy as np
from numpy import ndarray

from igc.data.heads import SHAPE
from igc.data.paint import COLOUR

IDENTITY = {**SHAPE, **COLOUR}
"""All that makes an identity, with its range."""


class Cue(NamedTuple):
    """A place where identity is written."""

    region: str
    """A name in LABELS, or "whole picture"."""
    kind: str
    """"shape", "albedo" or "light"."""
    weight: float
    """The share of the cue's variance that lies between people; the rest is redrawn for every picture."""
    code: int = 0
    """Which of a person's two codes it carries: cues with the same code say the same."""


PLANTED = {
    "nose shape": (Cue("nose", "shape", 1.0),),
    "mouth albedo": (Cue("lips", "albedo", 1.0),),
    "brows and chin": (Cue("brows and eyes", "albedo", 2 / 3), Cue("chin and jaw", "shape", 1 / 3, 1)),
    "redundant": (Cue("nose", "shape", 1.0), Cue("lips", "albedo", 1.0)),
    "nothing": (),
    "light": (Cue("whole picture", "light", 1.0),),
}
"""What tells people apart in each planted set; every other parameter of an identity is the middle of its
range. "light" is a confounder: the people are all the same, and each is always lit in the same way."""

CUES = {
    ("nose", "shape"): ("nose_w", "nose_out", "nose_y", "bridge", "bridge_w"),
    ("lips", "albedo"): ("lip_red", "lip_dark", "lip_hue"),
    ("brows and eyes", "albedo"): ("brow_thick", "brow_dark", "brow_arch"),
    ("chin and jaw", "shape"): ("chin_width", "chin_out", "chin_drop"),
    ("whole picture", "light"): (),
}
"""The parameters that a cue moves: parameter j follows number j mod 3 of the code."""
CODES, NUMBERS = 2, 3


def planted_identity(name: str, person: ndarray, picture: ndarray) -> dict[str, float]:
    """The identity parameters of one picture in the planted set `name`.

    `person` (CODES, NUMBERS) and `picture` (parameters of all cues, at most 8) hold numbers in [0, 1), drawn
    for the person and for the picture. With u and v those numbers stretched to [-1, 1), w the cue's weight
    and h half the width of a parameter's range, the parameter is
    middle + h (sqrt(w) u + sqrt(1 - w) v) / (sqrt(w) + sqrt(1 - w)), which never leaves the range.
    """
    drawn = {key: 0.5 * (low + high) for key, (low, high) in IDENTITY.items()}
    picture = iter(picture)
    for cue in PLANTED[name]:
        between, within = np.sqrt(cue.weight), np.sqrt(1 - cue.weight)
        for j, key in enumerate(CUES[cue.region, cue.kind]):
            u, v = 2 * person[cue.code, j % NUMBERS] - 1, 2 * next(picture) - 1
            low, high = IDENTITY[key]
            drawn[key] += 0.5 * (high - low) * (between * u + within * v) / (between + within)
    return {key: float(value) for key, value in drawn.items()}
