"""The folder of a training run: checkpoints, history and record, each file written whole or not at all."""

import csv
import io
import json
import os
import platform
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

import igc
from igc.errors import UserError
from igc.files import write_tensors, write_text
from igc.model import IGCNet


def save_state(out: Path, model: IGCNet, optimiser, settings: dict, history: list[dict]) -> None:
    """Writes the model, the history as a table, and last what resuming needs, which makes the epoch count."""
    model.save_pretrained(out)
    write_text(out / "train.json", json.dumps(settings["train"], indent=2) + "\n")
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    write_text(out / "history.csv", table.getvalue())
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    progress = {"settings": settings, "history": history}
    write_tensors(out / "state.safetensors", tensors, {"progress": json.dumps(progress)})


def resume(out: Path, model: IGCNet, optimiser, settings: dict) -> list[dict]:
    """Loads a run of the same settings from `out`; returns its history, empty if there is none."""
    path = out / "state.safetensors"
    if not path.is_file():
        return []
    try:
        with safe_open(path, framework="pt") as file:
            progress = json.loads(file.metadata()["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if progress["settings"] != settings:
            print(f"{out} holds a run with other settings or data, which this one replaces.")
            return []
        weights = {name.removeprefix("model."): v for name, v in tensors.items() if name.startswith("model.")}
        model.load_state_dict(weights)
        state: dict[int, dict] = {}
        for name in tensors.keys() - {f"model.{name}" for name in weights}:
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensors[name]
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})
        return list(progress["history"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it to start again.") from error


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
