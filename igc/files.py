"""Writing files so that each appears whole or not at all, and folders to write them into."""

import os
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from igc.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step: a reader sees the old one or the new one."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes a safetensors file in one step."""
    temporary = path.with_name(path.name + ".part")
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary, metadata
    )
    os.replace(temporary, path)


def make_folder(path: str | Path) -> Path:
    """Makes a folder to write to; UserError if that cannot be done."""
    if not str(path):
        raise UserError("'out' is empty: name a folder.")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or "not a folder"
        raise UserError(
            f"'out' ({folder}) cannot be written to ({reason}): choose another folder."
        ) from error
    return folder
