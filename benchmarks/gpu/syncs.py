"""Where a training step makes the host wait for the device: every such place costs the time in which the
device runs dry."""

import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu import SEED, Findings, Place, draw
from benchmarks.gpu.step import Step
from igc.data import SyntheticFaces

ROOT = Path(__file__).resolve().parents[2]
WAITING = {
    "nonzero", "_local_scalar_dense", "repeat_interleave", "_unique2", "masked_select", "equal", "lift_fresh",
}  # fmt: skip
"""Operations that wait on a GPU: their results' shapes or values are asked for, or a constant is sent."""

OURS = "igc", "benchmarks"
"""Folders whose lines are named; the packages of `.venv` may lie in the repository too."""

CALLS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")


def run(found: Findings, place: Place) -> None:
    size, batch = (32, 2) if place.tiny else (64, 16)
    images = draw(SyntheticFaces("train", batch, size, SEED))["image"].to(place.device)
    step = Step(size, place.device)
    for _ in range(1 if place.tiny else 3):
        step(images)
    count = warned if place.device == "cuda" else foreseen
    places = count(lambda: step(images))
    found.note(how="warnings of CUDA" if place.device == "cuda" else "operations that would wait on a GPU")
    found.note(total=sum(places.values()))
    for name, number in places.most_common():
        found.row("places", name, {"times": number})
    found.check("the places of a step that wait were found", bool(places))
    if place.device == "cuda":
        found.note(calls=called(lambda: step(images)))
        print(f"  {found.values['calls']}", flush=True)


def warned(work: Callable[[], object]) -> Counter:
    """How often CUDA warns of waiting, by place (file:line)."""
    places = Counter()

    def note(message, category, filename, lineno, *more) -> None:
        if "synchronizing CUDA" in str(message):
            places[nearest(f"{filename}:{lineno}")] += 1

    torch.cuda.synchronize()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return places


def called(work: Callable[[], object]) -> dict[str, int]:
    """How often the calls of CUDA's runtime that wait were made, whoever warns of them."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as prof:
        work()
        torch.cuda.synchronize()
    rows = {each.key: each.count for each in prof.key_averages()}
    return {name: rows[name] for name in CALLS if name in rows}


class Foreseen(TorchDispatchMode):
    """Counts the operations that would wait on a GPU, by place."""

    def __init__(self):
        super().__init__()
        self.places = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING:
            self.places[f"{nearest('backward')} {name}"] += 1
        return func(*args, **(kwargs or {}))


def foreseen(work: Callable[[], object]) -> Counter:
    """How often a step would wait on a GPU, by place, as far as the path on a CPU has the same operations."""
    with Foreseen() as mode:
        work()
    return mode.places


def nearest(otherwise: str) -> str:
    """The innermost line of ours that is being run, file:line, but for those of this file."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path != Path(__file__) and path.relative_to(ROOT).parts[0] in OURS:
            return f"{path.relative_to(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back
    return otherwise
