"""Holding the analysis against known answers: the planted sets of `SyntheticFaces`.

The analysis gets images and names of people. The truth is used for one thing only, after it: which capsule is
where the answer was written, found on validation people by the pixels that capsules and true regions share.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray

from igc.analysis.features import LIGHT, Component, allow_for, describe_as, turns
from igc.analysis.importance import Effects, analyse
from igc.analysis.statistics import holm
from igc.analysis.swap import swap
from igc.data import LABELS, SyntheticFaces
from igc.data.planted import PLANTED
from igc.model import IGCNet
from igc.segment import labels

FIT, TEST, MATCH = "train", "test", "validation"
"""The splits that the analysis is fitted on, measured on, and scored by; all have different people."""


class Match(NamedTuple):
    """Which capsule a true region belongs to, on validation people."""

    part: int
    """the capsule that covers most of the region, from 0"""
    covered: float
    """share of the region's pixels that the capsule covers"""
    filled: float
    """share of the capsule's pixels that lie in the region"""


def match(model: IGCNet, planted: str, seed: int, count: int = 64) -> dict[str, Match]:
    """The capsule of every true region of the face, by name; see `Match`."""
    faces = SyntheticFaces(MATCH, count, model.config.size, seed, planted=planted)
    truth = faces.batch(range(count))
    found = labels(model, truth["image"])
    parts = model.config.parts
    table = torch.bincount(
        (truth["labels"] * (parts + 1) + found).flatten(), minlength=len(LABELS) * (parts + 1)
    )
    table = table.reshape(len(LABELS), parts + 1).double().numpy()
    out = {}
    for number, name in enumerate(LABELS):
        part = int(table[number, 1:].argmax())
        column = table[:, part + 1].sum()
        share = table[number, part + 1]
        out[name] = Match(part, share / max(1, table[number].sum()), share / max(1, column))
    return out


def answer(planted: str, matched: dict[str, Match]) -> list[Component]:
    """The components that carry identity in a planted set, the strongest first."""
    cues = sorted(PLANTED[planted], key=lambda cue: -cue.weight)
    return [LIGHT if cue.kind == "light" else (matched[cue.region].part, cue.kind) for cue in cues]


def run(
    model: IGCNet, planted: str, seed: int, people: int = 64, each: int = 8,
    kinds: tuple[str, ...] = ("observed",), swaps: bool = True,
) -> dict[str, dict[str, Effects]]:  # fmt: skip
    """The analysis of one planted set, by kind of features and method: `people` to measure, and twice as many
    to fit on.

    Light and pose, as the model sees them, are allowed for in every capsule; the light is a component of its
    own beside them. `kinds`: see `features.describe`. Swapping needs observed features, knows no light, and
    is left out where its recogniser knows nobody.
    """
    images, identity = [], []
    for split, count in ((FIT, 2 * people), (TEST, people)):
        faces = SyntheticFaces(
            split, count * each, model.config.size, seed, per_identity=each, planted=planted
        )
        batch = faces.batch(range(len(faces)), truth=False)
        images.append(batch["image"]), identity.append(batch["identity"].numpy())
    who, first = np.concatenate(identity), len(identity[0])
    fit = np.arange(len(who)) < first
    told = {}
    for kind, found in describe_as(model, torch.cat(images), kinds, fit=np.flatnonzero(fit)).items():
        how = turns(found.pose, found.light)
        told[kind] = analyse(found.parts | {LIGHT: found.light}, who, circumstances=how, fit=fit, seed=seed)
        if swaps and found.atlas:
            freed = {name: allow_for(part, how, fit)[first:] for name, part in found.parts.items()}
            swapped = swap(model, images[1], identity[1], freed, found.atlas, seed)
            if swapped.knows:
                told[kind]["swap"] = swapped.effects
    return told


def verdict(effects: Effects, true: list[Component], level: float = 0.05) -> dict:
    """What one method says, held against the `true` components, strongest first (none: nothing is planted).

    - `ranked`: the true components come first, in any order; `ordered`: in the true order.
    - `apart`: the lowest end of their intervals is above the highest end of all others'.
    - `ahead`: each is ahead of every other component by a difference whose interval excludes 0 after Holm.
    - `credited`: components found above 0 after Holm; `covered`: share of the intervals of all `components`
      that contain 0.

    Two true regions in the same capsule cannot be told apart: `distinct` is false then, and they count once.
    """
    names, found = effects.names, effects.estimate()
    wanted = [name for name in dict.fromkeys(true) if name in names]
    rows = effects.table()
    order = [(row["part"], row["cue"]) for row in rows]
    others = [k for k, name in enumerate(names) if name not in wanted]
    mine = [names.index(name) for name in wanted]
    out = {
        "truth": [list(name) for name in wanted],
        "distinct": len(wanted) == len(true),
        "places": [order.index(name) + 1 for name in wanted],
        "credited": [[r["part"], r["cue"]] for r in rows if r["value"] > 0 and r["holm"] < level],
        "covered": float(np.mean((found.low <= 0) & (found.high >= 0))),
        "components": len(names),
        "rows": rows,
    }
    if wanted:
        out["ranked"] = set(order[: len(wanted)]) == set(wanted)
        out["ordered"] = order[: len(wanted)] == wanted
        out["apart"] = bool(found.low[mine].min() > found.high[others].max())
        out["ahead"] = all(_ahead(effects, name, wanted, level) for name in wanted)
    return out


def _ahead(effects: Effects, name: Component, wanted: list[Component], level: float) -> bool:
    others = [other for other in effects.names if other != name]
    difference = effects.ahead(name)
    compared = np.array([other not in wanted for other in others])
    return bool(((difference.value > 0) & (holm(difference.p) < level))[compared].all())


def saliency_verdict(regions: list[str], gains: ndarray, planted: str) -> dict:
    """What gradient saliency says of a planted set: regions in order, with the place of the true ones.

    `gains` (regions, people): mean absolute gradient a pixel, each person's over the mean of all regions.
    """
    people = np.arange(gains.shape[1])[:, None]
    effects = Effects(
        [(i, name) for i, name in enumerate(regions)], gains, people, np.ones(len(people)), 0 * people[:, 0]
    )
    true = [(regions.index(c.region), c.region) for c in PLANTED[planted] if c.region in regions]
    said = verdict(effects, true)
    return {name: said[name] for name in said if name not in ("credited", "covered")}


def table(rows: list[dict]) -> str:
    """The rows of a record's summary (see `benchmarks/planted.py`) as text: counts of seeds."""
    columns = ("first", "in order", "apart", "ahead", "albedo")
    lines = [f"{'set':16s}{'method':23s}seeds " + "".join(f"{name:>9s}" for name in columns) + "   with 0"]
    for row in rows:
        share = f"  {row['with 0'][0]:7.0%}" if "with 0" in row else ""
        cells = "".join(f"{row.get(name, '-'):>9}" for name in columns)
        lines.append(f"{row['set']:16s}{row['method']:23s}{row['seeds']:5d} {cells}{share}")
    return "\n".join(lines)
