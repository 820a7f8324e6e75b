"""The model that a run starts from, in place of weights drawn at random: `init`."""

import dataclasses
import hashlib
from pathlib import Path

from igc.config import ModelConfig
from igc.errors import UserError
from igc.model import IGCNet
from igc.pretrained import folder_of


def load_parent(init: str | Path, config: ModelConfig, out: Path) -> tuple[IGCNet, dict[str, str]]:
    """The model that `init` names, as `IGCNet.from_pretrained` takes it, and what tells it from others.

    UserError if it is none, if it is not of this `config`, or if it lies where the run's own model will."""
    folder = folder_of(init)
    if folder.resolve() in (out.resolve(), out.resolve() / "best"):
        raise UserError(f"'init' ({init}) lies in the run's own folder, 'out' ({out}): choose another 'out'.")
    parent = IGCNet.from_pretrained(init)
    if type(parent) is not IGCNet:
        raise UserError(f"the model in {init} is of a former format, which cannot train: leave out 'init'.")
    for field in dataclasses.fields(config):
        had, asked = getattr(parent.config, field.name), getattr(config, field.name)
        if had != asked:
            raise UserError(
                f"the model in {init} was made with {field.name}={had!r}, this run asks for {asked!r}: "
                f"choose {field.name}={had!r}, or another 'init'."
            )
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return parent, {"name": folder.resolve().name, "sha256": digest}


def config_like(init: str | Path | None, given: dict) -> ModelConfig:
    """The configuration with the settings in `given`; the others are as in the model that `init` names."""
    others = IGCNet.from_pretrained(init).config.to_dict() if init else {}
    return ModelConfig(**others | given)
