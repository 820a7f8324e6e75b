"""`python -m benchmarks.raster` prints our rasteriser beside PyTorch3D's, forward and backward, in one run.

The grids are random depth maps (seed 0) turned by up to 80 degrees. Forward gives triangle, depth and
weights; backward is that of depth and weights down to the vertices. Times are medians; memory is by how much
the process grows, or the peak on a GPU. Every row runs in a process of its own. `--out` keeps the record.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

from igc import geometry
from igc.files import write_text
from igc.raster import pytorch3d, rasterize
from igc.train import keep_memory

FOV = math.radians(10)
BESIDE = ((64, 1), (64, 16), (128, 1), (128, 16), (256, 1))
ALONE = ((64, 64), (128, 64))


def posed_grids(size: int, batch: int, device: str) -> torch.Tensor:
    """(B, S, S, 3): vertices of smooth random depth maps, yaw within +-80 degrees, in pixels."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 1, 8, 8, generator=generator)
    depth = 0.95 + 0.1 * torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")[:, 0]
    pose = torch.zeros(batch, 6)
    pose[:, 1] = math.radians(80) * (2 * torch.rand(batch, generator=generator) - 1)
    points = geometry.transform(geometry.depth_to_points(depth, FOV), pose)
    return geometry.points_to_pixels(points, size, FOV).to(device)


def clock(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(backend: str, size: int, batch: int, device: str) -> dict[str, float]:
    """Milliseconds an image forward and backward, and peak memory in MB."""
    keep_memory()
    vertices = posed_grids(size, batch, device).requires_grad_()
    repeats = 9 if backend == "grid" else max(1, 4 * 64**4 // (size**4 * batch))
    before, forward, backward = resident(), [], []
    for _ in range(repeats + (2 if repeats > 1 else 0)):
        start = clock(device)
        fragments = rasterize(vertices, size, backend=backend)
        middle = clock(device)
        loss = fragments.depth.sum() + fragments.weights.square().sum()
        ready = clock(device)
        loss.backward()
        forward.append(middle - start)
        backward.append(clock(device) - ready)
    peak = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else resident() - before
    middle = [1000 * sorted(times[-repeats:])[repeats // 2] / batch for times in (forward, backward)]
    return {"forward_ms": round(middle[0], 4), "backward_ms": round(middle[1], 4), "memory_mb": round(peak)}


def resident() -> float:
    """The largest memory of this process so far, MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(backend: str, size: int, batch: int, device: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.raster", "--one", backend, str(size), str(batch), device]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.raster", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", help="a JSON file for the record")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        backend, size, batch, device = chosen.one
        print(json.dumps(measure(backend, int(size), int(batch), device)))
        return
    rows, installed = [], pytorch3d.available()
    print(f"{torch.__version__}, {chosen.device}, {torch.get_num_threads()} of {os.cpu_count()} cores")
    print("size batch   ours ms forward, backward, MB   PyTorch3D ms forward, backward, MB   times faster")
    for size, batch in BESIDE + ALONE:
        row = {"size": size, "batch": batch, "grid": in_a_process("grid", size, batch, chosen.device)}
        ours = row["grid"]
        line = f"{size:4d} {batch:5d}   {ours['forward_ms']:8.3f} {ours['backward_ms']:8.3f}"
        line += f" {ours['memory_mb']:6d}"
        if installed and (size, batch) in BESIDE:
            theirs = row["pytorch3d"] = in_a_process("pytorch3d", size, batch, chosen.device)
            ratios = [theirs[key] / ours[key] for key in ("forward_ms", "backward_ms")]
            row["ratios"] = {"forward": round(ratios[0], 1), "backward": round(ratios[1], 1)}
            line += f"   {theirs['forward_ms']:12.1f} {theirs['backward_ms']:9.1f} {theirs['memory_mb']:6d}"
            line += f"   {ratios[0]:8.0f} {ratios[1]:8.0f}"
        print(line, flush=True)
        rows.append(row)
    if chosen.out:
        machine = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "torch": torch.__version__}
        write_text(
            Path(chosen.out), json.dumps({**machine, "device": chosen.device, "rows": rows}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
