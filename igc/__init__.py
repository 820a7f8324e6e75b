"""Inverse graphics capsules: a face as six 3D parts, learned from unlabelled images."""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "IGCNet": "igc.model",
    "ModelConfig": "igc.config",
    "TrainConfig": "igc.config",
    "UserError": "igc.errors",
    "fit": "igc.train",
}
__all__ = ["IGCNet", "ModelConfig", "TrainConfig", "UserError", "__version__", "fit"]


def __getattr__(name: str):
    """Imports the public names when they are asked for, so that a part of the package needs only its own
    imports."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'igc' has no attribute {name!r}")
