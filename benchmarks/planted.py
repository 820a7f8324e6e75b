"""`python -m benchmarks.planted` holds the analysis against the planted sets, and goes on with its record.

`python -m benchmarks.planted --model NAME --seeds 0 1 2 3 4 --out benchmarks/records/planted.json`; with
`--jobs 2` on two cores. The record's `summary` is what chapter 05 shows.
"""

import argparse
import json
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from benchmarks.saliency import REGIONS, saliency
from igc import IGCNet
from igc.analysis.planted import answer, match, run, saliency_verdict, table, verdict
from igc.analysis.statistics import wilson
from igc.data.planted import PLANTED
from igc.data.synthetic import VERSION
from igc.errors import UserError
from igc.files import make_folder, write_text

RECORD = Path("benchmarks/records/planted.json")


KINDS = ("observed", "code")
"""Features that are analysed: the observed ones by all methods, and the codes beside them."""


def measure(model: IGCNet, planted: str, seed: int, people: int, others: bool = True) -> dict:
    """All that is recorded of one planted set and seed."""
    matched = match(model, planted, seed)
    true = answer(planted, matched)
    told = run(model, planted, seed, people, kinds=KINDS, swaps=others)
    out = {
        "matched": {name: each._asdict() for name, each in matched.items()},
        "methods": {method: verdict(found, true) for method, found in told["observed"].items()},
        "codes": {method: verdict(found, true) for method, found in told["code"].items()},
    }
    if others:
        gains, right = saliency(planted, seed, people, size=model.config.size)
        out["saliency"] = saliency_verdict(REGIONS, gains, planted) | {"rank_one": right}
    return out


def task(name: str, people: int, others: bool, job: tuple[str, int]) -> tuple[str, dict, float]:
    """One set and seed, in a process of its own: key, what is recorded, and the seconds it took."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    found = measure(IGCNet.from_pretrained(name), *job, people, others)
    return f"{job[0]}/{job[1]}", found, time.perf_counter() - started


def summary(results: dict[str, dict]) -> list[dict]:
    """A row for each planted set and method: in how many of `seeds` the true components came first (`first`),
    in the true order, with intervals apart from all others' (`apart`), and ahead of each of these after
    Holm's correction (`ahead`); in how many an albedo was credited (`albedo`), and which share of all
    intervals contains 0, with its own interval."""
    rows = []
    for planted in PLANTED:
        runs = [result for key, result in results.items() if key.split("/")[0] == planted]
        for kind, group in (("", "methods"), ("codes: ", "codes")):
            for method in dict.fromkeys(name for result in runs for name in result[group]):
                said = [result[group][method] for result in runs if method in result[group]]
                rows.append({"set": planted, "method": kind + method, "seeds": len(said)} | _counts(said))
        said = [result["saliency"] for result in runs if "saliency" in result]
        if said:
            rows.append({"set": planted, "method": "saliency", "seeds": len(said)} | _counts(said))
    return rows


def _counts(said: list[dict]) -> dict:
    row = {}
    if said[0]["truth"]:
        names = {"first": "ranked", "in order": "ordered", "apart": "apart", "ahead": "ahead"}
        row |= {new: sum(each[old] for each in said) for new, old in names.items()}
        row["places"] = [each["places"] for each in said]
    if "covered" in said[0]:
        row["albedo"] = sum(any(cue == "albedo" for _, cue in each["credited"]) for each in said)
        count = sum(len(each["rows"]) for each in said)
        row["with 0"] = wilson(round(sum(e["covered"] * len(e["rows"]) for e in said)), count)
    return row


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted", description=__doc__)
    parser.add_argument("--model", default="synthetic-64", help="a shipped model or a run's folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sets", nargs="+", default=list(PLANTED), choices=list(PLANTED), metavar="SET")
    parser.add_argument("--people", type=int, default=64, help="to measure; twice as many to fit on")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of a thread each")
    parser.add_argument("--quick", action="store_true", help="without swapping and saliency")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record; a part of it is gone on with")
    chosen = parser.parse_args(arguments)
    try:
        model = IGCNet.from_pretrained(chosen.model)
        settings = {
            "model": Path(chosen.model).name, "data": VERSION, "people": chosen.people,
            "weights": float(np.mean([p.detach().double().abs().mean() for p in model.parameters()])),
        }  # fmt: skip
        record = begin(chosen.out, settings)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    jobs = [(planted, seed) for seed in chosen.seeds for planted in chosen.sets]
    jobs = [job for job in jobs if f"{job[0]}/{job[1]}" not in record["results"]]
    one = partial(task, chosen.model, chosen.people, not chosen.quick)
    with get_context("spawn").Pool(chosen.jobs) as pool:
        for key, found, seconds in pool.imap_unordered(one, jobs) if chosen.jobs > 1 else map(one, jobs):
            record["results"][key] = found
            record["summary"] = summary(record["results"])
            write_text(chosen.out, json.dumps(record, indent=1) + "\n")
            print(f"{key}: {seconds:.0f} s", flush=True)
    print(table(summary(record["results"])))
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
