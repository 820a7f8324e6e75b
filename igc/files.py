"""Writing files so that each appears whole or not at all, and folders to write them into."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from igc.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step: a reader sees the old one or the new one."""
    _replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes a safetensors file in one step."""
    held = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    _replace(path, lambda temporary: save_file(held, temporary, metadata))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file in one step."""
    _replace(path, lambda temporary: temporary.write_bytes(content))


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Around what writes to the file or folder `place`: UserError if that cannot be done."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{place} cannot be written ({reason}): make room there, or name another place."
        ) from error


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file beside `path`, waits until the disk has it, and puts it in place of `path`.

    A kill or a power cut at any moment leaves the old file or the new one. OSError if it cannot be written;
    nothing is left behind then."""
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise error if isinstance(error, OSError) else OSError(str(error)) from error


def make_folder(path: str | Path) -> Path:
    """Makes a folder to write to; UserError if that cannot be done."""
    if not str(path):
        raise UserError("'out' is empty: name a folder.")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # a file of its own: several processes may ask at once
            pass
    except OSError as error:
        reason = error.strerror or "not a folder"
        raise UserError(
            f"'out' ({folder}) cannot be written to ({reason}): choose another folder."
        ) from error
    return folder
