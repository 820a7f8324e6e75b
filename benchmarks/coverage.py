"""`python -m benchmarks.coverage` simulates how often the analysis's intervals contain the truth, nothing.

Features are noise, so that every component's importance is 0; new people every time, as many as in the
planted sets. Prints, by method, the share of intervals that contain 0, and in how many of the worlds Holm's
correction finds anything.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from igc.analysis import CUES, METHODS, analyse, holm
from igc.analysis.statistics import LEVEL, wilson
from igc.files import make_folder, write_text

RECORD = Path("benchmarks/records/coverage.json")


def simulate(seed: int, people: int, each: int, parts: int, width: int) -> dict[str, tuple[float, bool]]:
    """One world of noise: by method, the share of intervals with 0, and whether anything was found."""
    draw = np.random.default_rng(seed)
    who = np.repeat(np.arange(3 * people), each)
    noise = {(m, cue): draw.normal(size=(len(who), width)) for m in range(parts) for cue in CUES}
    effects = analyse(noise, who, fit=who >= people, seed=seed)
    found = {method: each.estimate() for method, each in effects.items()}
    return {
        method: (float(np.mean((e.low <= 0) & (e.high >= 0))), bool(holm(e.p).min() < 1 - LEVEL))
        for method, e in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--people", type=int, default=64, help="to measure; twice as many to fit on")
    parser.add_argument("--each", type=int, default=8, help="images of a person")
    parser.add_argument("--parts", type=int, default=6)
    parser.add_argument("--width", type=int, default=16, help="features of a component")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    chosen = parser.parse_args()
    started = time.perf_counter()
    settings = (chosen.people, chosen.each, chosen.parts, chosen.width)
    worlds = [simulate(seed, *settings) for seed in range(chosen.worlds)]
    figures = {}
    for method in METHODS:
        inside = np.array([world[method][0] for world in worlds])
        wrong = wilson(sum(world[method][1] for world in worlds), len(worlds))
        error = float(inside.std(ddof=1) / np.sqrt(len(worlds))) if len(worlds) > 1 else 0.0
        figures[method] = {"covered": float(inside.mean()), "error": error, "anything found": wrong}
        print(
            f"{method:14s} {inside.mean():.1%} +- {error:.1%} contain 0; something found in {wrong[0]:.1%}"
            f" [{wrong[1]:.1%}, {wrong[2]:.1%}] of the worlds"
        )
    record = {
        "command": "python -m benchmarks.coverage", "people": chosen.people, "each": chosen.each,
        "parts": chosen.parts, "width": chosen.width, "worlds": chosen.worlds, "figures": figures,
        "seconds": round(time.perf_counter() - started),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "numpy": np.__version__,
    }  # fmt: skip
    make_folder(chosen.out.parent)
    write_text(chosen.out, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
