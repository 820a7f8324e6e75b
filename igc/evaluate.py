"""`python -m igc.evaluate MODEL` prints the table of figures; `evaluate` and `evaluate_floors` compute it."""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

import torch
from torch import Tensor

from igc import floors, metrics
from igc.data import FACE_PARTS, SyntheticFaces, read_all
from igc.errors import UserError
from igc.files import make_folder, write_text, writing
from igc.model import IGCNet
from igc.outputs import Output
from igc.prediction import CHUNK, described, through

COLUMNS = (
    "nmi", "ari", "iou", "nme", "side", "mad", "relief_ratio", "yaw_slope", "yaw_error", "pitch_error",
    "roll_error", "yaw_correlation", "pitch_correlation", "roll_correlation", "light_x", "light_y",
    "silhouette", "foreground_iou", "parts_alive", "error_ratio",
)  # fmt: skip

NEEDED = ("labels", "depth", "normal", "pose", "light", "canonical_depth", "canonical_labels")


def load_truth(split: str, count: int, size: int, seed: int = 0) -> dict[str, Tensor]:
    """`count` embedded faces of a split with all their truth, stacked."""
    return read_all(SyntheticFaces(split, count, size, seed))


def explain(model: IGCNet, images: Tensor, chunk: int = CHUNK) -> dict[str, Tensor]:
    """What the protocol needs of what `model` says of images (N, 3, S, S): of `igc.predict`'s tensors those
    in NEEDED, and the mean absolute errors (N,) of the drawing and of its background alone."""

    def tell(part: Tensor, out: Output) -> dict[str, Tensor]:
        found = described(model, out)
        return {name: found[name] for name in NEEDED} | {
            "error": (out.image - part).abs().mean(dim=(1, 2, 3)),
            "blank_error": (out.background - part).abs().mean(dim=(1, 2, 3)),
        }

    return through(model, images, tell, chunk)


def evaluate(model: IGCNet, fit: dict, test: dict) -> dict[str, float]:
    """All figures of the protocol for `model` on `test`; regressions are fitted on `fit`."""
    found, other = explain(model, test["image"]), explain(model, fit["image"])
    face = torch.isin(test["labels"], torch.tensor(FACE_PARTS))
    parts = model.config.parts
    return {
        **metrics.part_scores(found["labels"], test["labels"], FACE_PARTS),
        "nme": metrics.landmark_error(fit, other["labels"], test, found["labels"], parts, model.fov),
        **metrics.depth_scores(found["depth"], found["normal"], test, face),
        **metrics.pose_scores(other["pose"], fit["pose"], found["pose"], test["pose"]),
        **metrics.light_scores(found["light"], test["light"]),
        **metrics.outline_scores(found["labels"], test["labels"]),
        "parts_alive": metrics.parts_alive(found["labels"], parts),
        "error_ratio": float(found["error"].mean() / found["blank_error"].mean()),
    }


def evaluate_unlabelled(model: IGCNet, images: Tensor) -> dict[str, float]:
    """The figures that need no truth, for images (N, 3, S, S): parts alive and the error ratio."""
    found = explain(model, images)
    return {
        "parts_alive": metrics.parts_alive(found["labels"], model.config.parts),
        "error_ratio": float(found["error"].mean() / found["blank_error"].mean()),
    }


def evaluate_floors(fit: dict, test: dict, fov: float) -> dict[str, dict[str, float]]:
    """The same figures for what needs no learning, as far as they apply; oracles are marked as such."""
    face, fit_face = (torch.isin(data["labels"], torch.tensor(FACE_PARTS)) for data in (test, fit))
    labelled = {
        "six bands": (floors.bands(face), floors.bands(fit_face)),
        "2 x 3 grid": (floors.grid_2x3(face), floors.grid_2x3(fit_face)),
        "k-means": (
            floors.k_means(fit, test, fit_face, face), floors.k_means(fit, fit, fit_face, fit_face),
        ),
        "where parts start": tuple(
            floors.where_parts_start(labels.shape[-1], len(labels)) for labels in (face, fit_face)
        ),
        "commonest label (oracle)": (
            floors.commonest_label(fit["labels"], len(face)),
            floors.commonest_label(fit["labels"], len(fit_face)),
        ),
    }  # fmt: skip
    rows = {}
    for name, (found, other) in labelled.items():
        rows[name] = metrics.part_scores(found, test["labels"], FACE_PARTS)
        rows[name]["nme"] = metrics.landmark_error(fit, other, test, found, int(found.max()), fov)
    surfaces = {
        "flat plane": floors.flat_plane(test),
        "mean depth": floors.mean_depth(fit, test, fov),
        "posed mean face (oracle)": floors.posed_mean_face(fit, test, fov),
    }
    for name, (depth, normal) in surfaces.items():
        rows[name] = metrics.depth_scores(depth, normal, test, face)
    return rows


def table(rows: dict[str, dict[str, float]], columns: tuple[str, ...] = COLUMNS) -> str:
    """Rows of figures as text, a line a figure and a column a system; a dash where it does not apply."""
    width = max(len(name) for name in columns) + 1
    widths = [max(len(name), 7) + 2 for name in rows]
    lines = [" " * width + "".join(name.rjust(w) for name, w in zip(rows, widths, strict=True))]
    for column in columns:
        cells = [f"{row[column]:.3f}" if column in row else "-" for row in rows.values()]
        if any(cell != "-" for cell in cells):
            lines.append(
                column.ljust(width) + "".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m igc.evaluate", description=__doc__)
    parser.add_argument("model", help="a folder that training wrote, or a shipped model's name")
    parser.add_argument("--count", type=int, default=1000, help="faces to fit on, and to test on")
    parser.add_argument("--seed", type=int, default=0, help="seed of the embedded faces")
    parser.add_argument("--out", help="a JSON file for the record")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.count < 16:
            raise UserError(
                f"--count must be at least 16, not {chosen.count}: the regressions need people to fit on."
            )
        if chosen.out and Path(chosen.out).is_dir():
            raise UserError(f"--out ({chosen.out}) is a folder: name a JSON file in it.")
        if chosen.out:
            make_folder(Path(chosen.out).parent)
        model = IGCNet.from_pretrained(chosen.model)
        fit, test = (
            load_truth(s, chosen.count, model.config.size, chosen.seed) for s in ("validation", "test")
        )
        rows = {Path(chosen.model).name: evaluate(model, fit, test), **evaluate_floors(fit, test, model.fov)}
        print(table(rows))
        if chosen.out:
            data = SyntheticFaces("test", chosen.count, model.config.size, chosen.seed).fingerprint()
            write_record(Path(chosen.out), Path(chosen.model).name, data, rows)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def write_record(path: Path, model: str, data: str, rows: dict[str, dict[str, float]]) -> None:
    """Writes the figures and where they come from; UserError if that cannot be done."""
    record = {
        "command": f"python -m igc.evaluate {model}", "data": data,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "torch": torch.__version__,
    }  # fmt: skip
    with writing(path):
        write_text(path, json.dumps({**record, "figures": rows}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
