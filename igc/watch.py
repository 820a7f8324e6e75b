"""What looks after a training run: losses that are not numbers, parts that vanish or swallow all, and the
wish to stop."""

import signal
import threading

import torch
from torch import Tensor

CHECK = 20
"""Steps between two looks (on a GPU a look waits for the device)."""

MEMORY = 0.9
"""Share of the running mean of the parts' areas that a step keeps."""

PATIENCE = 3
"""How often a run goes back to its last checkpoint before it gives up."""

LEAST_PART, LEAST_FACE, MOST_FACE, MOST_PART = 0.001, 0.02, 0.995, 0.99
"""A part that owns less of the face than the first has vanished, one with more than the last has swallowed
it; the same for the face and the frame."""


class Watch:
    """Notices that training went wrong, and says how: within `CHECK` steps a loss that is no number, within
    100 a part that vanished or swallowed the others."""

    def __init__(self, parts: int, accelerator, background: str = "border"):
        self.parts, self.accelerator, self.background = parts, accelerator, background
        self.forget()

    def forget(self) -> None:
        """Starts anew."""
        self.area: Tensor | None = None
        self.finite: Tensor | None = None

    def see(self, finite: Tensor, area: Tensor) -> None:
        """Takes note of a step: whether loss and gradient were numbers, and the shares (M+1,) of the frame
        that parts and background had."""
        finite = finite.float()
        self.finite = finite if self.finite is None else self.finite * finite
        self.area = area if self.area is None else MEMORY * self.area + (1 - MEMORY) * area

    def due(self, step: int) -> bool:
        return step % CHECK == 0

    def fault(self) -> str | None:
        """What is wrong, as a clause; None if nothing is. All processes come to the same answer."""
        if self.area is None:
            return None
        seen = self.accelerator.reduce(torch.cat((self.area, self.finite[None])), "mean").cpu()
        if not seen[-1] == 1:
            return "the loss is not a number"
        face = float(seen[:-2].sum())
        if face < LEAST_FACE:
            return f"the face has vanished ({face:.1%} of the frame)"
        if face > MOST_FACE and self.background == "border":
            return f"the face has swallowed the background ({face:.1%} of the frame)"
        share = seen[:-2] / face
        if self.parts > 1 and share.min() < LEAST_PART:
            return f"part {int(share.argmin()) + 1} has vanished ({float(share.min()):.2%} of the face)"
        if self.parts > 1 and share.max() > MOST_PART:
            greedy = int(share.argmax()) + 1
            return f"part {greedy} has swallowed the others ({float(share.max()):.1%} of the face)"
        return None


class Stop:
    """While it is entered, the first interrupt (Ctrl-C, a notebook's stop button) is a wish that is asked for
    between two steps, so that a checkpoint is whole; the second one interrupts at once."""

    def __init__(self):
        self.wished = False

    def __enter__(self) -> "Stop":
        self.before = None
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self._wish)
        return self

    def __exit__(self, *error) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def asked(self, accelerator, step: int) -> bool:
        """Whether to stop after this step; several processes agree on it every `CHECK` steps."""
        if accelerator.num_processes == 1:
            return self.wished
        if step % CHECK:
            return False
        return bool(accelerator.reduce(torch.tensor(float(self.wished), device=accelerator.device), "sum"))

    def _wish(self, number, frame) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
