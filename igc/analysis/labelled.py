"""Labelled images of one's own: one folder a person, or a table (CSV) of file and labels."""

import csv
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from igc.data import ImageFolder, SyntheticFaces
from igc.data.images import read_image
from igc.errors import UserError

SYNTHETIC = (48, 8)
"""People, and images of each, of the embedded faces where the data are "synthetic"."""
MANY = 10
"""More different numbers than this are numbers to predict; fewer are labels."""


class Labelled(NamedTuple):
    """Images with what is known of each."""

    images: Tensor
    """(N, 3, S, S) in [0, 1]"""
    columns: dict[str, ndarray]
    """(N,) each, as text; `identity` is who is seen"""
    files: list[str]
    skipped: list[tuple[str, str]]
    """files that are left out, each with one sentence why"""

    def target(self, name: str) -> tuple[str, ndarray]:
        """Kind ("people", "labels" or "numbers") and values (N,) of a column; UserError without it."""
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise UserError(
                f"there is no label {name!r} in the data: choose one of {known}, or add a column."
            )
        values = self.columns[name]
        if name == "identity":
            return "people", values
        try:
            numbers = values.astype(float)
        except ValueError:
            numbers = None
        if numbers is not None and np.isfinite(numbers).all() and len(np.unique(numbers)) > MANY:
            return "numbers", numbers
        if len(np.unique(values)) < 2:
            raise UserError(f"the label {name!r} is {values[0]!r} for every image: bring a second label.")
        return "labels", values


def open_labelled(
    data: str, size: int, table: str | None = None, target: str = "identity", seed: int = 0, frame="head"
):
    """`Labelled` images from a folder with one folder a person, from a `table`, or the "synthetic" faces in
    that `frame` (see `SyntheticFaces`).

    A table is a CSV file with a column `file`, relative to the folder `data`, and further columns; who is
    seen stands in `identity`, or else in `label`. Files that cannot be read and rows without a value of the
    `target` are left out and listed. UserError where nothing is left, or the table or folder will not do.
    """
    if data == "synthetic":
        return _synthetic(size, seed, frame)
    found = _from_table(Path(data), Path(table), size, target) if table else _from_folder(data, size)
    if not len(found.images):
        raise UserError(f"No image of {table or data} can be used: {found.skipped[0][1]}")
    return found


def _from_folder(data: str, size: int) -> Labelled:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is skipped stands in the report
        faces = ImageFolder(data, size)
    loose = [name for name in faces.names if "/" not in name]
    if loose:
        raise UserError(
            f"{faces.folder / loose[0]} lies outside of the people's folders: put the images of each person "
            "into a folder of their own, or name a table with --labels."
        )
    people = np.array([name.split("/")[0] for name in faces.names])
    images = faces.batch(range(len(faces)))["image"]
    skipped = [(str(path), reason) for path, reason in faces.skipped]
    return Labelled(images, {"identity": people}, faces.names, skipped)


def _from_table(folder: Path, table: Path, size: int, target: str) -> Labelled:
    rows = _rows(table)
    if "identity" not in rows[0] and "label" in rows[0]:
        rows = [{"identity" if key == "label" else key: row[key] for key in row} for row in rows]
    columns = [name for name in rows[0] if name not in ("file", None)]
    if target not in columns:
        raise UserError(
            f"{table} has no column {target!r}, only {', '.join(columns) or 'file'}: add it, or choose "
            "another with --target."
        )
    images, kept, skipped = [], [], []
    for row in rows:
        name = row["file"] or ""
        if not (row.get(target) or "").strip():
            skipped.append((name, f"{name} has no {target} in {table}: add it."))
            continue
        try:
            images.append(read_image(folder / name, size))
            kept.append(row)
        except UserError as error:
            skipped.append((name, str(error)))
    found = {name: np.array([(row.get(name) or "").strip() for row in kept]) for name in columns}
    stacked = torch.stack(images) if images else torch.zeros(0, 3, size, size)
    return Labelled(stacked, found, [row["file"] for row in kept], skipped)


def _rows(table: Path) -> list[dict]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not a CSV file in UTF-8"
        raise UserError(f"The table {table} cannot be read ({reason}): check the file.") from error
    if "file" not in (reader.fieldnames or []):
        raise UserError(f"The table {table} has no column 'file': begin it with a line such as file,label.")
    if not rows:
        raise UserError(f"The table {table} has no rows: add a line for each image.")
    return rows


def _synthetic(size: int, seed: int, frame: str) -> Labelled:
    people, each = SYNTHETIC
    faces = SyntheticFaces("test", people * each, size, seed, per_identity=each, frame=frame)
    batch = faces.batch(range(len(faces)))
    numbers = {
        "pitch": batch["pose"][:, 0], "yaw": batch["pose"][:, 1], "light_x": batch["light"][:, 2],
        "light_y": batch["light"][:, 3],
    }  # fmt: skip
    columns = {
        name: value.numpy().astype(str) for name, value in {"identity": batch["identity"], **numbers}.items()
    }
    return Labelled(batch["image"], columns, [str(i) for i in range(len(faces))], [])
