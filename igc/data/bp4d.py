"""`BP4D`: 41 people in eight tasks on video, with coded action units (Zhang and others, 2014)."""

import io
import re

import numpy as np

from igc.data.faceset import FaceSet, images, person_code, stem
from igc.data.images import shown
from igc.data.tree import Tree
from igc.errors import UserError

PAGE = "apply for it at Binghamton University, cs.binghamton.edu/~lijun/Research/3DFE"
FRAME = re.compile(r"(?:.*/)?([FM]\d{3})/(T[1-8])/(\d+)\.(?:jpe?g|png)$", re.IGNORECASE)
TRACKED = 49
"""Landmarks of the set's 2D features."""


class BP4D(FaceSet):
    """BP4D-Spontaneous, its 2D frames. No official split: one person in ten is the test split.

    Where: by application to Binghamton University (see `PAGE`). Licence: a signed one, for research only.
    Checksums: none are published. Expected below `root`, as folders or still zipped::

        F001/T1/0001.jpg ... (below 2D+3D/ or BP4D-training/; F001.zip)       person/task/frame
        AUCoding/AU_OCC/F001_T1.csv     left out with without=("expression",)
        2DFeatures/F001_T1.mat          left out with without=("landmarks",)

    Items: `image`; `identity` (the number, plus 1000 for M); `expression` (U,): whether each of the action
    units that `units` lists is seen, 1 or 0, and -1 where a frame or a unit was not coded; `landmarks`
    (49, 2), NaN where the tracker lost the face. Frames follow from the landmarks; without them name a
    detector, as the pictures show the shoulders too.
    """

    LABEL, WHERE, OPTIONAL = (
        "bp4d",
        f"frames are called F001/T1/0001.jpg; {PAGE}",
        ("expression", "landmarks"),
    )

    def _open(self):
        self.tree = Tree(self.root)
        self.skipped = list(self.tree.skipped)
        names = []
        for name in images(self.tree):
            if FRAME.match(name):
                names.append(name)
            else:
                self._skip(name, "is not called person/task/frame as in F001/T1/0001.jpg")
        clips = sorted({_clip(name) for name in names})
        self.units, self._codes, self._tracks = (), {}, {}
        if "expression" not in self.without:
            self._read_codes(clips)
        if "landmarks" not in self.without:
            for clip in clips:
                file = self.tree.find(f"{clip}.mat", f"{PAGE} (2DFeatures), or leave out 'landmarks'")
                self._tracks[clip] = _tracked(self.tree.read(file), file)
        return names, bytes(person_code(_clip(name)[:4]) for name in names)

    def _read_codes(self, clips):
        """Fills `units` and, for every clip, {frame: codes}. Occurrence is preferred to intensity."""
        coded = [n for n in self.tree.names if n.lower().endswith(".csv") and "AU_INT" not in n]
        files = {stem(name): name for name in coded}
        tables = {}
        for clip in clips:
            name = files.get(clip) or self.tree.find(
                f"{clip}.csv", f"{PAGE} (AUCoding), or leave out 'expression'"
            )
            tables[clip] = _coded(self.tree.read(name), name)
        self.units = tuple(sorted({unit for units, _ in tables.values() for unit in units}))
        for clip, (units, frames) in tables.items():
            place = [self.units.index(unit) for unit in units]
            self._codes[clip] = {}
            for frame, values in frames.items():
                row = np.full(len(self.units), -1, dtype=np.int8)
                row[place] = np.where(np.isin(values, (0, 1)), values, -1)
                self._codes[clip][frame] = row

    def truth(self, name):
        clip, frame = _clip(name), int(FRAME.match(name)[3])
        out = {"identity": int(clip[1:4]) + (1000 if clip[0] == "M" else 0)}
        if self._codes:
            out["expression"] = self._codes[clip].get(frame, np.full(len(self.units), -1, dtype=np.int8))
        if self._tracks:
            lost = np.full((TRACKED, 2), np.nan, dtype=np.float32)
            out["landmarks"] = self._tracks[clip].get(frame, lost)
        return out


def _clip(name):
    """Person and task, as in F001_T1."""
    person, task, _ = FRAME.match(name).groups()
    return f"{person}_{task}".upper()


def _coded(data, name):
    """(units, {frame: values}) of a file of codes: a line of units, then a line a frame."""
    try:
        head, *lines = [line.split(",") for line in data.decode("utf-8-sig").splitlines() if line.strip()]
        units = [int(unit) for unit in head[1:]]
        frames = {int(frame): [int(v) for v in values] for frame, *values in lines}
        if any(len(values) != len(units) for values in frames.values()):
            raise ValueError("ragged")
    except ValueError as error:
        raise UserError(
            f"{shown(name)} is not a table of action units (frame, then a column a unit): fetch it again."
        ) from error
    return units, frames


def _tracked(data, name):
    """{frame: (49, 2)} of the 2D features: `fit`, with `isTracked` and `pred` for every frame."""
    from scipy.io import loadmat

    try:
        entries = np.atleast_1d(loadmat(io.BytesIO(data), squeeze_me=True, struct_as_record=False)["fit"])
        frames = {}
        for place, entry in enumerate(entries):
            points = np.asarray(getattr(entry, "pred", []), dtype=np.float32)
            if np.all(getattr(entry, "isTracked", 1)) and points.shape == (TRACKED, 2):
                frames[int(getattr(entry, "frame", place))] = points
        return frames
    except Exception as error:  # scipy raises nearly everything on damaged files
        raise UserError(f"{shown(name)} does not hold tracked landmarks ('fit'): fetch it again.") from error
