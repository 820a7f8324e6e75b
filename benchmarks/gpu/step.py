"""The time and memory of a training step by batch, precision and compilation, and whether the loss stays."""

import time

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.gpu import SEED, Findings, Place, clock, draw, times
from igc.config import ModelConfig, TrainConfig
from igc.data import SyntheticFaces
from igc.machine import keep_memory
from igc.model import IGCNet
from igc.objective import Objective

AGREE = {"bf16": 0.05, "float32, compiled": 0.002, "bf16, compiled": 0.05}
"""How far, as a share of it, the first loss may lie from the one in float32 without compilation."""


class Step:
    """A seeded model and what training does with a batch."""

    def __init__(self, size: int, device: str, precision: str = "float32", compiled: bool = False):
        torch.manual_seed(SEED)
        config = TrainConfig(precision=precision, compile=compiled)
        self.model = IGCNet(ModelConfig(size=size)).to(device)
        self.model.precision = precision
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
        self.objective = Objective(self.model, config).train()
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-4, betas=(0.9, 0.99), fused=True)
        if compiled:
            from igc.training import compile_networks

            torch.compiler.reset()
            compile_networks(self.model)

    def __call__(self, images: Tensor) -> Tensor:
        """One step; the loss before it."""
        loss = sum(self.objective(images).terms.values())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(loss.detach()) & torch.isfinite(norm):
            self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.average.update_parameters(self.model)
        return loss.detach()


def run(found: Findings, place: Place) -> None:
    keep_memory()
    began, size, batches = time.perf_counter(), *((32, (2,)) if place.tiny else (64, (16, 64, 256)))
    faces = draw(SyntheticFaces("train", max(batches), size, SEED))["image"]
    found.note(compilation="left out" if place.tiny else "torch.compile")
    reference = None
    for compiled in (False, True):
        for batch in batches:
            for precision in ("float32", "bf16"):
                kind = precision + ((", not compiled" if place.tiny else ", compiled") if compiled else "")
                if time.perf_counter() - began > place.budget:
                    found.note(left_out=[*found.values.get("left_out", []), f"{kind}, batch {batch}"])
                    continue
                row = measured(Step(size, place.device, precision, compiled), faces[:batch], place)
                found.row("steps", f"{kind}, batch {batch}", row)
                reference = row["loss"] if reference is None else reference
                if batch == batches[0] and kind in AGREE:
                    away = abs(row["loss"] - reference) / abs(reference)
                    said = f"the loss in {kind} is that in float32 within {AGREE[kind]:g} of it"
                    found.check(said, away <= AGREE[kind])


def measured(step: Step, images: Tensor, place: Place) -> dict:
    """The first loss, seconds of the first step, the median of later ones, and the largest memory."""
    images = images.to(place.device)
    if place.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = clock(place.device)
    loss = float(step(images))
    first = clock(place.device) - started
    few = {"warm": 1, "least": 2, "seconds": 0.0} if place.tiny else {"warm": 4, "least": 10, "seconds": 1.5}
    spent = times(lambda: step(images), place.device, **few)
    middle = spent[len(spent) // 2]
    memory = round(torch.cuda.max_memory_allocated() / 1e6) if place.device == "cuda" else None
    return {
        "loss": round(loss, 5), "first_s": round(first, 2), "ms_a_step": round(1000 * middle, 2),
        "images_per_second": round(len(images) / middle, 1), "memory_mb": memory, "steps": len(spent),
    }  # fmt: skip
