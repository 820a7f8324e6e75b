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
from igc.data import FACE_PARTS, LABELS, SyntheticFaces, read_all
from igc.errors import UserError
from igc.files import make_folder, write_text, writing
from igc.framing import DRAWN
from igc.layout import following, layout_agreement
from igc.model import IGCNet
from igc.outputs import Output
from igc.own_shape import own_shape
from igc.prediction import CHUNK, described, through
from igc.surfaces import surface_scores

COLUMNS = (
    "nmi", "ari", "iou", "nme", "side", "mad", "relief_ratio", "yaw_slope", "yaw_error", "pitch_error",
    "roll_error", "yaw_correlation", "pitch_correlation", "roll_correlation", "light_x", "light_y",
    "silhouette", "foreground_iou", "parts_alive", "error_ratio", "nmi_all", "ari_all", "iou_all",
    "side_without_plane", "mad_nose", "mad_lips", "mad_chin", "covered", "own_shape", "following",
    "layout_agreement",
)  # fmt: skip

NEEDED = ("labels", "depth", "normal", "pose", "light", "canonical_depth", "canonical_labels")
HEAD_PARTS = tuple(range(1, len(LABELS)))
"""The labels of all regions of a head."""
REGIONS = {"nose": LABELS.index("nose"), "lips": LABELS.index("lips"), "chin": LABELS.index("chin and jaw")}
"""Regions whose normals are looked at by themselves."""


def load_truth(split: str, count: int, size: int, seed: int = 0, **options) -> dict[str, Tensor]:
    """`count` embedded faces of a split with all their truth, stacked; `options` of `SyntheticFaces`."""
    return read_all(SyntheticFaces(split, count, size, seed, **options))


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
    """All figures of the protocol for `model` on `test`; what is fitted is fitted on `fit`."""
    found, other = explain(model, test["image"]), explain(model, fit["image"])
    parts = model.config.parts
    return {
        **all_part_scores(found["labels"], test["labels"]),
        "nme": metrics.landmark_error(fit, other["labels"], test, found["labels"], parts, model.fov),
        **all_surface_scores(found["depth"], found["normal"], test),
        **metrics.pose_scores(other["pose"], fit["pose"], found["pose"], test["pose"]),
        **metrics.light_scores(found["light"], test["light"]),
        **metrics.outline_scores(found["labels"], test["labels"]),
        "parts_alive": metrics.parts_alive(found["labels"], parts),
        "error_ratio": float(found["error"].mean() / found["blank_error"].mean()),
        **canonical_scores(other, fit, found, test, parts),
    }


def all_part_scores(labels: Tensor, truth: Tensor) -> dict[str, float]:
    """Part scores of labels (N, S, S) over the six regions of the front and, `_all`, the nine of the head."""
    head = metrics.part_scores(labels, truth, HEAD_PARTS)
    return metrics.part_scores(labels, truth, FACE_PARTS) | {f"{name}_all": x for name, x in head.items()}


def all_surface_scores(depth: Tensor, normal: Tensor, test: dict) -> dict[str, float]:
    """All scores of view depth (N, S, S) and normals (N, 3, S, S), on the true face."""
    face = torch.isin(test["labels"], torch.tensor(FACE_PARTS))
    return {
        **metrics.depth_scores(depth, normal, test, face),
        **surface_scores(depth, normal, test, face, REGIONS),
    }


def canonical_scores(known: dict, fit: dict, found: dict, test: dict, parts: int) -> dict[str, float]:
    """The scores of the `canonical_depth` and `canonical_labels` (N, S, S), 1..`parts`, that were predicted
    for the validation people, `known`, and the test people, `found`."""
    fit_labels, labels = known["canonical_labels"], found["canonical_labels"]
    return {
        "own_shape": own_shape(known["canonical_depth"], fit, found["canonical_depth"], test, FACE_PARTS),
        "following": following(fit_labels, fit, labels, test, parts),
        "layout_agreement": layout_agreement(fit_labels, labels),
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
    front, known = (label_floors(fit, data, FACE_PARTS) for data in (test, fit))
    head, rows = label_floors(fit, test, HEAD_PARTS), {}
    for name, found in front.items():
        wide = metrics.part_scores(head[name], test["labels"], HEAD_PARTS)
        rows[name] = metrics.part_scores(found, test["labels"], FACE_PARTS)
        rows[name] |= {f"{figure}_all": value for figure, value in wide.items()}
        rows[name]["nme"] = metrics.landmark_error(fit, known[name], test, found, int(found.max()), fov)
    surfaces = {
        "flat plane": floors.flat_plane(test),
        "mean depth": floors.mean_depth(fit, test, fov),
        "posed mean face (oracle)": floors.posed_mean_face(fit, test, fov),
    }
    rows |= {name: all_surface_scores(*surface, test) for name, surface in surfaces.items()}
    rows["true labels (oracle)"] = canonical_scores(fit, fit, test, test, len(HEAD_PARTS))
    return rows


def label_floors(fit: dict, data: dict, parts: tuple[int, ...]) -> dict[str, Tensor]:
    """Labels (N, S, S) of the faces `data` that need no learning. What is told where the face is, is told of
    the true labels `parts`; all but the commonest label have six labels."""
    face, fit_face = (torch.isin(each["labels"], torch.tensor(parts)) for each in (data, fit))
    return {
        "six bands": floors.bands(face),
        "2 x 3 grid": floors.grid_2x3(face),
        "k-means": floors.k_means(fit, data, fit_face, face),
        "where parts start": floors.where_parts_start(face.shape[-1], len(face)),
        "commonest label (oracle)": floors.commonest_label(fit["labels"], len(face)),
    }


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
    how = "what fills the picture of a face; if it is not given, the face where the model has no background"
    parser.add_argument("--frame", choices=("head", "face"), help=how)
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
        faces = chosen.count, model.config.size, chosen.seed
        frame = chosen.frame or DRAWN[model.config.background]
        fit, test = (load_truth(split, *faces, frame=frame) for split in ("validation", "test"))
        rows = {Path(chosen.model).name: evaluate(model, fit, test), **evaluate_floors(fit, test, model.fov)}
        print(table(rows))
        if chosen.out:
            data = SyntheticFaces("test", *faces, frame=frame).fingerprint()
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
