"""Checkpoints of a model: a folder with `model.safetensors` and `config.json`. Nothing is ever unpickled."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from igc.config import ModelConfig
from igc.errors import UserError
from igc.files import write_tensors, write_text

FORMAT = 7
"""Version of the checkpoint's layout; of others only the one before can be read (see `legacy`)."""

SHIPPED = Path(__file__).parent / "checkpoints"
"""The models that come with the package, a folder each."""


def save(path: str | Path, tensors: dict[str, Tensor], version: int, settings: dict[str, Any]) -> None:
    """Writes weights and settings into the folder `path`."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", tensors, {"format": str(version)})
    described = {"format": version, "model": settings}
    write_text(folder / "config.json", json.dumps(described, indent=2) + "\n")


def folder_of(path_or_name: str | Path) -> Path:
    """The folder that a path names, or a name in `SHIPPED` if there is nothing at that path."""
    folder, shipped = Path(path_or_name), SHIPPED / str(path_or_name)
    return shipped if not folder.exists() and shipped.is_dir() else folder


def load(path_or_name: str | Path, kind: type) -> Any:
    """The model of a folder or of a name in `SHIPPED`, made by `kind(ModelConfig)`; else UserError."""
    folder = folder_of(path_or_name)
    weights, description = folder / "model.safetensors", folder / "config.json"
    for needed in (weights, description):
        if not needed.is_file():
            shipped = ", ".join(sorted(p.name for p in SHIPPED.glob("*") if p.is_dir()))
            raise UserError(
                f"{path_or_name} is not a model: {needed.name} is missing; name a folder that "
                f"training wrote or a shipped model ({shipped})."
            )
    try:
        return _read(weights, description, kind)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if isinstance(error, UserError) and str(description) in str(error):
            raise
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{folder} cannot be read as a checkpoint ({why}): train the model again.") from error


def _read(weights: Path, description: Path, kind: type) -> Any:
    described = json.loads(description.read_text(encoding="utf-8"))
    version = described.get("format") if isinstance(described, dict) else None
    if version == FORMAT - 1:
        from igc import legacy

        return legacy.load(described["model"], load_file(weights))
    if version != FORMAT:
        raise UserError(f"{description} is not a checkpoint of format {FORMAT}: train the model again.")
    model = kind(ModelConfig.from_dict(described["model"]))
    model.load_state_dict(load_file(weights))
    return model
