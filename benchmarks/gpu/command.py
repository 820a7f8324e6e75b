"""`python -m benchmarks.gpu` checks and measures what a GPU changes, in under eight minutes, as one record.

Five sections: the machine; the rasteriser's kernel against its plain path; the time and memory of a training
step by batch, precision and compilation; where a step makes the host wait; and five minutes of training, with
the figures that come of it. Every section runs in a process of its own: one that fails, crashes or hangs
leaves what it had found and one sentence, and the next begins. The record is written after each. The command
ends with 1 if a check or a section failed. On a CPU it walks the same path at tiny sizes.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.gpu import SEED, Findings, Place
from igc.errors import UserError
from igc.files import make_folder, write_text, writing
from igc.machine import choose_device
from igc.runs import commit

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {"machine": 60, "kernel": 120, "step": 240, "syncs": 90, "training": 150}
"""The sections in order, and the seconds after which each is stopped; training has its minutes besides."""

BESIDE, TRAINING = 175, 50
"""Seconds that all but the minutes of training may take, and how many of them the training's section needs to
draw faces and to look at the result. What the others take beyond that comes off the minutes."""

ON_A_CPU = {"kernel": {"TRITON_INTERPRET": "1"}, "step": {"TORCHDYNAMO_DISABLE": "1"}}
"""Environments: Triton and PyTorch read them when they are imported. The kernel then runs without a GPU, and
networks that are to be compiled stay as they are, as a C++ compiler takes minutes."""

BUDGET, ALONE = 80.0, 200.0
"""Seconds in which the step's section begins measurements, with the others and by itself."""


def machine(found: Findings, place: Place) -> None:
    """What the record comes from."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda}
    if find_spec("triton"):
        versions["triton"] = import_module("triton").__version__
    found.note(name=platform.machine(), cores=os.cpu_count(), versions=versions)
    found.note(threads=torch.get_num_threads(), matmul=torch.get_float32_matmul_precision())
    if place.device == "cuda":
        has = torch.cuda.get_device_properties(0)
        found.note(
            gpu=has.name, memory_gb=round(has.total_memory / 1e9, 1), capability=[has.major, has.minor]
        )
    missing = [name for name in ("webdataset", "tensorboardX", "accelerate") if not find_spec(name)]
    found.check("the packages that training needs are installed", not missing)
    print("  " + json.dumps({name: value for name, value in found.values.items() if name != "checks"}))


def section(name: str, found: Findings, place: Place) -> None:
    """Runs one section; what goes wrong becomes its `error`, one sentence."""
    started = time.perf_counter()
    try:
        work = machine if name == "machine" else import_module(f"benchmarks.gpu.{name}").run
        work(found, place)
    except Exception as error:
        traceback.print_exc()
        found.note(error=sentence(error))
    found.note(seconds=round(time.perf_counter() - started, 1))


def sentence(error: Exception) -> str:
    """What went wrong and where, in one line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(str(ROOT))]
    where = f" in {Path(frames[-1].filename).relative_to(ROOT)}:{frames[-1].lineno}" if frames else ""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}{where}: {said[:500]}"


def in_a_process(command: list[str], path: Path, limit: float, environment: dict | None = None) -> dict:
    """Runs a command that writes what it finds to `path`, for `limit` seconds at most; returns that, with an
    `error` if the command did not come to its end."""
    started, error = time.perf_counter(), None
    environment = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
    try:
        code = process.wait(limit)
        error = f"the process ended with {code}" if code else None
    except subprocess.TimeoutExpired:
        error = f"it was stopped after {limit:.0f} seconds"
    finally:  # also where the command itself is interrupted
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {"checks": {}}
    if error:
        found["error"] = found.get("error", error)
    return {**found, "wall_seconds": round(time.perf_counter() - started, 1)}


def failures(record: dict) -> list[str]:
    """A sentence for each check and each section that failed."""
    said = []
    for name in LIMITS:
        part = record.get(name, {})
        said += [f"{name}: {part['error']}"] if "error" in part else []
        said += [
            f"{name}: it does not hold that {each}"
            for each, held in part.get("checks", {}).items()
            if not held
        ]
    return said


def run_all(names: list[str], device: str, minutes: float, out: Path, record: dict) -> dict:
    """Runs the sections and writes the record after each."""
    began = time.perf_counter()
    for name in names:
        spent = time.perf_counter() - began
        left = max(minutes / 5, minutes - max(0.0, spent + TRAINING - BESIDE) / 60)
        limit = LIMITS[name] + (60 * left if name == "training" else 0)
        print(f"{name} (after {spent:.0f} s)", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "found.json")
            command = [sys.executable, "-m", "benchmarks.gpu", "--section", name, "--device", device]
            command += ["--minutes", str(left), "--out", str(path)]
            command += ["--budget", str(BUDGET if len(names) > 2 else ALONE)]
            record[name] = in_a_process(command, path, limit, ON_A_CPU.get(name) if device == "cpu" else None)
        record["failed"] = failures(record)
        record["seconds"] = round(time.perf_counter() - began, 1)
        with writing(out):
            write_text(out, json.dumps(record, indent=2) + "\n")
    return record


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", help="the record; benchmarks/records/gpu.json by default, on a CPU or with "
                        "--only build/gpu.json")  # fmt: skip
    parser.add_argument("--minutes", type=float, default=5.0, help="of training (on a CPU a few seconds)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--only", choices=tuple(LIMITS), help="one section, and the machine")
    parser.add_argument("--section", choices=tuple(LIMITS), help=argparse.SUPPRESS)
    parser.add_argument("--budget", type=float, default=BUDGET, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    chosen = options(arguments)
    if chosen.section:
        place = Place(chosen.device, chosen.minutes, chosen.budget)
        section(chosen.section, Findings(Path(chosen.out)), place)
        return 0
    try:
        device = choose_device(chosen.device)
        kept = device == "cuda" and not chosen.only
        out = Path(chosen.out or ("benchmarks/records/gpu.json" if kept else "build/gpu.json"))
        make_folder(out.parent)
        given = sys.argv[1:] if arguments is None else arguments
        record = {
            "command": shlex.join(["python", "-m", "benchmarks.gpu", *given]), "device": device,
            "tiny": device == "cpu", "seed": SEED, "commit": commit(),
        }  # fmt: skip
        if record["tiny"]:
            print("Without a GPU the command walks its path at tiny sizes; its times mean nothing.")
        names = ["machine", chosen.only] if chosen.only not in (None, "machine") else list(LIMITS)
        record = run_all(
            ["machine"] if chosen.only == "machine" else names, device, chosen.minutes, out, record
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for said in record["failed"]:
        print(f"failed: {said}")
    print(f"{out} has the record; {record['seconds']:.0f} seconds, {len(record['failed'])} failures.")
    return 1 if record["failed"] else 0
