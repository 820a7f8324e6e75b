"""The records of `python -m peers`, put side by side: a table, and the labels of the same faces (ours)."""

import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from igc.data import LABELS
from igc.errors import UserError
from igc.figures import TRUTH_COLOURS, wide_strips
from igc.segment import name_parts

ALONE = "images alone"
"""What a system is `given` that competes; the others are told some truth."""
HOW = "run python -m peers --budget 8 --out"


def shown(count: int) -> Tensor:
    """Which of `count` test faces have their labels kept as a picture: twelve, evenly spread."""
    return torch.linspace(0, count - 1, 12).long()


def load(folder: str | Path) -> dict:
    """`table.json` of a folder that `python -m peers` wrote: how it was `made`, and its `rows`, by a short
    name. UserError if it is not there."""
    path = Path(folder) / "table.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no table of the systems: {HOW} {folder}.") from error


def table(rows: dict[str, dict], columns: dict[str, int]) -> str:
    """Mean and standard deviation over seeds: a line a system, a column a figure with so many digits; systems
    that have none of the figures are left out. Those that are told some truth stand below a line."""
    groups = []
    for told in (False, True):
        able = [row for row in rows.values() if (row["given"] != ALONE) == told]
        able = [row for row in able if any(name in row["mean"] for name in columns)]
        groups.append([[row["name"], *(_cell(row, *column) for column in columns.items())] for row in able])
    head, (alone, told) = ["system", *columns], groups
    width = [max(map(len, column)) for column in zip(head, *alone, *told, strict=True)]
    lines = [
        cells[0].ljust(width[0]) + "".join("  " + c.rjust(w) for c, w in zip(cells[1:], width[1:]))
        for cells in (head, *alone, *told)
    ]
    if told:
        lines.insert(1 + len(alone), "told some truth ".ljust(len(lines[0]), "-"))
    return "\n".join(lines)


def _cell(row: dict, name: str, digits: int) -> str:
    if name not in row["mean"]:
        return "-"
    mean = f"{row['mean'][name]:,.{digits}f}"
    return mean + (f" ±{row['spread'][name]:.{digits}f}" if digits and len(row["seeds"]) > 2 else "")


def standings(first: dict[str, dict]) -> str:
    """A line a figure: who is first of those that see images alone, and by how much."""
    lines = []
    for figure, lead in first.items():
        spread = "more" if lead["beyond_spread"] else "not more"
        by = f"{lead['first']} before {lead['second']} by {lead['lead']:.3f}, {spread} than the spread"
        lines.append(f"{figure.ljust(8)} {by}")
    return "\n".join(lines)


def strips(folder: str | Path, rows: dict[str, dict], faces: dict[str, Tensor]) -> Figure:
    """The labels that the fits with the first seed left in `folder`, a row a system, below the `faces`
    (`image` (N, 3, S, S), `labels` (N, S, S)) and their true regions. A part has the colour of the region
    that it fits best in these faces, each region once; what is left over is grey."""
    palette = (torch.tensor([list(bytes.fromhex(colour[1:])) for colour in TRUTH_COLOURS])).byte().numpy()
    images = torch.cat(list(faces["image"]), dim=-1).movedim(0, -1).numpy()
    truth = torch.cat(list(faces["labels"]), dim=-1).numpy()
    pictures = {"face": images, "true regions": palette[truth]}
    for short, row in rows.items():
        path = Path(folder) / f"{short}.seed{row['seeds'][0]}.png"
        if "nmi" in row["mean"] and path.is_file():
            pictures[row["name"]] = palette_of(_read(path, truth.shape), faces["labels"], palette)
    return wide_strips(pictures, 0.72)


def palette_of(labels: np.ndarray, truth: Tensor, palette: np.ndarray) -> np.ndarray:
    """Labels (S, N S) of N faces with true labels (N, S, S), as colours (S, N S, 3) of the true regions."""
    found = torch.stack(torch.from_numpy(labels).long().split(truth.shape[-1], dim=1))
    names = name_parts(found, truth, max(1, int(labels.max())))
    greys = iter(np.linspace(150, 225, len(names)).astype(np.uint8))
    colours = [palette[LABELS.index(name)] if name in LABELS else np.full(3, next(greys)) for name in names]
    return np.stack([palette[0], *colours])[labels]


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    with Image.open(path) as image:
        labels = np.array(image)
    if labels.shape != shape:
        raise UserError(f"{path} is not a picture of these faces' labels: make it again.")
    return labels
