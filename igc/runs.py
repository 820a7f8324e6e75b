"""The folder of a training run: checkpoints, history and record, each file written whole or not at all.

model.safetensors, config.json    the model as it is now, as `IGCNet.from_pretrained` reads it
best/                             the same, after the epoch with the lowest loss, once faces may differ fully
state/00001-00000128.safetensors  all that resuming needs, after so many epochs and steps; two are kept
pictures/                         what the model sees in eight faces, every few epochs
train.json history.csv            settings, and a line an epoch
events.out.tfevents.*             the same for TensorBoard
record.json                       data, machine, time, versions; written at the end
before-1/                         all of this, of a run with other settings or data that was here before

Another `device` or another setting of `OPERATIONAL` makes no other run: it goes on where it was.
"""

import csv
import dataclasses
import io
import itertools
import json
import os
import platform
import subprocess
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

import igc
from igc.errors import UserError
from igc.files import write_tensors, write_text, writing
from igc.model import IGCNet

FORMAT = 2
"""Version of the state's layout; a state of another version is refused."""

KEPT = 2
"""States that are kept."""

FILES = (
    "model.safetensors", "config.json", "best", "pictures", "train.json", "history.csv",
    "events.out.tfevents.*", "record.json", "state",
)  # fmt: skip
"""What a run writes into its folder. `set_aside` moves it in this order: without its states it is no run."""


OPERATIONAL = ("memory", "device", "compile", "picture_epochs", "checkpoint_steps")
"""Settings of training that say where and how a run is made, not what comes out of it (where shards do not
fit into `memory`, their order does)."""


@dataclass
class Progress:
    """How far a run has come; everything but tensors that a checkpoint holds."""

    epoch: int = 0
    """Epochs that are done."""
    step: int = 0
    """Steps done in the epoch that is under way."""
    seconds: float = 0.0
    """Time spent on that epoch."""
    history: list[dict] = field(default_factory=list)
    """A row an epoch."""
    best: float = float("inf")
    """The lowest loss of an epoch."""
    setbacks: list[dict] = field(default_factory=list)
    """Where training went back to a checkpoint, and why."""


def save_state(
    out: Path, progress: Progress, settings: dict, tensors: dict[str, Tensor], model: IGCNet
) -> bool:
    """Writes a checkpoint; True if that went well. A full disk or a folder that is gone costs a warning: the
    checkpoints before stay as they are, and training goes on."""
    name = f"{progress.epoch:05d}-{progress.step:08d}.safetensors"
    kept = {"format": FORMAT, "settings": settings, "progress": dataclasses.asdict(progress)}
    try:
        (out / "state").mkdir(parents=True, exist_ok=True)
        write_tensors(out / "state" / name, tensors, {"igc": json.dumps(kept)})
        for old in states(out)[KEPT:]:
            old.unlink(missing_ok=True)
        model.save_pretrained(out)
        write_text(out / "train.json", json.dumps(settings["train"], indent=2) + "\n")
        if progress.history:
            write_text(out / "history.csv", as_table(progress.history))
    except OSError as error:
        reason = error.strerror or str(error)
        warnings.warn(f"No checkpoint could be written to {out} ({reason}): make room there.", stacklevel=2)
        return False
    return True


def save_best(out: Path, model: IGCNet) -> None:
    """Keeps the model as the best one; a disk that is full leaves the one before."""
    try:
        model.save_pretrained(out / "best")
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(f"{out / 'best'} cannot be written ({reason}): make room there.", stacklevel=2)


def as_table(history: list[dict]) -> str:
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    return table.getvalue()


def states(out: Path) -> list[Path]:
    """The checkpoints of a run, the latest first."""
    return sorted((out / "state").glob("*-*.safetensors"), reverse=True)


def load_state(out: Path, settings: dict) -> tuple[Progress, dict[str, Tensor]] | None:
    """The latest checkpoint in `out` that can be read and has these settings; None if the run must start.

    A damaged checkpoint is passed over for the one before, with a warning. A run with other settings, those
    that are `OPERATIONAL` left out, or with other data is set aside. UserError if no checkpoint can be read,
    or if they are of another format."""
    found, broken = states(out), []
    for path in found:
        try:
            kept, tensors = _read(path)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            broken.append(path)
            warnings.warn(f"{path} cannot be read ({error}): the checkpoint before it is used.", stacklevel=2)
            continue
        if kept["format"] != FORMAT:
            raise UserError(
                f"{path} is a checkpoint of format {kept['format']}, this is {FORMAT}: choose another 'out'."
            )
        if decisive(kept["settings"]) != decisive(settings):
            set_aside(out)
            return None
        for old in broken:
            old.unlink(missing_ok=True)
        return Progress(**kept["progress"]), tensors
    if broken:
        raise UserError(f"{broken[0]} cannot be read, nor another checkpoint: delete {out} to start again.")
    return None


def decisive(settings: dict) -> dict:
    """A run's settings without the `OPERATIONAL` ones: two runs that agree in them come to the same."""
    train = {name: value for name, value in settings["train"].items() if name not in OPERATIONAL}
    return {**settings, "train": train}


def set_aside(out: Path) -> None:
    """Moves the files of the run in `out` to a new folder within (before-1, before-2 ...) and says so."""
    names = (out / f"before-{number}" for number in itertools.count(1))
    folder = next(name for name in names if not name.exists())
    with writing(folder):
        folder.mkdir()
        for pattern in FILES:
            for path in sorted(out.glob(pattern)):
                path.rename(folder / path.name)
    print(f"{out} holds a run with other settings or data: its files were moved to {folder}.")


def _read(path: Path) -> tuple[dict, dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        kept = json.loads(file.metadata()["igc"])
        return kept, {name: file.get_tensor(name) for name in file.keys()}


def pack(model: torch.nn.Module, average: torch.nn.Module | None, optimiser, sums: dict) -> dict[str, Tensor]:
    """Everything that resuming needs and that is a tensor, by name."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors |= {f"sums.{name}": torch.as_tensor(value) for name, value in sums.items()}
    return tensors | {"random": torch.get_rng_state()}


def unpack(tensors: dict[str, Tensor], model, average, optimiser, device) -> dict[str, Tensor]:
    """Puts back what `pack` took; returns the sums of the epoch that is under way."""
    groups: dict[str, dict] = {"model": {}, "average": {}, "optimiser": {}, "sums": {}}
    for name, value in tensors.items():
        kind, _, key = name.partition(".")
        if kind in groups:
            groups[kind][key] = value
    model.load_state_dict(groups["model"])
    if average is not None:
        average.load_state_dict(groups["average"])
    state: dict[int, dict] = {}
    for name, value in groups["optimiser"].items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random"])
    return {name: value.to(device) for name, value in groups["sums"].items()}


def describe_run(dataset, settings: dict, progress: Progress, accelerator) -> dict:
    """What one has to know to make the run again."""
    gpu = [torch.cuda.get_device_name()] if accelerator.device.type == "cuda" else []
    return {
        **settings,
        "images": len(dataset),
        "seconds": round(sum(row["seconds"] for row in progress.history), 1),
        "final": progress.history[-1],
        "history": progress.history,
        "setbacks": progress.setbacks,
        "device": str(accelerator.device),
        "processes": accelerator.num_processes,
        "machine": ", ".join([platform.machine(), f"{os.cpu_count()} cores", *gpu]),
        "commit": commit(),
        "versions": {"igc": igc.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def commit() -> str | None:
    """The git commit of the package's own folder; None where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
