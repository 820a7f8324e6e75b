"""The machine that a run is on: its device, and how its memory is handed out."""

import ctypes
import platform

import torch

from igc.errors import UserError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


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


def choose_device(name: str) -> str:
    """The device that a setting names: 'auto' takes a GPU where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("setting 'device' is cuda, but PyTorch sees no GPU here: use cpu or auto.")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
