"""The table: which systems there are, on which faces they are measured, by what, and how it is summed up.

All systems get the same images, the same split, the same budget of wall time on the same machine, and a
search of settings that looks at no label.
"""

import importlib
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from igc import floors, metrics
from igc.analysis import recognise, split_views
from igc.data import FACE_PARTS, SyntheticFaces, read_all, scene
from igc.errors import UserError
from igc.evaluate import evaluate_floors
from peers.base import IMAGES, Loaded, Peer

MODULES = (
    "ours", "grid_bands", "k_means", "dff", "concentration", "scae", "hp_capsule", "autoencoder", "unsup3d",
    "graphics_code", "morphable",
)  # fmt: skip
"""Modules of `peers` in the order of the table's rows."""

FIGURES = {
    "nmi": True, "ari": True, "iou": True, "nme": False, "turning": True, "side": False, "mad": False,
    "rank1": True, "rank1_looked": True, "seconds": None, "parameters": None,
}  # fmt: skip
"""The table's columns, and whether more is better; None where nobody is first."""

FLOORS = {
    "six bands": ("bands, true box", "the true face box"),
    "2 x 3 grid": ("grid, true box", "the true face box"),
    "k-means": ("k-means, true face", "the true face"),
    "commonest label (oracle)": ("commonest label", "true labels"),
    "flat plane": ("flat plane", IMAGES),
    "mean depth": ("mean depth", "true depth"),
    "posed mean face (oracle)": ("posed mean face", "true depth and pose"),
}
"""The floors of `igc.evaluate`: their names in the table, and what they are given."""

TURN = 15.0
"""Degrees of yaw by which the two pictures of a head differ at least."""


def systems() -> dict[str, type[Peer]]:
    """All systems by a short name for files and for the command line."""
    found = {}
    for name in MODULES:
        module = importlib.import_module(f"peers.{name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Peer) and kind.__module__ == module.__name__:
                if kind.name:
                    found[slug(kind.name)] = kind
    return found


def slug(name: str) -> str:
    """A name in lower case, with single dashes for all that is neither a letter nor a digit."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


@dataclass(frozen=True)
class Faces:
    """The faces of the table: `images` to fit on, and `count` each of others to choose by and to test on."""

    images: int
    count: int
    size: int = 64
    seed: int = 0

    def key(self) -> dict:
        """What names the faces in a record."""
        return {
            "data": self._open("train", self.images).fingerprint(),
            "test": self._open("test").fingerprint(),
        }

    @cached_property
    def train(self) -> Loaded:
        """The images to fit on, without truth."""
        return Loaded(self.drawn)

    @property
    def drawn(self) -> SyntheticFaces:
        """The faces to fit on with their truth, for systems that are given some of it."""
        return self._open("train", self.images)

    @cached_property
    def validation(self) -> dict[str, Tensor]:
        return read_all(self._open("validation"))

    @cached_property
    def test(self) -> dict[str, Tensor]:
        return read_all(self._open("test"))

    @cached_property
    def turned(self) -> dict[str, Tensor]:
        """Test heads once more, turned: `index` into the test faces, and their maps, pose and image."""
        return turned_faces(self._open("test"), self.test["pose"][:, 1])

    @property
    def fov(self) -> float:
        return self._open("test").fov

    def _open(self, split: str, count: int | None = None) -> SyntheticFaces:
        return SyntheticFaces(split, count or self.count, self.size, self.seed)


def turned_faces(dataset: SyntheticFaces, yaw: Tensor) -> dict[str, Tensor]:
    """The heads of `dataset` in another pose: the same expression, background and light, but the pose of the
    person's next picture, wherever its `yaw` (N,) in radians differs by `TURN` degrees or more.

    UserError if it never does."""
    each, rows = dataset.per_identity, []
    for index in range(len(dataset)):
        first = index // each * each
        other = first + (index - first + 1) % min(each, len(dataset) - first)
        if abs(float(yaw[index] - yaw[other])) < np.radians(TURN):
            continue
        drawn, pose = dataset._draw(index), dataset._draw(other).pose
        head = scene.Head(drawn.p)
        clutter = dataset.background == "clutter"
        image = scene.photograph(
            head, pose, drawn.light, dataset.size, drawn.backdrop, clutter, dataset.shadows, drawn.glasses
        )
        maps = head.maps(pose, dataset.size)
        rows.append({**maps, "index": torch.tensor(index), "image": image, "pose": pose})
    if not rows:
        raise UserError(f"no two pictures of a person differ by {TURN:g} degrees: raise 'count'.")
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def figures(peer: Peer, faces: Faces) -> dict[str, float]:
    """All figures that apply to a fitted system."""
    test, found = faces.test, {}
    labels = peer.labels(test["image"])
    if labels is not None:
        found |= metrics.part_scores(labels, test["labels"], FACE_PARTS)
        fit_labels = peer.labels(faces.validation["image"])
        parts = max(1, int(labels.max()), int(fit_labels.max()))
        found["nme"] = metrics.landmark_error(faces.validation, fit_labels, test, labels, parts, faces.fov)
        found["turning"] = turning(peer, faces, labels)
    surface = peer.depth(test["image"])
    if surface is not None:
        face = torch.isin(test["labels"], torch.tensor(FACE_PARTS))
        scores = metrics.depth_scores(*surface, test, face)
        found |= {name: scores[name] for name in ("side", "mad", "relief_ratio")}
    for name, known in {"rank1": peer.features, "rank1_looked": peer.looked}.items():
        features = known(test["image"])
        if features is not None:
            found[name] = rank_across(features, test)
    return found


def turning(peer: Peer, faces: Faces, labels: Tensor) -> float:
    """Turning consistency of a fitted system that gives the test faces `labels`."""
    again, index = faces.turned, faces.turned["index"]
    first = {name: faces.test[name][index] for name in ("depth", "labels", "pose")}
    both = labels[index], peer.labels(again["image"])
    return metrics.turning_consistency(first, again, both, FACE_PARTS, faces.fov)


def rank_across(features: Tensor, test: dict[str, Tensor]) -> float:
    """Rank-1 across yaw: the share of pictures turned by more than 30 degrees whose nearest neighbour among
    those within 10 degrees, by cosine of standardised features (N, F), is the same person."""
    identity = test["identity"].numpy()
    split = split_views(identity, test["pose"][:, 1].numpy())
    return float(recognise(features.numpy(), identity, split).mean())


def floor_rows(faces: Faces) -> dict[str, dict]:
    """Rows of what needs no fit to images, by `igc.floors`, with turning consistency for the fixed cells."""
    found = evaluate_floors(faces.validation, faces.test, faces.fov)
    again, index = faces.turned, faces.turned["index"]
    first = {name: faces.test[name][index] for name in ("depth", "labels", "pose")}
    for name, cells in (("six bands", floors.bands), ("2 x 3 grid", floors.grid_2x3)):
        both = tuple(cells(torch.isin(each["labels"], torch.tensor(FACE_PARTS))) for each in (first, again))
        found[name]["turning"] = metrics.turning_consistency(first, again, both, FACE_PARTS, faces.fov)
    same = floors.commonest_label(faces.validation["labels"], len(index))
    both, oracle = (same, same), "commonest label (oracle)"
    found[oracle]["turning"] = metrics.turning_consistency(first, again, both, FACE_PARTS, faces.fov)
    rows = {}
    for name, (title, given) in FLOORS.items():
        kept = {key: value for key, value in found[name].items() if key in FIGURES}
        about = {"name": title, "given": given, "source": "a floor", "deviations": [], "seeds": [0]}
        rows[slug(title)] = about | {"setting": {}, "mean": kept, "spread": dict.fromkeys(kept, 0.0)}
    return rows


def summary(kind: type[Peer], records: list[dict]) -> dict:
    """One row: mean and spread (standard deviation over seeds, 0 for one seed) of every figure, and of the
    seconds and parameters that stand beside the figures."""
    row = {"name": kind.name, "given": kind.given, "source": kind.source, "deviations": list(kind.deviations)}
    found = [r["figures"] | {name: r[name] for name in FIGURES if name in r} for r in records]
    values = {name: [each[name] for each in found] for name in found[0]}
    row["mean"] = {name: float(np.mean(v)) for name, v in values.items()}
    row["spread"] = {name: float(np.std(v, ddof=min(1, len(v) - 1))) for name, v in values.items()}
    return row | {"seeds": [r["seed"] for r in records], "setting": records[0]["setting"]}


def leaders(rows: dict[str, dict]) -> dict[str, dict]:
    """For each figure the first among systems that see images alone, its lead over the second, and whether
    that is more than the larger of the two spreads."""
    found = {}
    for name, more in FIGURES.items():
        able = [r for r in rows.values() if r["given"] == IMAGES and name in r["mean"]]
        if more is None or len(able) < 2:
            continue
        first, second = sorted(able, key=lambda r: r["mean"][name], reverse=more)[:2]
        lead = abs(first["mean"][name] - second["mean"][name])
        clear = lead > max(first["spread"][name], second["spread"][name])
        found[name] = {"first": first["name"], "second": second["name"], "lead": lead, "beyond_spread": clear}
    return found
