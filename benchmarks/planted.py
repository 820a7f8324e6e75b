"""`python -m benchmarks.planted` holds the analysis against the planted sets, and goes on with its record.

`python -m benchmarks.planted --model NAME --seeds 0 1 2 3 4 --out benchmarks/records/planted.json`
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.saliency import REGIONS, saliency
from igc import IGCNet
from igc.analysis.features import KINDS
from igc.analysis.planted import answer, match, run, saliency_verdict, verdict
from igc.analysis.statistics import wilson
from igc.data.planted import PLANTED
from igc.data.synthetic import VERSION
from igc.errors import UserError
from igc.files import make_folder, write_text

RECORD = Path("benchmarks/records/planted.json")


def measure(model: IGCNet, planted: str, seed: int, people: int, kind: str, others: bool) -> dict:
    """All that is recorded of one planted set and seed."""
    matched = match(model, planted, seed)
    true = answer(planted, matched)
    effects = run(model, planted, seed, people, kind=kind, swaps=others)
    out = {
        "matched": {name: each._asdict() for name, each in matched.items()},
        "methods": {method: verdict(found, true) for method, found in effects.items()},
    }
    if others:
        gains, right = saliency(planted, seed, people, size=model.config.size)
        out["saliency"] = saliency_verdict(REGIONS, gains, planted) | {"rank_one": right}
    return out


def table(results: dict[str, dict]) -> str:
    """A line a planted set and method: over how many seeds the truth came first, apart, and so on."""
    lines = [f"{'set':16s} {'method':14s} seeds  first  in order  apart  ahead  intervals with 0"]
    for planted in PLANTED:
        runs = [result for key, result in results.items() if key.split("/")[0] == planted]
        methods = dict.fromkeys(name for result in runs for name in result["methods"])
        for method in methods:
            said = [result["methods"][method] for result in runs if method in result["methods"]]
            cells = [
                f"{sum(each[name] for each in said):5d}" if said[0]["truth"] else "    -"
                for name in ("ranked", "ordered", "apart", "ahead")
            ]
            count = sum(len(each["rows"]) for each in said)
            share, low, high = wilson(round(sum(e["covered"] * len(e["rows"]) for e in said)), count)
            lines.append(
                f"{planted:16s} {method:14s} {len(said):5d}  {cells[0]}  {cells[1]}     {cells[2]}"
                f"  {cells[3]}  {share:6.1%} [{low:.1%}, {high:.1%}]"
            )
        said = [result["saliency"] for result in runs if "saliency" in result]
        if said and "ranked" in said[0]:
            places = ", ".join("/".join(map(str, each["places"])) for each in said)
            lines.append(
                f"{planted:16s} {'saliency':14s} {len(said):5d}  places of the true regions: {places}"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted", description=__doc__)
    parser.add_argument("--model", default="synthetic-64", help="a shipped model or a run's folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sets", nargs="+", default=list(PLANTED), choices=list(PLANTED), metavar="SET")
    parser.add_argument("--people", type=int, default=64, help="to measure; twice as many to fit on")
    parser.add_argument("--features", default="code", choices=KINDS)
    parser.add_argument("--quick", action="store_true", help="without swapping and saliency")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record; a part of it is gone on with")
    chosen = parser.parse_args(arguments)
    try:
        model = IGCNet.from_pretrained(chosen.model)
        settings = {
            "model": Path(chosen.model).name, "data": VERSION, "people": chosen.people,
            "features": chosen.features,
            "weights": float(np.mean([p.detach().double().abs().mean() for p in model.parameters()])),
        }  # fmt: skip
        record = begin(chosen.out, settings)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for planted in chosen.sets:
        for seed in chosen.seeds:
            if f"{planted}/{seed}" in record["results"]:
                continue
            started = time.perf_counter()
            found = measure(model, planted, seed, chosen.people, chosen.features, not chosen.quick)
            record["results"][f"{planted}/{seed}"] = found
            write_text(chosen.out, json.dumps(record, indent=1) + "\n")
            print(f"{planted}, seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    print(table(record["results"]))
    return 0


def begin(path: Path, settings: dict) -> dict:
    """An empty record, or the one at `path`; UserError if that is of other settings or cannot be read."""
    make_folder(path.parent)
    if not path.exists():
        return {"settings": settings, "results": {}}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        old = record["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read as a record ({error}): remove it.") from error
    if old != settings:
        raise UserError(f"{path} was made with other settings ({old}): name another file, or remove it.")
    return record


if __name__ == "__main__":
    sys.exit(main())
