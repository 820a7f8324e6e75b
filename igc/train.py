"""Training: `fit`, and `python -m igc.train --data DIR --epochs N --out DIR`, which is the same thing.

A run is a folder: `model.safetensors` and `config.json` (the model, as `IGCNet.from_pretrained` reads it),
`train.json` (the settings), `history.csv` (a line an epoch), `state.safetensors` (what resuming needs) and
`record.json` (data, machine, time, versions). An interrupted run goes on where its last epoch ended when it
is started again with the same settings.
"""

import argparse
import ctypes
import dataclasses
import json
import platform
import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from igc.config import ModelConfig, TrainConfig
from igc.data import open_dataset, read_all
from igc.errors import UserError
from igc.files import make_folder, write_text
from igc.model import IGCNet
from igc.objective import objective
from igc.runs import describe_run, resume, save_state

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def fit(dataset, model_config: ModelConfig, train_config: TrainConfig, out_dir: str | Path) -> dict:
    """Trains an IGCNet on the images of `dataset` and returns the run's record, which is also written.

    `dataset` has `len`, `size`, `fingerprint()` and `batch(indices, truth=False)` giving
    {"image": (B, 3, S, S) in [0, 1]}; whatever truth it holds is not looked at. UserError if the settings
    and the data do not fit together or if `out_dir` cannot be written.
    """
    keep_memory()
    out = make_folder(out_dir)
    check_dataset(dataset, model_config, train_config)
    accelerator = Accelerator(cpu=choose_device(train_config.device) == "cpu")
    torch.manual_seed(train_config.seed)
    model = IGCNet(model_config)
    optimiser = torch.optim.Adam(model.parameters(), lr=train_config.learning_rate, betas=(0.9, 0.99))
    settings = {
        "model": model_config.to_dict(),
        "train": train_config.to_dict(),
        "data": dataset.fingerprint(),
    }
    history = resume(out, model, optimiser, settings)
    first_epoch = len(history)
    model, optimiser = accelerator.prepare(model, optimiser)
    images = load_images(dataset)
    steps = steps_per_epoch(len(images), train_config)
    bar = tqdm(
        total=train_config.epochs * steps, initial=first_epoch * steps, unit="step", desc="training",
        disable=not accelerator.is_main_process,
    )  # fmt: skip
    for epoch in range(first_epoch, train_config.epochs):
        row = run_epoch(epoch, images, model, optimiser, train_config, accelerator, bar)
        history.append(row)
        if accelerator.is_main_process:
            save_state(out, accelerator.unwrap_model(model), optimiser, settings, history)
    bar.close()
    record = describe_run(dataset, settings, history, accelerator)
    if accelerator.is_main_process:
        write_text(out / "record.json", json.dumps(record, indent=2) + "\n")
    return record


def run_epoch(epoch, images: Tensor, model, optimiser, config: TrainConfig, accelerator, bar) -> dict:
    """One pass in an order that depends on seed and epoch alone; returns the epoch's means.

    With several processes each takes its share of every batch, and Accelerate averages the gradients."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(config.seed * 100003 + epoch))
    steps, sums, started = steps_per_epoch(len(images), config), {}, time.perf_counter()
    model.train()
    for step in range(steps):
        chosen = order[step * config.batch_size : (step + 1) * config.batch_size]
        chosen = chosen[accelerator.process_index :: accelerator.num_processes]
        batch = images[chosen].to(accelerator.device).float() / 255
        progress = (epoch * steps + step) / (config.epochs * steps)
        set_learning_rate(optimiser, config, epoch * steps + step, config.epochs * steps)
        accelerator.unwrap_model(model).individuality = individuality(progress, config.common_shape)
        terms = objective(accelerator.unwrap_model(model), model(batch), batch, config)
        loss = sum(terms.values())
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss is {loss.item()} in epoch {epoch + 1}: lower 'learning_rate' "
                f"({config.learning_rate}); the last epoch's checkpoint is kept."
            )
        optimiser.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        for name, value in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, 0.0) + value.detach()
        bar.update()
        if step % 10 == 0:
            bar.set_postfix(epoch=epoch + 1, loss=f"{loss.item():.3f}", refresh=False)
    seconds = time.perf_counter() - started
    means = {name: round(float(value) / steps, 5) for name, value in sums.items()}
    return {"epoch": epoch + 1, "seconds": round(seconds, 2), "images_per_second":
            round(steps * config.batch_size / seconds, 1), **means}  # fmt: skip


def keep_memory() -> None:
    """Asks glibc to keep freed blocks instead of handing them back: page faults can otherwise dominate
    element-wise work on a CPU (ours; its effect on a whole step has not been measured). Does nothing
    elsewhere."""
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        for parameter, size in (
            (M_MMAP_THRESHOLD, 1 << 30),
            (M_TRIM_THRESHOLD, 1 << 30),
            (M_TOP_PAD, 1 << 28),
        ):
            libc.mallopt(parameter, size)


def set_learning_rate(optimiser, config: TrainConfig, step: int, steps: int) -> None:
    """Rises over `warmup` steps (or a tenth of the run), then falls along a cosine to a twentieth."""
    warmup = min(config.warmup, max(1, steps // 10))
    rising = min(1.0, (step + 1) / max(1, warmup))
    falling = 0.05 + 0.95 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / steps)).item())
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * rising * falling


def individuality(progress: float, common: float) -> float:
    """0 while the first `common` share of the run lasts, then rising to 1 over as long again.

    With one shape for everybody, only a turn can explain a narrower outline. Free shapes explain it too,
    with too much relief and too little rotation (the bas-relief ambiguity)."""
    return 1.0 if common == 0 else min(1.0, max(0.0, progress / common - 1))


def steps_per_epoch(count: int, config: TrainConfig) -> int:
    """Whole batches in an epoch; at least one."""
    return max(1, count // config.batch_size)


def load_images(dataset) -> Tensor:
    """All images of a data set as one uint8 tensor (N, 3, S, S)."""
    return (read_all(dataset, truth=False)["image"] * 255).round().to(torch.uint8)


def choose_device(name: str) -> str:
    """The device that a setting names: 'auto' takes a GPU where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("setting 'device' is cuda, but PyTorch sees no GPU here: use cpu or auto.")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def check_dataset(dataset, model_config: ModelConfig, train_config: TrainConfig) -> None:
    """Refuses images of another size than the model's, and too few of them for one batch."""
    if dataset.size != model_config.size:
        raise UserError(
            f"the images are {dataset.size} pixels wide and the model's {model_config.size}: use one size."
        )
    if len(dataset) < train_config.batch_size:
        raise UserError(
            f"setting 'batch_size' ({train_config.batch_size}) is larger than the data set ({len(dataset)} "
            "images): lower it or bring more images."
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m igc.train", description="Trains an IGCNet on unlabelled faces."
    )
    parser.add_argument("--data", default="synthetic", help="a folder of face images, or 'synthetic'")
    parser.add_argument("--out", required=True, help="the run's folder; an interrupted run in it goes on")
    parser.add_argument("--images", type=int, default=2048, help="how many embedded faces, for 'synthetic'")
    groups = {}
    for kind in (ModelConfig, TrainConfig):
        names = [field for field in dataclasses.fields(kind)]
        groups[kind] = [field.name for field in names]
        for field in names:
            option = "--" + field.name.replace("_", "-")
            convert = _switch if isinstance(field.default, bool) else type(field.default)
            parser.add_argument(option, type=convert, default=field.default, help=field.metadata["about"])
    chosen = vars(parser.parse_args(arguments))
    try:
        model_config, train_config = (kind(**{n: chosen[n] for n in names}) for kind, names in groups.items())
        dataset = open_dataset(
            chosen["data"], "train", chosen["images"], model_config.size, train_config.seed
        )
        record = fit(dataset, model_config, train_config, chosen["out"])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(record["final"], indent=2))
    return 0


def _switch(text: str) -> bool:
    """true or false, as an option's value."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


if __name__ == "__main__":
    sys.exit(main())
