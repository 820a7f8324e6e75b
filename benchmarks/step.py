"""`python -m benchmarks.step` prints where the time of a training step goes, in milliseconds an image."""

import os
import time
from collections.abc import Callable

import torch

from igc import IGCNet, ModelConfig, TrainConfig, geometry, raster
from igc.data import SyntheticFaces
from igc.machine import keep_memory
from igc.objective import objective

BATCH, REPEATS = 32, 6


def milliseconds(work: Callable[[], object]) -> float:
    """Median time of `work` an image of the batch, after two warm-up runs."""
    times = []
    for _ in range(REPEATS + 2):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return 1000 * sorted(times[2:])[REPEATS // 2] / BATCH


def main() -> None:
    keep_memory()
    torch.manual_seed(0)
    model, config = IGCNet(ModelConfig()), TrainConfig()
    images = SyntheticFaces("train", BATCH).batch(range(BATCH), truth=False)["image"]
    with torch.no_grad():
        out = model(images)
        points = geometry.transform(model.points(out.depth, out.shift), out.pose)
        pixels = geometry.points_to_pixels(points, model.config.size, model.fov)
    rows = {
        "encode": lambda: model.encode(images),
        "rasterise": lambda: raster.rasterize(pixels, model.config.size),
        "forward": lambda: model(images),
        "whole step": lambda: sum(objective(model, model(images), images, config).values()).backward(),
    }
    print(f"batch {BATCH}, {model.config.size} pixels, {torch.get_num_threads()} of {os.cpu_count()} cores")
    for name, work in rows.items():
        spent = milliseconds(work)
        print(f"{name:12s} {spent:7.2f} ms an image, {1000 / spent:7.1f} images a second")


if __name__ == "__main__":
    main()
