"""`python -m benchmarks.time_to_quality` trains from nothing and prints when the figures pass their marks.

The marks: a yaw error of 6 degrees, and the NMI of six bands over the true face box (a floor).
The recipe is the default one on the embedded faces; it is looked at after every 64 steps, on 256 faces of the
validation people (the regressions are fitted on 256 others of them). Time is training time: looking is not
counted, drawing the training faces is. `--out FILE` keeps the record.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import torch

import igc.training
from igc import ModelConfig, TrainConfig, fit, floors, metrics
from igc.data import FACE_PARTS, SyntheticFaces, read_all
from igc.evaluate import evaluate
from igc.files import write_text

YAW, IMAGES, EVERY, FACES = 6.0, 2048, 64, 256
SHOWN = "nmi", "yaw_error", "side", "mad"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_to_quality", description=__doc__)
    parser.add_argument("--out", help="a JSON file for the record")
    parser.add_argument("--epochs", type=int, default=TrainConfig.epochs)
    chosen = parser.parse_args()
    truth = read_all(SyntheticFaces("validation", 2 * FACES))
    known, unseen = ({k: v[part] for k, v in truth.items()} for part in (slice(FACES), slice(FACES, None)))
    bands = floors.bands(torch.isin(unseen["labels"], torch.tensor(FACE_PARTS)))
    mark = metrics.part_scores(bands, unseen["labels"], FACE_PARTS)["nmi"]
    rows, away, began = [], 0.0, time.perf_counter()

    def look(model, step: int) -> None:
        nonlocal away
        started = time.perf_counter()
        found = evaluate(model, known, unseen)
        model.train()
        rows.append(
            {"step": step, "seconds": round(started - began - away, 1), **{k: found[k] for k in SHOWN}}
        )
        print(rows[-1], flush=True)
        away += time.perf_counter() - started

    igc.training.PREVIEW = EVERY
    config = TrainConfig(epochs=chosen.epochs)
    with tempfile.TemporaryDirectory() as folder:
        fit(SyntheticFaces("train", IMAGES), ModelConfig(), config, Path(folder) / "run", preview=look)
    reached = {
        "yaw_error <= 6": first(rows, lambda row: row["yaw_error"] <= YAW),
        f"nmi >= {mark:.3f} (six bands)": first(rows, lambda row: row["nmi"] >= mark),
    }
    print(json.dumps(reached, indent=2))
    if chosen.out:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
        record = {
            "command": "python -m benchmarks.time_to_quality", "machine": machine, "torch": torch.__version__,
            "train": config.to_dict(), "seconds_until": reached, "looks": rows,
        }  # fmt: skip
        write_text(Path(chosen.out), json.dumps(record, indent=2) + "\n")


def first(rows: list[dict], passes) -> float | None:
    """Seconds at the first look that passes and after which all others do; None if there is none."""
    good = [passes(row) for row in rows]
    return next((row["seconds"] for i, row in enumerate(rows) if all(good[i:])), None)


if __name__ == "__main__":
    main()
