"""Holding the analysis against known answers: the planted sets of `SyntheticFaces`.

The analysis gets images and names of people. The truth is used for one thing only, after it: in which
capsules the answer shows, found on validation people who are drawn with it and without.
"""

import numpy as np
import torch
from numpy import ndarray
from scipy.ndimage import distance_transform_edt

from igc.analysis.features import LIGHT, Component, allow_for, describe_as, turns
from igc.analysis.importance import Effects, analyse
from igc.analysis.statistics import holm
from igc.analysis.swap import swap
from igc.data import LABELS, SyntheticFaces
from igc.data.planted import PLANTED, Cue
from igc.model import IGCNet
from igc.segment import labels

FIT, TEST, MATCH = "train", "test", "validation"
"""The splits that the analysis is fitted on, measured on, and scored by; all have different people."""
SHOWS = 0.1
"""A capsule is not wrong where at least this share of a cue shows, even if another shows more of it."""


def cues(planted: str) -> list[Cue]:
    """The cues of a planted set, the strongest first."""
    return sorted(PLANTED[planted], key=lambda cue: -cue.weight)


def match(model: IGCNet, planted: str, seed: int, count: int = 64) -> ndarray:
    """In which share each of a set's `cues` shows in each capsule, (cues, M): of all that the image changes
    by when the cue is there, and no longer the middle of its range. A change belongs to the nearest cue."""
    places = [LABELS.index(cue.region) for cue in cues(planted) if cue.kind != "light"]
    if not places:
        return np.zeros((0, model.config.parts))
    faces, plain = (
        SyntheticFaces(MATCH, count, model.config.size, seed, planted=name) for name in (planted, "nothing")
    )
    drawn, without = faces.batch(range(count)), plain.batch(range(count), truth=False)
    change = (drawn["image"] - without["image"]).abs().sum(dim=1).numpy()
    found = labels(model, drawn["image"]).numpy()
    regions = drawn["labels"].numpy()
    away = np.array([[distance_transform_edt(face != place) for face in regions] for place in places])
    nearest, parts = away.argmin(axis=0), np.arange(1, model.config.parts + 1)
    shares = np.array(
        [[change[(found == m) & (nearest == k)].sum() for m in parts] for k in range(len(places))]
    )
    return shares / shares.sum(axis=1, keepdims=True).clip(min=1e-9)


def answer(planted: str, shares: ndarray) -> tuple[list[Component], list[Component]]:
    """The components in which a planted set's cues show most, the strongest cue first; and others in which
    they show too."""
    if planted == "light":
        return [LIGHT], []
    kinds = [cue.kind for cue in cues(planted)]
    first = [(int(row.argmax()), kind) for row, kind in zip(shares, kinds)]
    also = [(int(m), kind) for row, kind in zip(shares, kinds) for m in np.flatnonzero(row >= SHOWS)]
    return first, [name for name in also if name not in first]


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


def verdict(
    effects: Effects, true: list[Component], also: list[Component] = (), level: float = 0.05
) -> dict:  # fmt: skip
    """What one method says, held against the `true` components, strongest first (none: nothing is planted).
    What is `also` true is left out, as neither right nor wrong.

    - `ranked`: the true components come first, in any order; `ordered`: in the true order; `places`.
    - `apart`: the lowest end of their intervals is above the highest end of all others'.
    - `ahead`: each is ahead of every other component by a difference whose interval excludes 0 after Holm.
    - `credited`: components found above 0 after Holm; `covered`: share of the intervals of all `components`
      that contain 0.

    Two true regions in the same capsule cannot be told apart: `distinct` is false then, and they count once.
    """
    names, found = effects.names, effects.estimate()
    wanted = [name for name in dict.fromkeys(true) if name in names]
    rows = effects.table()
    beside = [name for name in also if name not in wanted]
    order = [name for row in rows if (name := (row["part"], row["cue"])) not in beside]
    others = [k for k, name in enumerate(names) if name not in [*wanted, *beside]]
    mine = [names.index(name) for name in wanted]
    out = {
        "truth": [list(name) for name in wanted],
        "also": [list(name) for name in beside],
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
        out["ahead"] = all(_ahead(effects, name, [*wanted, *beside], level) for name in wanted)
    return out


def _ahead(effects: Effects, name: Component, right: list[Component], level: float) -> bool:
    others = [other for other in effects.names if other != name]
    difference = effects.ahead(name)
    compared = np.array([other not in right for other in others])
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
    """The rows of a record's summary (see `benchmarks/planted.py`) as text: counts of seeds, and a block
    a set."""
    columns = ("seeds", "top", "first", "in order", "apart", "ahead", "albedo")
    heads = "".join(f"{c:>{len(c) + 2}}" for c in (*columns, "with 0"))
    lines, last = [f"{'set':15s}{'method':20s}{heads}"], ""
    for row in rows:
        share = f"{row['with 0'][0]:8.0%}" if "with 0" in row else ""
        cells = "".join(f"{row.get(c, '-'):>{len(c) + 2}}" for c in columns)
        lines += [""] * (row["set"] != last)
        lines.append(f"{row['set'] * (row['set'] != last):15s}{row['method']:20s}{cells}{share}")
        last = row["set"]
    return "\n".join(lines)
