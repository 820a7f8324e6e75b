"""The folder of a training run: checkpoints, history and record, each file written whole or not at all."""

import csv
import json
import os
import platform
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import igc
from igc.errors import UserError
from igc.model import IGCNet


def save_state(out: Path, model: IGCNet, optimiser, settings: dict, epoch: int, history: list) -> None:
    """Writes the checkpoint: first the model, then what resuming needs."""
    model.save_pretrained(out)
    tensors = {}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {
            f"{index}.{name}": torch.as_tensor(value).cpu().contiguous() for name, value in state.items()
        }
    tensors |= {f"model.{name}": value.cpu().contiguous() for name, value in model.state_dict().items()}
    temporary = out / "state.safetensors.part"
    save_file(tensors, temporary, metadata={"epoch": str(epoch), "settings": json.dumps(settings)})
    os.replace(temporary, out / "state.safetensors")
    write_text(out / "train.json", json.dumps(settings["train"], indent=2) + "\n")
    with (out / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def resume(out: Path, model: IGCNet, optimiser, settings: dict) -> int:
    """Loads an unfinished run of the same settings from `out`; returns the number of epochs it has done."""
    path = out / "state.safetensors"
    if not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it to start again.") from error
    if json.loads(metadata["settings"]) != settings:
        return 0
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict] = {}
    for name, value in tensors.items():
        if not name.startswith("model."):
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(metadata["epoch"])


def read_history(out: Path) -> list[dict]:
    """The lines of history.csv so far, numbers as numbers."""
    path = out / "history.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {k: int(v) if k == "epoch" else float(v) for k, v in row.items()} for row in csv.DictReader(file)
        ]


def describe_run(dataset, settings: dict, history: list[dict], accelerator) -> dict:
    """What one has to know to make the run again."""
    return {
        **settings,
        "images": len(dataset),
        "seconds": round(sum(row["seconds"] for row in history), 1),
        "final": history[-1],
        "history": history,
        "device": str(accelerator.device),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"igc": igc.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def write_text(path: Path, text: str) -> None:
    """Writes a file so that it appears whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
