"""`python -m benchmarks.train` prints how fast our training step is beside the alternatives, in one run.

Rows: our step; the straightforward step of the same networks (a loop over the parts, PyTorch3D's rasteriser);
Unsup3D's step with its published layer sizes, with our rasteriser and with PyTorch3D's. Rows that need
PyTorch3D are left out where it is not installed. Then our step and the straightforward one with a larger
batch, how the cost grows with batch, parts and pixels, with the memory it takes, and where the time of a step
goes. Every row runs in a process of its own, on all cores that PyTorch takes; `--out FILE` keeps the record.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from igc import IGCNet, ModelConfig, TrainConfig, geometry
from igc.data import SyntheticFaces
from igc.files import write_text
from igc.machine import keep_memory
from igc.networks import PartDecoder
from igc.objective import Objective
from igc.raster import interpolate, rasterize
from peers.unsup3d import Unsup3DNet

BATCH, LARGE, SIZE = 16, 64, 64
SECONDS = {"cpu": 12.0, "cuda": 3.0}
BATCHES = {"cpu": (4, 8, 16, 32, 64), "cuda": (16, 64, 256, 1024, 4096)}
PARTS, SIZES = (1, 3, 6, 12), (32, 64, 128)
ROWS = ("ours", "straightforward", "Unsup3D, our rasteriser", "Unsup3D, PyTorch3D's rasteriser")


class OnePart(torch.nn.Module):
    """A `PartDecoder` whose parts are decoded one after the other."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, capsules: torch.Tensor) -> torch.Tensor:
        d, rows = self.decoder, []
        for part in range(capsules.shape[1]):
            hidden = torch.relu(d.input(capsules[:, part]) + d.bias[part])
            rows.append(d.output(hidden).unflatten(-1, d.shape))
        return torch.stack(rows, dim=1)


class Straightforward(IGCNet):
    """The same networks as one would first write them: one part after the other, a general rasteriser."""

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        for name, module in list(self.named_children()):
            if isinstance(module, PartDecoder):
                setattr(self, name, OnePart(module))

    def draw(self, whole, attributes, pose, size, zoom=1.0):
        points = geometry.transform(self.surface(whole), pose)
        pixels = geometry.points_to_pixels(points, size, geometry.zoomed(self.fov, zoom))
        fragments = rasterize(pixels, size, whole.visibility[:, -1] < 0.5, backend="pytorch3d")
        return interpolate(fragments, attributes), fragments.depth


def stepper(row: str, size: int, parts: int, device: str, precision: str):
    """A function that makes one whole training step on images (B, 3, S, S)."""
    torch.manual_seed(0)
    if row.startswith("Unsup3D"):
        model = Unsup3DNet(size, rasteriser="grid" if "our" in row else "pytorch3d").to(device)
        loss_of = model.loss
    else:
        kind = Straightforward if row == "straightforward" else IGCNet
        model = kind(ModelConfig(size=size, parts=parts, outlines=row == "ours")).to(device)
        model.precision = precision
        objective = Objective(model, TrainConfig())
        loss_of = lambda images: sum(objective(images).terms.values())  # noqa: E731
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step(images: torch.Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss_of(images).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def measure(row: str, size: int, batch: int, parts: int, device: str, precision: str) -> dict:
    """Images a second (the median step) and memory: by how much the process grew, or the GPU's peak."""
    keep_memory()
    images = SyntheticFaces("train", batch, size).batch(range(batch), truth=False)["image"].to(device)
    before, step = resident(), stepper(row, size, parts, device, precision)
    times, began = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - began < SECONDS[device] and len(times) < 200):
        started = time.perf_counter()
        step(images)
        times.append(time.perf_counter() - started)
    median = sorted(times[1:])[(len(times) - 1) // 2]
    memory = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else resident() - before
    return {
        "images_per_second": round(batch / median, 2), "ms_per_image": round(1000 * median / batch, 3),
        "memory_mb": round(memory), "steps": len(times),
    }  # fmt: skip


def resident() -> float:
    """Megabytes of memory that this process has taken at most."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def where_time_goes(device: str) -> dict:
    """Operations by share of a step's time, and the arithmetic reached beside that of a large product."""
    keep_memory()
    images = SyntheticFaces("train", BATCH, SIZE).batch(range(BATCH), truth=False)["image"].to(device)
    step = stepper("ours", SIZE, 6, device, "float32")
    step(images)
    with FlopCounterMode(display=False) as counter:
        step(images)
    started = time.perf_counter()
    for _ in range(5):
        step(images)
    seconds = (time.perf_counter() - started) / 5
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        step(images)
    rows = sorted(prof.key_averages(), key=lambda each: -each.self_cpu_time_total)
    total = sum(each.self_cpu_time_total for each in rows)
    shares = {each.key: round(each.self_cpu_time_total / total, 3) for each in rows[:12]}
    a = torch.randn(2048, 2048, device=device)
    a @ a
    started = time.perf_counter()
    for _ in range(5):
        a @ a
    peak = 5 * 2 * 2048**3 / (time.perf_counter() - started)
    reached = counter.get_total_flops() / seconds
    return {
        "shares": shares, "gflop_a_step": round(counter.get_total_flops() / 1e9, 3),
        "gflops_reached": round(reached / 1e9, 2), "gflops_of_a_product": round(peak / 1e9, 2),
        "share_of_the_arithmetic": round(reached / peak, 3),
    }  # fmt: skip


def apart(*arguments) -> dict:
    """A measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.train", "--only", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def has_pytorch3d() -> bool:
    try:
        import pytorch3d.renderer  # noqa: F401
    except ImportError:
        return False
    return True


def run(device: str, precision: str) -> dict:
    rows = [row for row in ROWS if has_pytorch3d() or not ("PyTorch3D" in row or row == "straightforward")]
    found = {"beside": {}, "large": {}, "batch": {}, "parts": {}, "size": {}}
    for row in rows:
        found["beside"][row] = shown(row, apart(row, SIZE, BATCH, 6, device, precision))
    for row in ROWS[:2]:
        if row in rows:
            found["large"][row] = shown(f"{row}, {LARGE}", apart(row, SIZE, LARGE, 6, device, precision))
    for batch in BATCHES[device]:
        found["batch"][batch] = shown(f"batch {batch}", apart("ours", SIZE, batch, 6, device, precision))
    for parts in PARTS:
        found["parts"][parts] = shown(f"{parts} parts", apart("ours", SIZE, BATCH, parts, device, precision))
    for size in SIZES:
        found["size"][size] = shown(f"{size} pixels", apart("ours", size, BATCH, 6, device, precision))
    found["times_as_fast"], found["times_as_fast_large"] = (
        {
            row: round(each["ours"]["images_per_second"] / other["images_per_second"], 1)
            for row, other in each.items()
        }
        for each in (found["beside"], found["large"])
    )
    found["profile"] = apart("profile", device)
    return found


def shown(name: str, row: dict) -> dict:
    print(f"{name:34s}" + "".join(f"{key} {value:>9}   " for key, value in row.items()), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="float32", choices=("float32", "bf16"))
    parser.add_argument("--out", help="a JSON file for the record")
    parser.add_argument("--only", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only and chosen.only[0] == "profile":
        print(json.dumps(where_time_goes(chosen.only[1])))
        return
    if chosen.only:
        row, size, batch, parts, device, precision = chosen.only
        print(json.dumps(measure(row, int(size), int(batch), int(parts), device, precision)))
        return
    record = run(chosen.device, chosen.precision)
    print(json.dumps({key: record[key] for key in ("times_as_fast", "profile")}, indent=2))
    if chosen.out:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
        command = f"python -m benchmarks.train --device {chosen.device} --precision {chosen.precision}"
        versions = {"torch": torch.__version__, "python": platform.python_version()}
        record = {"command": command, "machine": machine, "versions": versions, **record}
        write_text(Path(chosen.out), json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
