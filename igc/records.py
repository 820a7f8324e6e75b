"""What a run shows while it goes on: a progress bar, TensorBoard's event files, pictures."""

import os
from pathlib import Path

import torch
from tensorboardX import SummaryWriter
from tqdm import tqdm


def progress_bar(steps: int, disable: bool) -> tqdm:
    """A bar with time left: a widget in JupyterLab, text in a terminal and in a chapter's output."""
    kind = tqdm
    if "JPY_SESSION_NAME" in os.environ:  # set by a Jupyter server for the kernels of its pages
        from tqdm.notebook import tqdm as kind
    return kind(total=steps, unit="step", desc="training", disable=disable)


class Events:
    """TensorBoard's event files in a run's folder: the numbers of the history, by epoch."""

    def __init__(self, out: Path, epoch: int, writes: bool):
        self.writer = SummaryWriter(str(out), purge_step=epoch + 1 if epoch else None) if writes else None

    def write(self, row: dict) -> None:
        if self.writer is None:
            return
        try:
            for name, value in row.items():
                if name != "epoch":
                    self.writer.add_scalar(f"training/{name}", value, row["epoch"])
            self.writer.flush()
        except OSError:  # a full disk: the checkpoint has warned already
            self.writer = None

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


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
