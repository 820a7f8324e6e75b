"""`MultiPIE`: 337 people, 15 cameras, 19 lights, 6 expressions (Gross and others, 2010)."""

import io
import math
import re

import numpy as np

from igc.data.faceset import FaceSet, images, person_code, stem
from igc.data.tree import Tree
from igc.errors import UserError

PAGE = "order it from Carnegie Mellon University, cs.cmu.edu/afs/cs/project/PIE/MultiPie"
NAME = re.compile(r"(\d{3})_(0[1-4])_(0[1-3])_(\d{3})_([01]\d)$")
HIGHRES = re.compile(r"\d{3}_\d{2}_\d{2}$")
YAW = {
    "110": 90, "120": 75, "090": 60, "080": 45, "130": 30, "140": 15, "051": 0,
    "050": -15, "041": -30, "190": -45, "200": -60, "010": -75, "240": -90,
}  # fmt: skip
"""Degrees of our yaw (positive: the nose points to the image's left) of a face that looks at camera 05_1, by
camera. Cameras stand 15 degrees apart; 11_0 sees the left profile and 24_0 the right one, as the protocols in
use call them. 08_1 and 19_1 look down from above, by an angle that the names do not tell."""
EXPRESSIONS = ("neutral", "smile", "surprise", "squint", "disgust", "scream")
RECORDED = {
    "01": (0, 1), "02": (0, 2, 3), "03": (0, 1, 4), "04": (0, 0, 5),
}  # fmt: skip
"""Expressions by session, in the order of its recordings."""
FRONTAL_FLASH, NO_FLASH = 7, (0, 19)


class MultiPIE(FaceSet):
    """CMU Multi-PIE, the multi-view images. No official split: one person in ten is the test split.

    Where: by order from CMU (see `PAGE`). Licence: a signed licence, for research within the institution.
    Checksums: none are published. Expected below `root`, unpacked or as zip archives::

        session01/multiview/001/01/05_1/001_01_01_051_07.png      person_session_recording_camera_light
        001_01_01_051_07_lm.mat, anywhere     the hand-made landmarks, where they are at hand

    Everything follows from the file's name: `identity` (person), `expression` (index into `EXPRESSIONS`),
    `pose` (yaw from the camera, all else 0: the people looked at camera 05_1; NaN for the two cameras above)
    and `light` (5,): ambient and diffuse NaN, as no name tells them, and the direction to the flash
    (canonical). Of the flashes the names tell the number, not the place; only number 7 is known to stand at
    the frontal camera. `flashes`, {number: (azimuth, elevation)} in degrees, positive towards the image's
    right and upwards as the frontal camera sees it, gives the others a direction; NaN for those without.
    `landmarks` (68, 2) are NaN where there are none; 39-point profiles are left out. Without landmarks the
    whole middle of the picture is taken, which shows much of the room: name a detector.
    """

    LABEL, WHERE = "multipie", f"files are called 001_01_01_051_07.png and the like; {PAGE}"

    def __init__(self, root, split="train", size=64, without=(), detector=None, flashes=None):
        self.flashes = {FRONTAL_FLASH: (0.0, 0.0)} | dict(flashes or {})
        super().__init__(root, split, size, without, detector)

    def _open(self):
        self.tree = Tree(self.root)
        self.skipped = list(self.tree.skipped)
        names = []
        for name in images(self.tree):
            found = NAME.match(stem(name))
            if found and found[4] in (*YAW, "081", "191") and int(found[3]) <= len(RECORDED[found[2]]):
                names.append(name)
            elif not HIGHRES.match(stem(name)):
                self._skip(name, "is not called person_session_recording_camera_light as in 001_01_01_051_07")
        labelled = [n for n in self.tree.names if n.endswith("_lm.mat") and NAME.match(stem(n)[:-3])]
        self._labels = {stem(n)[:13]: n for n in labelled}
        return names, bytes(person_code(stem(name)[:3]) for name in names)

    def settings(self):
        return super().settings() | {"flashes": sorted(self.flashes.items())}

    def truth(self, name):
        person, session, recording, camera, light = NAME.match(stem(name)).groups()
        yaw = math.radians(YAW[camera]) if camera in YAW else math.nan
        out = {
            "identity": int(person),
            "expression": RECORDED[session][int(recording) - 1],
            "pose": np.array([0, yaw, 0, 0, 0, 0] if camera in YAW else [math.nan] * 6, dtype=np.float32),
            "light": self._light(int(light)),
            "flash": int(light),
        }
        if self._labels:
            out["landmarks"] = self._landmarks(stem(name)[:13])
        return out

    def _light(self, number):
        if number not in self.flashes:
            return np.full(5, np.nan, dtype=np.float32)
        azimuth, elevation = (math.radians(angle) for angle in self.flashes[number])
        toward = (
            math.sin(azimuth) * math.cos(elevation),
            -math.sin(elevation),
            -math.cos(azimuth) * math.cos(elevation),
        )
        return np.array([math.nan, math.nan, *toward], dtype=np.float32)

    def _landmarks(self, shot):
        """(68, 2), NaN where the camera's picture of this moment has no such labels: lights share them."""
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError

        if shot not in self._labels:
            return np.full((68, 2), np.nan, dtype=np.float32)
        try:
            points = loadmat(io.BytesIO(self.tree.read(self._labels[shot])))["pts"]
        except (MatReadError, ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise UserError(f"its labels {self._labels[shot]} are damaged, so fetch them again") from error
        return points.astype(np.float32) if points.shape == (68, 2) else np.full((68, 2), np.nan, np.float32)
