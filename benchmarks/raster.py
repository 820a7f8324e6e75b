"""`python -m benchmarks.raster` prints our rasteriser beside PyTorch3D's, forward and backward, in one run.

The grids are random depth maps (seed 0) turned by up to 80 degrees. Forward gives triangle, depth and
weights; backward is that of depth and weights down to the vertices. Times are medians; memory is by how much
the process grows, or the peak on a GPU. Every row runs in a process of its own. `--out` keeps the record.

On CUDA it also prints the plain PyTorch path beside the fused kernel, a batch of 256 at 64 pixels, and the
share of the memory bandwidth that ours reaches: the bytes that must move at least (`least_bytes`) over the
time and over the device's peak, for which the fastest of ten copies of 1 GiB within the device stands.
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
from igc.machine import keep_memory
from igc.raster import Fragments, fused, pytorch3d, rasterize

FOV = math.radians(10)
BESIDE = ((64, 1), (64, 16), (128, 1), (128, 16), (256, 1))
ALONE = ((64, 64), (128, 64))
ON_CUDA = ((64, 256),)


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
    """Milliseconds an image forward and backward, and peak memory in MB; the backend "plain" is "grid"
    without the fused kernel. On CUDA also the shares of the memory bandwidth."""
    keep_memory()
    if backend == "plain":
        fused.usable = lambda vertices: False
    vertices = posed_grids(size, batch, device).requires_grad_()
    slow = backend == "pytorch3d" and device != "cuda"
    repeats = max(1, 4 * 64**4 // (size**4 * batch)) if slow else 9
    before, forward, backward = resident(), [], []
    for _ in range(repeats + (2 if repeats > 1 else 0)):
        start = clock(device)
        fragments = rasterize(vertices, size, backend="grid" if backend == "plain" else backend)
        middle = clock(device)
        loss = fragments.depth.sum() + fragments.weights.square().sum()
        ready = clock(device)
        loss.backward()
        forward.append(middle - start)
        backward.append(clock(device) - ready)
    peak = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else resident() - before
    seconds = [sorted(times[-repeats:])[repeats // 2] for times in (forward, backward)]
    names = "forward", "backward"
    found = {f"{k}_ms": round(1000 * s / batch, 4) for k, s in zip(names, seconds, strict=True)}
    if device == "cuda":
        moved, peak_speed = least_bytes(vertices, fragments), copy_speed()
        found |= {f"{k}_share": m / s / peak_speed for k, m, s in zip(names, moved, seconds, strict=True)}
    return {**found, "memory_mb": round(peak)}


def least_bytes(vertices: torch.Tensor, fragments: Fragments) -> tuple[int, int]:
    """Bytes that must move forward (vertices in, fragments out) and backward (in: the vertices, the pixels,
    corners and weights, the gradients of depth and weights; out: the gradient of the vertices)."""
    pixels = fragments.pixel.nbytes + fragments.corners.nbytes + fragments.weights.nbytes
    forward = vertices.nbytes + fragments.triangle.nbytes + fragments.depth.nbytes + pixels
    return forward, 2 * vertices.nbytes + pixels + fragments.weights.nbytes + fragments.depth.nbytes


def copy_speed(device: str = "cuda", size: int = 2**30) -> float:
    """Bytes a second read and written by the fastest of ten copies of `size` bytes within the device."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target, times = torch.empty_like(source), []
    for _ in range(10):
        start = clock(device)
        target.copy_(source)
        times.append(clock(device) - start)
    return 2 * size / min(times)


def resident() -> float:
    """The largest memory of this process so far, MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(backend: str, size: int, batch: int, device: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.raster", "--one", backend, str(size), str(batch), device]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(size: int, batch: int, device: str) -> dict:
    """One row: what was measured of ours and, where that is due, of the plain path and of PyTorch3D."""
    row = {"size": size, "batch": batch, "grid": in_a_process("grid", size, batch, device)}
    if device == "cuda":
        row["plain"] = in_a_process("plain", size, batch, device)
    if pytorch3d.available() and (size, batch) in BESIDE + ON_CUDA:
        row["pytorch3d"] = in_a_process("pytorch3d", size, batch, device)
        times = {k: row["pytorch3d"][f"{k}_ms"] / row["grid"][f"{k}_ms"] for k in ("forward", "backward")}
        row["ratios"] = {k: round(ratio, 1) for k, ratio in times.items()}
    return row


def line(row: dict) -> str:
    """A row as it is printed: `main` prints the heading."""
    text = f"{row['size']:4d} {row['batch']:5d}"
    for backend, digits in (("grid", 3), ("plain", 3), ("pytorch3d", 1)):
        if found := row.get(backend):
            text += f"   {found['forward_ms']:8.{digits}f} {found['backward_ms']:8.{digits}f}"
            text += f" {found['memory_mb']:6d}"
    if "ratios" in row:
        text += f"   {row['ratios']['forward']:8.1f} {row['ratios']['backward']:8.1f}"
    if "forward_share" in row["grid"]:
        text += f"   {row['grid']['forward_share']:7.2%} {row['grid']['backward_share']:7.2%}"
    return text


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
    on_cuda, rows = chosen.device == "cuda", []
    print(f"{torch.__version__}, {chosen.device}, {torch.get_num_threads()} of {os.cpu_count()} cores")
    print(
        "ms an image forward, backward, and MB: ours" + (", ours without the kernel" if on_cuda else ""),
        end="",
    )
    print(", PyTorch3D, where installed; times faster forward, backward", end="")
    print("; share of the memory bandwidth forward, backward" if on_cuda else "")
    for size, batch in BESIDE + ALONE + (ON_CUDA if on_cuda else ()):
        rows.append(compare(size, batch, chosen.device))
        print(line(rows[-1]), flush=True)
    if chosen.out:
        machine = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "torch": torch.__version__}
        write_text(
            Path(chosen.out), json.dumps({**machine, "device": chosen.device, "rows": rows}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
