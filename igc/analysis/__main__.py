"""`python -m igc.analysis` tells which part, shape or albedo, carries a label in images of one's own.

    python -m igc.analysis --model synthetic-64 --data DIR --target identity --out DIR

DIR holds one folder a person; or --labels names a CSV file with a column `file`, a column `identity` (or
`label`), and any other label. It must not be used to identify anyone.
"""

import argparse
import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import torch

from igc.analysis import LIGHT, analyse, joined, recognition, turns
from igc.analysis.drawing import method_bars, part_places, roc
from igc.analysis.features import KINDS, allow_for, describe_as
from igc.analysis.labelled import Labelled, open_labelled
from igc.analysis.swap import swap
from igc.errors import UserError
from igc.files import make_folder, write_text, writing
from igc.framing import DRAWN
from igc.model import IGCNet

UNITS = {"people": "chance above 1/2", "labels": "chance above 1/2", "numbers": "R²"}
LIMITS = (
    "The figures say how this model stores what tells these people apart; another may store it otherwise.",
    "They hold for people like those of these images, and say nothing about groups of people.",
    "An interval that contains 0 does not prove that a component carries nothing.",
    "What the model puts into the wrong part, or takes for light or pose, is credited or withheld wrongly.",
    "Nothing here may be used to identify anyone.",
)


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(
        prog="python -m igc.analysis",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--model", default="synthetic-64", help="a shipped model or a run's folder")
    main.add_argument("--data", required=True, help="one folder a person, or 'synthetic'")
    main.add_argument("--labels", help="a CSV file: file and labels, a line an image")
    main.add_argument("--target", default="identity", help="identity, or a column of --labels")
    main.add_argument("--out", required=True, help="the folder for tables and figures")
    main.add_argument("--features", default="observed", choices=KINDS, help="what stands for a component")
    main.add_argument("--raw", action="store_true", help="do not allow for light and pose")
    main.add_argument("--seed", type=int, default=0)
    return main


def recognition_table(found, images: torch.Tensor, identity: np.ndarray, seed: int) -> tuple[list, dict, str]:
    """Rows of figures by kind of features, ROC curves, and why there are none across views, if so."""
    compared = {
        "all components": joined(found.parts), "all shapes": joined(found.parts, "shape"),
        "all albedos": joined(found.parts, "albedo"), "raw pixels": images.flatten(1).numpy(),
        "mean colour": images.mean(dim=(2, 3)).numpy(),
    }  # fmt: skip
    try:
        across, reason = recognition.split_views(identity, found.pose[:, 1]), ""
    except UserError as error:
        across, reason = None, str(error)
    rows, curves = [], {}
    for name, features in compared.items():
        curves[name] = recognition.verification(features, identity, seed)
        figures = {
            "rank-1": recognition.rank_one(features, identity, seed),
            "linear probe": recognition.linear_probe(features, identity, seed),
            "verification": curves[name].area,
        }
        if across:
            figures["rank-1 across views"] = recognition.rank_one(features, identity, seed, across)
        rows += [
            {"features": name, "figure": figure, "value": v, "low": low, "high": high}
            for figure, (v, low, high) in figures.items()
        ]
    return rows, curves, reason


def report(model: IGCNet, data: Labelled, chosen, out: Path) -> dict:
    """Analyses the data, writes tables and figures into `out`, and returns what report.json holds."""
    kind, target = data.target(chosen.target)
    people = data.columns.get("identity", np.array(data.files))
    told = describe_as(model, data.images, tuple(dict.fromkeys((chosen.features, "observed"))))
    found, seen = told[chosen.features], told["observed"]
    circumstances = None if chosen.raw else turns(found.pose, found.light)
    parts = found.parts if chosen.raw else found.parts | {LIGHT: found.light}
    effects = analyse(parts, people, target, kind, circumstances, seed=chosen.seed)
    written = {
        "model": str(chosen.model), "target": chosen.target, "kind": kind, "features": chosen.features,
        "images": len(people), "people": len(np.unique(people)), "unit": UNITS[kind],
        "allowed for": [] if chosen.raw else ["light", "pose"], "skipped": data.skipped, "limits": LIMITS,
    }  # fmt: skip
    if "identity" not in data.columns:
        written["note"] = "without a column identity, each image counts as a person of its own"
    if kind == "people":
        rows, curves, reason = recognition_table(found, data.images, people, chosen.seed)
        freed = seen.parts
        if not chosen.raw:
            freed = {name: allow_for(v, circumstances, np.arange(len(v))) for name, v in freed.items()}
        swapped = swap(model, data.images, people, freed, seen.atlas, chosen.seed)
        effects["swap"] = swapped.effects
        written |= {"recognition": rows, "across views": reason or "yaw as the model sees it"}
        written["swap"] = {
            "all components": swapped.everything, "recogniser": swapped.accuracy,
            "recogniser above chance": swapped.knows,
        }  # fmt: skip
        write_text(out / "recognition.csv", _csv(rows))
        roc(curves).savefig(out / "roc.png", dpi=110)
    tables = {method: each.table() for method, each in effects.items()}
    written["importance"] = tables
    write_text(
        out / "importance.csv", _csv([{"method": m, **row} for m, rows in tables.items() for row in rows])
    )
    write_text(out / "report.json", json.dumps(written, indent=2) + "\n")
    method_bars(effects, UNITS[kind]).savefig(out / "importance.png", dpi=110)
    part_places(model, data.images[:8]).savefig(out / "parts.png", dpi=110)
    return written


def summary(written: dict) -> str:
    """The report in a few lines: each method's first three components."""
    lines = [f"{written['images']} images of {written['people']} people; {len(written['skipped'])} skipped"]
    for method, rows in written["importance"].items():
        said = [f"{_name(r)} {r['value']:.3f} [{r['low']:.3f}, {r['high']:.3f}]" for r in rows[:3]]
        lines.append(f"{method:14s} " + ";  ".join(said))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    try:
        model = IGCNet.from_pretrained(chosen.model)
        out = make_folder(chosen.out)
        asked, frame = (chosen.labels, chosen.target, chosen.seed), DRAWN[model.config.background]
        data = open_labelled(chosen.data, model.config.size, *asked, frame)
        if chosen.target == "identity":
            recognition.split_gallery(data.columns["identity"])
        with writing(out):
            written = report(model, data, chosen, out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for _, reason in data.skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    print(summary(written))
    return 0


def _name(row: dict) -> str:
    return row["cue"] if row["part"] < 0 else f"part {row['part'] + 1}'s {row['cue']}"


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
