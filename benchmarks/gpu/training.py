"""Minutes of training on drawn faces, end to end, and the figures of the protocol that come of it."""

import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gpu import SEED, Findings, Place, draw
from igc.config import ModelConfig, TrainConfig
from igc.data import SyntheticFaces

FACES, LOOKED_AT, TRIED = 20480, 512, 2048
"""Faces to train on, to fit the figures' regressions on and to test on, and to measure the speed with."""

TINY = {"size": 32, "faces": 64, "looked_at": 32, "tried": 16, "batch": 4, "seconds": 8.0}


class Drawn(torch.utils.data.Dataset):
    """Images that are in memory, as `igc.fit` takes them."""

    def __init__(self, images: Tensor, name: str):
        self.images, self.name, self.size = images, name, images.shape[-1]

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> "Drawn":
        """The same data set, but for all after the first `count`."""
        return Drawn(self.images[:count], f"{self.name}, the first {count}")

    def fingerprint(self) -> str:
        return f"drawn from {self.name}"

    def batch(self, indices, truth: bool = False) -> dict[str, Tensor]:
        return {"image": self.images[list(indices)].float() / 255}


def run(found: Findings, place: Place) -> None:
    with tempfile.TemporaryDirectory() as folder:
        train_and_look(found, place, Path(folder))


def train_and_look(found: Findings, place: Place, folder: Path) -> None:
    from igc import fit  # here, so that a package that is missing fails this section only

    tiny = TINY if place.tiny else {}
    size, batch = tiny.get("size", 64), tiny.get("batch", 64)
    seconds = tiny.get("seconds", 60 * place.minutes)
    started = time.perf_counter()
    faces = drawn(tiny.get("faces", FACES), size)
    looked_at = tiny.get("looked_at", LOOKED_AT)
    truth = [draw(SyntheticFaces(split, looked_at, size, SEED), True) for split in ("validation", "test")]
    found.note(faces=len(faces), batch=batch, drawing_s=round(time.perf_counter() - started, 1))
    print(f"  {len(faces)} faces drawn in {found.values['drawing_s']} s", flush=True)

    model = ModelConfig(size=size)
    settings = {"batch_size": batch, "seed": SEED, "device": place.device, "picture_epochs": 10**6}
    tried = fit(
        faces.first(tiny.get("tried", TRIED)), model, TrainConfig(epochs=2, **settings), folder / "tried"
    )
    speed = tried["history"][-1]["images_per_second"]
    epochs = max(1, int(0.95 * seconds * speed / len(faces)))
    found.note(tried_images_per_second=speed, epochs=epochs)
    started = time.perf_counter()
    record = fit(faces, model, TrainConfig(epochs=epochs, **settings), folder / "run")
    spent = time.perf_counter() - started
    images = epochs * (len(faces) // batch) * batch
    reached = {"images": images, "seconds": round(spent, 1), "images_per_second": round(images / spent, 1)}
    found.row("training", f"{epochs} epochs, end to end", reached)
    history = record["history"]
    found.note(setbacks=record["setbacks"], first=history[0], last=history[-1])
    if len(history) > 1:
        found.check("the loss fell", history[-1]["loss"] < history[0]["loss"])
    look(found, place, folder / "run", *truth)


def drawn(count: int, size: int) -> Drawn:
    """Faces to train on, as bytes."""
    faces = SyntheticFaces("train", count, size, SEED)
    return Drawn((draw(faces)["image"] * 255).round().to(torch.uint8), faces.fingerprint())


def look(found: Findings, place: Place, run: Path, fit: dict, test: dict) -> None:
    """The figures of the protocol, and how long they took."""
    from igc.evaluate import COLUMNS, evaluate
    from igc.model import IGCNet

    started = time.perf_counter()
    figures = evaluate(IGCNet.from_pretrained(run).to(place.device), fit, test)
    found.note(figures={name: round(figures[name], 4) for name in COLUMNS if name in figures})
    found.note(figures_s=round(time.perf_counter() - started, 1))
    print("  " + ", ".join(f"{name} {value}" for name, value in found.values["figures"].items()), flush=True)
    if not place.tiny:
        alive, parts = figures["parts_alive"], 6
        found.check("all parts are alive after training", alive == parts)
