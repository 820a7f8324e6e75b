"""`python -m benchmarks.planted` holds the analysis against the planted sets, and goes on with its record.

`python -m benchmarks.planted --model NAME --seeds 0 1 2 3 4 --out benchmarks/records/planted.json`; with
`--jobs 2` on two cores. With `--own` the default recipe is trained on the first of `--sets` before, on its
training people, and that model analyses it. The records' `summary` is what chapter 05 shows.
"""

import argparse
import json
import os
import platform
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from benchmarks.saliency import REGIONS, saliency
from igc import IGCNet, ModelConfig, TrainConfig, fit
from igc.analysis import observed
from igc.analysis.planted import answer, cues, match, run, saliency_verdict, table, verdict
from igc.analysis.statistics import wilson
from igc.data.planted import PLANTED
from igc.data.synthetic import VERSION, SyntheticFaces
from igc.errors import UserError
from igc.files import make_folder, write_text

RECORD, OWN = Path("benchmarks/records/planted.json"), Path("benchmarks/records/planted-own.json")
RUNS, FACES = Path("runs/planted"), 2048
"""Where models of `--own` lie, and on how many faces they are trained."""

KINDS = ("observed", "code")
"""Features that are analysed: the observed ones by all methods, and the codes beside them."""


def measure(model: IGCNet, planted: str, seed: int, people: int, others: bool = True) -> dict:
    """All that is recorded of one planted set and seed."""
    shares = match(model, planted, seed)
    true = answer(planted, shares)
    told = run(model, planted, seed, people, kinds=KINDS, swaps=others)
    out = {
        "shown": {cue.region: row.round(3).tolist() for cue, row in zip(cues(planted), shares)},
        "methods": {method: verdict(found, *true) for method, found in told["observed"].items()},
        "codes": {method: verdict(found, *true) for method, found in told["code"].items()},
    }
    for said in out["codes"].values():
        del said["rows"]  # to keep the record small
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
    """A row for each planted set and method: in how many of `seeds` the strongest true component came before
    all others (`top`), all true ones first (`first`), in the true order, with intervals apart from all
    others' (`apart`), and ahead of each of these after Holm's correction (`ahead`); in how many an albedo was
    credited (`albedo`), and which share of all intervals contains 0, with its own interval."""
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
        row["top"] = sum(each["places"][0] == 1 for each in said)
        row |= {new: sum(each[old] for each in said) for new, old in names.items()}
        row["places"] = [each["places"] for each in said]
    if "covered" in said[0]:
        row["albedo"] = sum(any(cue == "albedo" for _, cue in each["credited"]) for each in said)
        count = [each["components"] for each in said]
        row["with 0"] = wilson(round(sum(e["covered"] * c for e, c in zip(said, count))), sum(count))
    return row


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted", description=__doc__)
    parser.add_argument("--model", default="synthetic-64", help="a shipped model or a run's folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sets", nargs="+", default=list(PLANTED), choices=list(PLANTED), metavar="SET")
    parser.add_argument("--people", type=int, default=64, help="to measure; twice as many to fit on")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of a thread each")
    parser.add_argument("--quick", action="store_true", help="without swapping and saliency")
    parser.add_argument("--own", action="store_true", help="train a model on the first of the sets; ask it")
    parser.add_argument("--out", type=Path, help="the record; a part of it is gone on with")
    chosen = parser.parse_args(arguments)
    chosen.out = chosen.out or (OWN if chosen.own else RECORD)
    return chosen


def main(arguments: list[str] | None = None) -> int:
    chosen = parse(arguments)
    try:
        if chosen.own:
            chosen.sets = chosen.sets[:1]
            chosen.model = str(trained_on(chosen.sets[0]))
        model = IGCNet.from_pretrained(chosen.model)
        settings = {
            "model": Path(chosen.model).name, "data": VERSION, "features": observed.VERSION,
            "people": chosen.people,
            "weights": float(np.mean([p.detach().double().abs().mean() for p in model.parameters()])),
        }  # fmt: skip
        record = begin(chosen.out, settings) | {
            "command": "python -m benchmarks.planted" + " --own" * chosen.own, "torch": torch.__version__,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, a thread each",
        }  # fmt: skip
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    jobs = [(planted, seed) for seed in chosen.seeds for planted in chosen.sets]
    jobs = [job for job in jobs if f"{job[0]}/{job[1]}" not in record["results"]]
    one = partial(task, chosen.model, chosen.people, not chosen.quick)
    with get_context("spawn").Pool(chosen.jobs) as pool:
        for key, found, seconds in pool.imap_unordered(one, jobs) if chosen.jobs > 1 else map(one, jobs):
            record["results"][key] = found
            write_text(chosen.out, as_text(record))
            print(f"{key}: {seconds:.0f} s", flush=True)
    record["summary"] = summary(record["results"])
    write_text(chosen.out, as_text(record))
    print(table(record["summary"]))
    return 0


def as_text(record: dict) -> str:
    """The record as JSON, a line a key and a line a result, numbers to three digits behind the point."""

    def rounded(value):
        if isinstance(value, dict):
            return {key: rounded(each) for key, each in value.items() if key != "p"}
        if isinstance(value, (list, tuple)):
            return [rounded(each) for each in value]
        return round(value, 3) if isinstance(value, float) else value

    results = record["results"].items()
    lines = [f"{json.dumps(key)}: {json.dumps(rounded(value))}" for key, value in results]
    kept = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items() if key != "results"]
    return "{\n" + ",\n".join([*kept, '"results": {\n' + ",\n".join(lines) + "\n}"]) + "\n}\n"


def trained_on(planted: str) -> Path:
    """A model trained on the training people of a planted set; one that is there is not trained again."""
    folder = RUNS / planted.replace(" ", "-")
    fit(SyntheticFaces("train", FACES, planted=planted), ModelConfig(), TrainConfig(), folder)
    return folder


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
