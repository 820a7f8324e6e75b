"""`python -m benchmarks.gpu`: what a GPU changes, checked and measured; `command` has the whole of it.

Here is what its sections share: where they run, what they have found, and the faces they look at.
"""

import json
import os
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from igc.data import SyntheticFaces
from igc.files import write_text

SEED = 0
DRAWN = 32
"""Faces that a worker draws at once."""


class Place(NamedTuple):
    """Where a section runs, and for how long."""

    device: str
    """cuda, or cpu: then everything is tiny, to show that the command works and not how fast anything is."""
    minutes: float
    """Of training."""
    budget: float
    """Seconds after which a section begins no further measurement."""

    @property
    def tiny(self) -> bool:
        return self.device == "cpu"


class Findings:
    """What a section has found so far. The file has it after every entry, whatever comes next."""

    def __init__(self, path: Path):
        self.path, self.values = path, {"checks": {}}

    def note(self, **values) -> None:
        """Keeps values by name."""
        self.values |= values
        write_text(self.path, json.dumps(self.values))

    def row(self, table: str, name: str, values: dict) -> None:
        """Keeps and prints a row of a table."""
        print(f"  {name:42s} " + "  ".join(f"{key} {value}" for key, value in values.items()), flush=True)
        self.note(**{table: {**self.values.get(table, {}), name: values}})

    def check(self, sentence: str, held: bool) -> None:
        """Keeps and prints whether something held."""
        print(f"  {'held' if held else 'FAILED'}: {sentence}", flush=True)
        self.note(checks={**self.values["checks"], sentence: bool(held)})


def clock(device: str) -> float:
    """The time in seconds, once the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def times(work, device: str, warm: int = 3, least: int = 5, seconds: float = 1.0) -> list[float]:
    """Seconds that `work` took, in order, after `warm` runs; `least` of them or more, for `seconds`."""
    for _ in range(warm):
        work()
    found, began = [], clock(device)
    while len(found) < least or (clock(device) - began < seconds and len(found) < 100):
        started = clock(device)
        work()
        found.append(clock(device) - started)
    return sorted(found)


def median_ms(*arguments, **more) -> float:
    """The median of `times`, in milliseconds."""
    found = times(*arguments, **more)
    return round(1000 * found[len(found) // 2], 3)


def apart(value: Tensor, reference: Tensor) -> dict[str, float]:
    """By how much `value` differs from `reference`, at most: absolutely, and over the largest reference."""
    value, reference = value.detach().cpu().double(), reference.detach().cpu().double()
    worst = float((value - reference).abs().max())
    return {"absolute": worst, "relative": worst / max(float(reference.abs().max()), 1e-30)}


def draw(faces: SyntheticFaces, truth: bool = False) -> dict[str, Tensor]:
    """All items of `faces`, stacked, drawn on all cores. They come through pipes: containers often have too
    little shared memory for a DataLoader's many workers. To be called before a GPU is used."""
    starts = range(0, len(faces), DRAWN)
    with get_context("fork").Pool(os.cpu_count(), torch.set_num_threads, (1,)) as pool:
        rows = pool.map(partial(_chunk, faces, truth), starts, chunksize=1)
    return {name: torch.cat([torch.from_numpy(row[name]) for row in rows]) for name in rows[0]}


def _chunk(faces: SyntheticFaces, truth: bool, start: int) -> dict:
    items = faces.batch(range(start, min(start + DRAWN, len(faces))), truth)
    return {name: value.numpy() for name, value in items.items()}
