"""One training run, step by step: `Training`, which `igc.train.fit` sets up and runs.

A run is a folder (see `igc.runs`). It goes on from its last checkpoint, and goes back to it when something is
wrong. One process or many: accelerate spreads the same code.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from igc.config import TrainConfig
from igc.errors import UserError
from igc.feed import Feed, check_dataset
from igc.files import write_text, writing
from igc.framing import LOOKED_AT, warn_if_filled
from igc.machine import choose_device, keep_memory
from igc.model import IGCNet
from igc.networks import Encoder, PartDecoder
from igc.objective import Objective
from igc.parent import load_parent
from igc.raster import Unusable
from igc.records import Events, progress_bar, save_picture
from igc.runs import Progress, describe_run, load_state, pack, save_best, save_state, unpack
from igc.schedule import set_learning_rate
from igc.watch import PATIENCE, Stop, Watch

Preview = Callable[[IGCNet, int], object]
"""Called with the model and the number of steps done, every `PREVIEW` steps."""

PREVIEW = 50

SEARCHES = (0.4, 0.6, 0.8)
"""Shares of the run after which parts are looked for: colours are known by the first, and better later."""

MEASURED = 16
"""Batches over which the averaged model's votes are centred before it is shown."""


class Training:
    """One run: what `fit` sets up, and the steps it goes through."""

    def __init__(self, dataset, model_config, config: TrainConfig, out: Path, preview=None, init=None):
        keep_memory()
        parent, described = load_parent(init, model_config, out) if init else (None, None)
        self.accelerator = Accelerator(
            cpu=choose_device(config.device) == "cpu", gradient_accumulation_steps=config.accumulate
        )
        check_dataset(dataset, model_config, config, self.accelerator.num_processes)
        self.dataset, self.config, self.out, self.preview = dataset, config, out, preview
        torch.manual_seed(config.seed)
        self.model = IGCNet(model_config)
        if parent is not None:
            self.model.load_state_dict(parent.state_dict())
        self.model.precision = config.precision
        self.average = average_of(self.model, config.ema)
        objective = Objective(self.model, config)
        optimiser = torch.optim.Adam(
            self.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.objective, self.optimiser = self.accelerator.prepare(objective, optimiser)
        if self.average is not None:
            self.average.to(self.accelerator.device)
        if config.compile:
            compile_networks(self.model)
        self.settings = {
            "model": model_config.to_dict(), "train": config.to_dict(), "data": dataset.fingerprint(),
        } | ({"init": described} if init else {})  # fmt: skip
        self.progress, self.sums = Progress(), {}
        place = self.accelerator.process_index, self.accelerator.num_processes
        self.feed = Feed(dataset, config, self.accelerator.device, *place)
        with self.accelerator.main_process_first():  # which sets another run's files aside
            found = self.load()
        self.accelerator.wait_for_everyone()  # or a slower process would find what a faster one writes next
        if not found:
            self.save()
            if self.accelerator.is_main_process and model_config.background == "border":
                warn_if_filled(self.feed.sample(LOOKED_AT))
        self.watch = Watch(model_config.parts, self.accelerator, model_config.background)

    def run(self, stop: Stop) -> None:
        """Trains until the last epoch is done; goes back to the last checkpoint when something is wrong."""
        epochs, steps = self.config.epochs, self.feed.steps
        events = Events(self.out, self.progress.epoch, self.accelerator.is_main_process)
        with progress_bar(epochs * steps, not self.accelerator.is_main_process) as bar:
            while self.progress.epoch < epochs:
                bar.n = self.progress.epoch * steps + self.progress.step
                fault = self.epoch(bar, stop)
                if fault:
                    self.go_back(fault)
                    continue
                row = self.end_epoch()
                events.write(row)
                if self.accelerator.is_main_process and row["epoch"] % self.config.picture_epochs == 0:
                    path = self.out / "pictures" / f"epoch_{row['epoch']:04d}.png"
                    save_picture(path, self.shown(), next(self.feed.batches(0))[:8])
            bar.n = bar.total
            bar.refresh()
        events.close()

    def epoch(self, bar, stop: Stop) -> str | None:
        """The rest of the epoch that is under way; what is wrong, if training cannot go on like this."""
        progress, started = self.progress, time.perf_counter() - self.progress.seconds
        asked = False
        self.objective.train()
        for images in self.feed.batches(progress.epoch, progress.step):
            try:
                loss = self.step(images)
            except Unusable as error:
                return self.undrawn(error)
            progress.step += 1
            progress.seconds = time.perf_counter() - started
            bar.update()
            if self.watch.due(progress.step):
                fault = self.watch.fault()
                if fault:
                    return fault
                bar.set_postfix(epoch=progress.epoch + 1, loss=f"{loss.item():.3f}", refresh=False)
            if self.preview and progress.step % PREVIEW == 0:
                self.preview(self.shown(), progress.epoch * self.feed.steps + progress.step)
            if progress.step < self.feed.steps:
                asked = asked or stop.asked(self.accelerator, progress.step)
                if self.accelerator.sync_gradients:  # a checkpoint lies between two steps of the optimiser
                    self.keep(asked)
        return self.watch.fault()

    def keep(self, asked: bool) -> None:
        """Within an epoch: saves if a checkpoint is due and nothing is wrong, or if the run is to stop."""
        due = self.progress.step % self.config.checkpoint_steps < self.config.accumulate
        if asked or (due and not self.watch.fault()):
            self.save()
        if asked:
            raise KeyboardInterrupt(f"stopped; started again, the run in {self.out} goes on")

    def undrawn(self, error: Unusable) -> str:
        """What is wrong where the rasteriser refused the face. UserError with several processes: the others
        are in the middle of a step, and do not hear of it."""
        fault = "the face has points that are no numbers or behind the camera"
        if self.accelerator.num_processes > 1:
            raise UserError(
                f"{fault} in epoch {self.progress.epoch + 1}: lower 'learning_rate' "
                f"({self.config.learning_rate}); the last good checkpoint is kept in {self.out}."
            ) from error
        return fault

    def step(self, images: torch.Tensor) -> torch.Tensor:
        """One step of the optimiser (or a share of one, with `accumulate`); returns the loss."""
        done, total = self.place()
        set_learning_rate(self.optimiser, self.config, done, total, 0.5 ** len(self.progress.setbacks))
        if done in [math.ceil(share * total) for share in SEARCHES]:
            self.model.layout.search(self.config.seed)
        with self.accelerator.accumulate(self.objective):
            terms, area = self.objective(images)
            loss = sum(terms.values())
            self.accelerator.backward(loss)
            finite = torch.isfinite(loss.detach())
            if self.accelerator.sync_gradients:
                norm = self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
                finite = finite & torch.isfinite(norm)
            if finite:  # the weights stay good; with several processes the norm is that of all
                self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None and self.accelerator.sync_gradients:
            self.average.update_parameters(self.model)
        self.watch.see(finite, area)
        for name, value in {"loss": loss, **terms}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()
        return loss

    def place(self) -> tuple[int, int]:
        """Where the schedule is: so many steps of so many."""
        done = self.progress.epoch * self.feed.steps + self.progress.step
        return done, self.config.epochs * self.feed.steps

    def end_epoch(self) -> dict:
        """Closes the epoch: its row of the history, and a checkpoint."""
        progress, steps = self.progress, self.feed.steps
        means = {
            name: round(float(self.accelerator.reduce(value, "mean")) / steps, 5)
            for name, value in self.sums.items()
        }
        speed = round(steps * self.config.batch_size / max(progress.seconds, 1e-9), 1)
        row = {"epoch": progress.epoch + 1, "seconds": round(progress.seconds, 2)}
        row |= {"images_per_second": speed, **means}
        progress.history.append(row)
        progress.epoch, progress.step, progress.seconds = progress.epoch + 1, 0, 0.0
        self.sums = {}
        best = means["loss"] < progress.best
        if best:
            progress.best = means["loss"]
            if self.accelerator.is_main_process:
                save_best(self.out, self.shown())
        self.save()
        return row

    def shown(self) -> IGCNet:
        """The model that is saved and shown: the averaged one, if there is an average, with means of its
        votes of its own."""
        if self.average is None or not self.average.n_averaged:
            return self.model
        batches = [images for _, images in zip(range(MEASURED), self.feed.batches(0))]
        self.average.module.eval().centre(torch.cat([*batches, *(images.flip(-1) for images in batches)]))
        return self.average.module

    def save(self) -> None:
        if self.accelerator.is_main_process:
            tensors = pack(self.model, self.average, self.optimiser, self.sums)
            save_state(self.out, self.progress, self.settings, tensors, self.shown())
        self.accelerator.wait_for_everyone()

    def load(self) -> bool:
        """Goes to the last checkpoint of this run; False if there is none."""
        found = load_state(self.out, self.settings)
        if found is None:
            return False
        self.progress, tensors = found
        self.sums = unpack(tensors, self.model, self.average, self.optimiser, self.accelerator.device)
        self.accelerator.step = 0  # and no share of a step is left over from before
        self.objective.zero_grad(set_to_none=True)
        return True

    def go_back(self, fault: str) -> None:
        """Returns to the last checkpoint with half the learning rate, `PATIENCE` times; then UserError."""
        place = {"epoch": self.progress.epoch + 1, "step": self.progress.step}
        setbacks = [*self.progress.setbacks, {**place, "why": fault}]
        fault = f"{fault} in epoch {place['epoch']}"
        if len(setbacks) > PATIENCE:
            raise UserError(
                f"{fault}, again after going back {PATIENCE} times: lower 'learning_rate' "
                f"({self.config.learning_rate}); the last good checkpoint is kept in {self.out}."
            )
        self.accelerator.print(f"{fault}: going back to the last checkpoint, with half the learning rate.")
        if not self.load():
            raise UserError(f"{fault}, and {self.out} holds no checkpoint any more: start again.")
        self.progress.setbacks = setbacks
        self.watch.forget()

    def finish(self) -> dict:
        """Writes the run's record and returns it."""
        record = describe_run(self.dataset, self.settings, self.progress, self.accelerator)
        if self.accelerator.is_main_process:
            with writing(self.out / "record.json"):
                write_text(self.out / "record.json", json.dumps(record, indent=2) + "\n")
        return record


def compile_networks(model: IGCNet) -> None:
    """Lets torch.compile translate encoder and decoders, at their first use."""
    for module in model.modules():
        if isinstance(module, Encoder | PartDecoder):
            module.compile()


def average_of(model: IGCNet, decay: float) -> AveragedModel | None:
    """An exponential average of the model's weights; None if `decay` is 0."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None
