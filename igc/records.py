"""What a run shows while it goes on: a progress bar, TensorBoard's event files, pictures."""

import contextlib
import os
import time
from pathlib import Path

import torch
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar
from tqdm import tqdm


def progress_bar(steps: int, disable: bool) -> tqdm:
    """A bar with time left: a widget in JupyterLab, text in a terminal and in a chapter's output."""
    kind = tqdm
    if "JPY_SESSION_NAME" in os.environ:  # set by a Jupyter server for the kernels of its pages
        from tqdm.notebook import tqdm as kind
    return kind(total=steps, unit="step", desc="training", disable=disable)


class Events:
    """TensorBoard's event files in a run's folder: the numbers of the history, by epoch.

    They are written at once, without the thread and the queue of tensorboardX's `SummaryWriter`: on a full
    disk the thread dies, and then the queue blocks for ever. After a write that failed nothing more is
    written; the checkpoint has warned already."""

    def __init__(self, out: Path, epoch: int, writes: bool):
        """`epoch`: how many are done; what older files say of later ones, TensorBoard then leaves out."""
        self.writer: EventsWriter | None = None
        if not writes:
            return
        with contextlib.suppress(OSError):
            self.writer = EventsWriter(str(out / "events"))
        if epoch:
            start = SessionLog(status=SessionLog.START)
            self._add([Event(step=epoch + 1, session_log=start)])

    def write(self, row: dict) -> None:
        values = {f"training/{name}": value for name, value in row.items() if name != "epoch"}
        self._add([Event(step=row["epoch"], summary=scalar(*value)) for value in values.items()])

    def close(self) -> None:
        if self.writer is not None:
            with contextlib.suppress(OSError):
                self.writer.close()

    def _add(self, events: list[Event]) -> None:
        if self.writer is None:
            return
        try:
            for event in events:
                event.wall_time = time.time()
                self.writer.write_event(event)
            self.writer.flush()
        except OSError:
            self.close()
            self.writer = None


@torch.no_grad()
def save_picture(path: Path, model, images) -> None:
    """What `model` makes of `images` (B, 3, S, S), as a figure; nothing if it cannot be written."""
    from matplotlib import pyplot as plt

    from igc.figures import explanation

    model.eval()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure = explanation(images.cpu(), model(images))
        figure.savefig(path, dpi=100)
        plt.close(figure)
    except OSError:
        pass
