"""The parameters of the book's chapters, and what a chapter does first: check them and go to the root.

papermill only warns of a parameter that a notebook does not know, so the chapters check for themselves.
"""

import ast
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from igc.config import Config, setting
from igc.errors import UserError
from igc.files import make_folder


@dataclass(frozen=True)
class _Common(Config):
    data: str = setting("synthetic", about="'synthetic', or a folder of face images")
    seed: int = setting(0, 0, 2**31 - 1, about="of data, weights and order")
    out: str = setting("", about="the folder that the chapter writes to")


@dataclass(frozen=True)
class DataParameters(_Common):
    """Of chapter 01."""

    out: str = setting("build/out/01_data")
    faces: int = setting(48, 12, 10000, about="how many faces the contact sheet shows")
    size: int = setting(64, 32, 512, about="width of an image in pixels")


@dataclass(frozen=True)
class CapsuleParameters(_Common):
    """Of chapter 02."""

    out: str = setting("build/out/02_capsules")
    model: str = setting("synthetic-64", about="a shipped model or a run's folder")


@dataclass(frozen=True)
class TrainParameters(_Common):
    """Of chapter 03."""

    out: str = setting("runs/03_train")
    images: int = setting(2048, 32, 10**7, about="how many embedded faces to train on")
    test_images: int = setting(256, 16, 10**5, about="how many to measure on")
    epochs: int = setting(10, 1, 100000)
    batch_size: int = setting(16, 2, 65536)
    learning_rate: float = setting(1e-3, 1e-7, 1.0)
    device: str = setting("auto", choices=("auto", "cpu", "cuda"))
    precision: str = setting("float32", choices=("float32", "bf16"))
    compile: bool = setting(False)
    devices: int = setting(1, 1, 1024, about="how many processes train together")
    size: int = setting(64, 32, 512)
    parts: int = setting(6, 1, 32)
    background: str = setting("border", choices=("border", "none"), about="as in ModelConfig")
    init: str = setting("", about="a shipped model or a run's folder to start from")


@dataclass(frozen=True)
class SegmentParameters(_Common):
    """Of chapter 04."""

    out: str = setting("build/out/04_segmentation")
    model: str = setting("synthetic-64")
    test_images: int = setting(256, 16, 10**5)
    records: str = setting("benchmarks/records/peers", about="what python -m peers wrote")


@dataclass(frozen=True)
class AnalysisParameters(_Common):
    """Of chapter 05."""

    data: str = setting("synthetic", choices=("synthetic",), about="faces whose people are known")
    out: str = setting("build/out/05_face_analysis")
    model: str = setting("synthetic-64")
    people: int = setting(64, 6, 10**5, about="how many people to tell apart")


@dataclass(frozen=True)
class AblationParameters(_Common):
    """Of chapter 06."""

    data: str = setting("synthetic", choices=("synthetic",), about="faces whose truth is known")
    out: str = setting("build/out/06_ablations")
    records: str = setting("benchmarks/records/ablations", about="what python -m benchmarks.ablations wrote")
    pictures: str = setting("book/_assets/ablations", about="and what its runs of seed 0 drew")


def start(namespace: dict[str, Any], kind: type[_Common]) -> Path:
    """Checks a chapter's parameters, goes to the repository's root, and returns the folder `out`, made.

    `namespace` is the notebook's globals(). UserError for a parameter that is unknown or without sense.
    """
    known = [field.name for field in fields(kind)]
    for name in injected(namespace.get("In", [])):
        if name not in known:
            raise UserError(f"unknown parameter {name!r}: this chapter has {', '.join(known)}.")
    parameters = kind(**{name: namespace[name] for name in known})
    os.chdir(repository_root())
    return make_folder(parameters.out)


def injected(cells: list[str]) -> list[str]:
    """The names that papermill's cell assigns: the cell that starts with '# Parameters'."""
    for source in cells:
        if source.startswith("# Parameters"):
            targets = [node.targets[0] for node in ast.parse(source).body if isinstance(node, ast.Assign)]
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def repository_root() -> Path:
    """The folder above the working directory that holds the book's `_toc.yml`; else the directory itself."""
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / "_toc.yml").is_file()), here)
