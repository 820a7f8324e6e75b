"""New drawn faces for training, drawn by a process of their own while the present ones are in use."""

import os
import signal
import threading
import weakref

import torch
from torch import Tensor

from igc.data import CHUNK, as_bytes, chunks

WORKERS = 1
"""Processes that draw: a face takes about as long to draw as to train on, and is used several times."""
NICE = 5
"""How far they stand back: where training keeps all cores busy, a quarter of one is left to them."""


class Renewal:
    """All images of a data set, drawn in the background from the moment that this is made.

    The processes end when the images are there, when `close` is called, or when this is given up.
    """

    def __init__(self, dataset, workers: int = WORKERS):
        shape = len(dataset), 3, dataset.size, dataset.size
        self._images, self._fault = torch.empty(shape, dtype=torch.uint8), []
        loader = chunks(
            dataset, False, num_workers=workers, worker_init_fn=_stand_back, generator=torch.Generator()
        )  # a generator of its own, so that the run's random numbers do not depend on when this began
        stop = threading.Event()
        work = iter(loader), self._images, stop, self._fault
        self._thread = threading.Thread(target=_collect, args=work, daemon=True)
        self._thread.start()
        self.close = weakref.finalize(self, _end, self._thread, stop)
        """Ends the drawing, finished or not."""

    def take(self) -> Tensor:
        """The images as bytes, uint8 (N, 3, S, S), as soon as all are there; raises what went wrong."""
        self._thread.join()
        if self._fault:
            raise self._fault[0]
        if not self.close.alive:
            raise RuntimeError("the drawing was closed before it was done")
        return self._images


def _stand_back(worker: int) -> None:
    """What a process that draws does first. To be stopped is the training's business, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)


def _collect(loaded, images: Tensor, stop: threading.Event, fault: list) -> None:
    """Fills `images` with what the processes send. Knows nothing of the `Renewal`, which may be given up."""
    try:
        for number, chunk in enumerate(loaded):
            if stop.is_set():
                break
            images[number * CHUNK : (number + 1) * CHUNK] = as_bytes(chunk["image"])
    except Exception as error:
        fault.append(error.with_traceback(None))  # whose frames would hold the processes


def _end(thread: threading.Thread, stop: threading.Event) -> None:
    stop.set()
    thread.join()
