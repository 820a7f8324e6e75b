"""A look at a model while it is trained, in a notebook."""

import time

import torch
from matplotlib import pyplot as plt
from torch import Tensor

from igc.figures import explanation
from igc.model import IGCNet


class LivePreview:
    """Shows what the model makes of `images` (B, 3, S, S), in one picture, drawn again every `seconds`;
    for `fit(..., preview=LivePreview(images))`. A drawing takes about half a second."""

    def __init__(self, images: Tensor, seconds: float = 20.0):
        self.images, self.seconds = images, seconds
        self.handle, self.last = None, -seconds

    @torch.no_grad()
    def __call__(self, model: IGCNet, step: int) -> None:
        from IPython.display import display

        if time.monotonic() - self.last < self.seconds:
            return
        training, device = model.training, next(model.parameters()).device
        out = model.eval()(self.images.to(device))
        figure = explanation(self.images, _to_cpu(out))
        figure.suptitle(f"after {step} steps")
        if self.handle is None:
            self.handle = display(figure, display_id=True)
        else:
            self.handle.update(figure)
        plt.close(figure)
        model.train(training)
        self.last = time.monotonic()


def _to_cpu(value):
    """A tensor, or a tuple of such, on the CPU; None stays None."""
    if isinstance(value, tuple):
        return type(value)(*map(_to_cpu, value))
    return None if value is None else value.cpu()
