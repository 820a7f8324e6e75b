"""`python -m benchmarks.supervised` asks how much of a person's own shape can be read from pictures at all.

A network with our encoder and one linear layer is told the true canonical depth of drawn training faces, and
learns to predict how it departs from their mean, at 32 x 32. Measured as our models are: own shape, on test
people. Labels are used, so it is a bound to compare with and no floor. The record is
benchmarks/records/supervised.json.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from igc.config import ModelConfig
from igc.data import FACE_PARTS, SyntheticFaces
from igc.evaluate import load_truth
from igc.files import make_folder, write_text
from igc.networks import Encoder, upsample
from igc.own_shape import own_shape
from igc.runs import commit

RECORD = Path("benchmarks/records/supervised.json")
WIDTH, GRID, BATCH, RATE = ModelConfig.width, 32, 16, 1e-3
"""Width of the encoder, pixels of a side of what is predicted, images of a step, and the highest rate."""


class Told(nn.Module):
    """Images (B, 3, S, S) to canonical depth (B, S, S): `mean` (S, S), and a departure in `unit` from it."""

    def __init__(self, mean: Tensor, unit: float, width: int = WIDTH):
        super().__init__()
        self.mean, self.unit = mean, unit
        self.encoder = Encoder(len(mean), width, 8 * width)
        self.to_departure = nn.Linear(8 * width, GRID * GRID)
        nn.init.zeros_(self.to_departure.weight)
        nn.init.zeros_(self.to_departure.bias)

    def forward(self, images: Tensor) -> Tensor:
        coarse = self.to_departure(self.encoder(images)[1]).unflatten(1, (GRID, GRID))
        return self.mean + self.unit * upsample(coarse, images.shape[-1])


def mean_depth(depth: Tensor) -> tuple[Tensor, float]:
    """The mean (S, S) of canonical depths (N, S, S) where there is a head, 1 where there never is one, and
    the standard deviation of what departs from it."""
    head = depth > 0
    mean = torch.where(head.any(dim=0), depth.sum(dim=0) / head.sum(dim=0).clamp(min=1), 1.0)
    return mean, float((depth - mean)[head].std())


def train(truth: dict, epochs: int, seed: int) -> Told:
    """Learns from `image` and `canonical_depth` by squared error over the pixels of the true front of the
    face (`canonical_labels`), Adam, one cycle of the rate."""
    torch.manual_seed(seed)
    model = Told(*mean_depth(truth["canonical_depth"]))
    front = torch.isin(truth["canonical_labels"], torch.tensor(FACE_PARTS))
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    steps = epochs * -(-len(front) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(epochs):
        total = 0.0
        for index in torch.randperm(len(front)).split(BATCH):
            wrong = (model(truth["image"][index]) - truth["canonical_depth"][index]) / model.unit
            loss = wrong[front[index]].square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(index)
        print(f"epoch {epoch + 1}: {total / len(front):.4f} of the variance of a head", flush=True)
    return model.eval()


@torch.no_grad()
def told_depth(model: Told, images: Tensor) -> Tensor:
    """Canonical depth (N, S, S) of images."""
    return torch.cat([model(part) for part in images.split(64)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.supervised", description=__doc__)
    parser.add_argument("--images", type=int, default=2048, help="training faces")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--count", type=int, default=400, help="faces to fit the scale on, and to test on")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="of the network; the faces are those of seed 0")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    chosen = parser.parse_args()
    splits = ("train", chosen.images), ("validation", chosen.count), ("test", chosen.count)
    known, fit, test = (load_truth(*each, chosen.size) for each in splits)
    started = time.perf_counter()
    model = train(known, chosen.epochs, chosen.seed)
    seconds = time.perf_counter() - started
    score, before = (
        own_shape(told_depth(model, fit["image"]), fit, told_depth(model, data["image"]), data, FACE_PARTS)
        for data in (test, known)
    )
    record = {
        "command": f"python -m benchmarks.supervised --images {chosen.images} --epochs {chosen.epochs} "
        f"--count {chosen.count} --size {chosen.size} --seed {chosen.seed}",
        "seed": chosen.seed,
        "train": SyntheticFaces("train", chosen.images, chosen.size).fingerprint(),
        "data": SyntheticFaces("test", chosen.count, chosen.size).fingerprint(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "commit": commit(),
        "network": {"width": WIDTH, "grid": GRID, "batch": BATCH, "rate": RATE},
        "seconds": round(seconds, 1),
        "figures": {"own_shape": round(score, 4), "own_shape_train": round(before, 4)},
    }
    print(json.dumps(record["figures"]))
    make_folder(chosen.out.parent)
    write_text(chosen.out, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
