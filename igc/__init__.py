"""Inverse graphics capsules: a face as six 3D parts, learned from unlabelled images."""

import os
from importlib import import_module

# How OpenMP's threads wait for work: by spinning without end they starve other programs; if they sleep at
# once, a step with its many small operations takes up to twice as long on two quiet cores (seen with
# benchmarks/train.py). So they spin for a short while. Read when PyTorch is loaded, so set first.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

__version__ = "0.1.0"

_HOME = {
    "IGCNet": "igc.model",
    "ModelConfig": "igc.config",
    "TrainConfig": "igc.config",
    "UserError": "igc.errors",
    "fit": "igc.train",
    "predict": "igc.prediction",
}
_ROOMS = (
    "analysis",
    "data",
    "editing",
    "evaluate",
    "export",
    "figures",
    "geometry",
    "metrics",
    "raster",
    "segment",
    "shading",
    "viewer",
    "views",
    "views3d",
    "widgets",
)
__all__ = ["IGCNet", "ModelConfig", "TrainConfig", "UserError", "__version__", "fit", "predict"]


def __getattr__(name: str):
    """Imports the public names and modules when they are asked for: a part needs only its own imports."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _ROOMS:
        return import_module(f"igc.{name}")
    raise AttributeError(f"module 'igc' has no attribute {name!r}")
