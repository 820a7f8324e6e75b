"""The records of `python -m benchmarks.ablations`, put side by side: a table, a figure, pictures (ours)."""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from igc.errors import UserError
from igc.figures import panels, wide_strips

WHOLE = "full"
"""The variant from which nothing is left out."""
FIRST = 6
"""The model's format in records that do not tell."""
TITLES = ("face", "parts", "drawn", "depth", "normals", "turned") * 2
"""Of the pictures in a strip: two faces."""


def load(folder: str | Path) -> dict[str, list[dict]]:
    """The records in `folder`, by variant, each with its runs by seed; the whole model first, then as they
    are named in the records' order. UserError if there is none of the whole model, or if they are of models
    of several formats, which cannot be compared."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.json"))]
    formats = sorted({row.get("format", FIRST) for row in rows})
    if len(formats) > 1:
        raise UserError(
            f"{folder} holds records of models of the formats {', '.join(map(str, formats))}: move those of "
            "all but one to another folder."
        )
    found: dict[str, list[dict]] = {}
    for row in sorted(rows, key=lambda row: (row["variant"] != WHOLE, row["order"], row["seed"])):
        found.setdefault(row["variant"], []).append(row)
    if WHOLE not in found:
        raise UserError(f"{folder} holds no record of the whole model: run python -m benchmarks.ablations.")
    return found


def format_of(path: Path) -> int:
    """The format of the model that a record is of."""
    return json.loads(path.read_text(encoding="utf-8")).get("format", FIRST)


def values(runs: list[dict], figure: str) -> np.ndarray:
    """One figure of several runs, (N,)."""
    return np.array([run["figures"][figure] for run in runs])


def table(found: dict[str, list[dict]], columns: dict[str, int]) -> str:
    """Mean and, from three runs on, standard deviation over seeds: a line a variant, a column a figure with
    so many digits. A star: every run lies outside of what three or more runs of the whole model span."""
    lines = [f"{'':21s}runs" + "".join(name.rjust(14) for name in columns)]
    for variant, runs in found.items():
        cells = []
        for name, digits in columns.items():
            own, span = values(runs, name), values(found[WHOLE], name)
            mean = f"{own.mean():.{digits}f}"
            spread = f" ±{own.std(ddof=1):.{digits}f}" if len(own) > 2 else ""
            apart = len(span) > 2 and bool((own > span.max()).all() or (own < span.min()).all())
            cells.append(f"{mean}{spread}{'*' if apart else ' '}".rjust(14))
        lines.append(f"{variant:21s}{len(runs):4d}" + "".join(cells))
    return "\n".join(lines)


def dots(found: dict[str, list[dict]], titles: dict[str, str]) -> Figure:
    """A panel a figure: a dot for every run, a row for every variant; shaded is what the runs of the whole
    model span. `titles`: what to write above the panel of each figure."""
    figure, (axes,) = panels(1, len(titles), (9.0, 0.26 * len(found) + 0.7), sharey=True)
    names = list(found)
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        span = values(found[WHOLE], name)
        axis.axvspan(span.min(), span.max(), color="C0", alpha=0.15, lw=0)
        for row, variant in enumerate(names):
            own = values(found[variant], name)
            colour = "C0" if variant == WHOLE else "C1"
            axis.plot(own, np.full(len(own), row), "o", ms=4, mew=0, alpha=0.8, color=colour)
        axis.set_title(title)
        axis.grid(axis="y", lw=0.3, alpha=0.6)
        axis.tick_params(axis="y", length=0)
        axis.locator_params(axis="x", nbins=4)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    return figure


def picture_path(folder: str | Path, variant: str) -> Path:
    """Where the picture of a variant lies in `folder`."""
    return Path(folder) / f"{variant}.png".replace(" ", "_")


def strips(folder: str | Path, variants: list[str]) -> Figure:
    """The pictures that the runs of seed 0 left in `folder`, a row a variant. UserError if one is missing."""
    rows = {}
    for variant in variants:
        path = picture_path(folder, variant)
        if not path.is_file():
            raise UserError(f"{path} is missing: run python -m benchmarks.ablations, which draws it.")
        with Image.open(path) as image:
            rows[variant] = np.asarray(image)
    figure = wide_strips(rows, 0.76)
    figure.axes[0].xaxis.tick_top()
    middles = (np.arange(len(TITLES)) + 0.5) * rows[variant].shape[1] / len(TITLES)
    figure.axes[0].set_xticks(middles, TITLES)
    return figure
