"""Part masks and label maps in the frame of the image; `python -m igc.segment FOLDER --model NAME --out DIR`
segments a folder of pictures, as `segment_folder` does in a notebook."""

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from igc.data import LABELS, ImageFolder, SyntheticFaces, read_all
from igc.data.images import shown
from igc.data.label_images import label_image, overlay, save_image
from igc.errors import UserError, plain_warnings
from igc.files import make_folder, write_text, writing
from igc.framing import DRAWN
from igc.metrics import centroids
from igc.model import IGCNet
from igc.outputs import Output
from igc.prediction import CHUNK, described, masks_to_labels, through

__all__ = ["COLUMNS", "labels", "main", "masks_to_labels", "name_parts", "segment_folder"]

COLUMNS = ("file", "part", "name", "pixels", "share", "x", "y")
"""Of the table: `share` of the face; centroid in pixels of the label map, empty for an absent part."""


def labels(model: IGCNet, images: Tensor, chunk: int = CHUNK) -> Tensor:
    """Part labels (B, S, S) int64 of `images` (B, 3, S, S): 0 background, 1..M the parts; those of
    `igc.predict`, without holding its other maps."""

    def tell(part: Tensor, out: Output) -> dict[str, Tensor]:
        return {"labels": described(model, out)["labels"]}

    return through(model, images, tell, chunk)["labels"]


def name_parts(found: Tensor, truth: Tensor, parts: int) -> list[str]:
    """The parts' names, from `igc.data.LABELS`: every part takes the true label that it overlaps best (IoU),
    each label once, all in all as well as possible. Where a part has no pixel or there are more parts than
    labels it stays 'part m'. `found`, `truth` (N, S, S), 0 the background. (Ours.)"""
    mine = torch.stack([found == part + 1 for part in range(parts)]).flatten(1).double()
    true = torch.stack([truth == label for label in range(1, len(LABELS))]).flatten(1).double()
    both = mine @ true.T
    union = mine.sum(dim=1, keepdim=True) + true.sum(dim=1) - both
    overlap = (both / union.clamp(min=1)).numpy()
    names = [f"part {part + 1}" for part in range(parts)]
    for part, label in zip(*linear_sum_assignment(-overlap)):
        if overlap[part, label] > 0:
            names[part] = LABELS[label + 1]
    return names


def segment_folder(
    folder: str | Path, model: str | Path | IGCNet, out: str | Path, names: Sequence[str] | None = None
) -> list[dict]:
    """Segments the images of `folder` and its subfolders; returns the rows of the table, a dict a part.

    `out` gets `labels/` (palette PNGs whose pixels are the labels, as wide as the model's images) and
    `overlays/`, both with the names of the images, and `parts.csv` (`COLUMNS`). `model`: an IGCNet, or what
    `IGCNet.from_pretrained` takes. `names`: one a part. Images that cannot be used are passed over with a
    warning. UserError for a folder without images, an `out` within it or that cannot be written, or another
    number of names.
    """
    model = model if isinstance(model, IGCNet) else IGCNet.from_pretrained(model)
    parts = model.config.parts
    names = list(names or [f"part {part + 1}" for part in range(parts)])
    if len(names) != parts:
        raise UserError(
            f"'names' has {len(names)} names, but the model has {parts} parts: give one for each."
        )
    target = Path(out).expanduser()
    if target.resolve().is_relative_to(Path(folder).expanduser().resolve()):
        raise UserError(f"'out' ({out}) lies in the folder of the images: choose another folder.")
    images = ImageFolder(folder, model.config.size)
    target, used, rows = make_folder(target), set(), []
    for chunk in torch.arange(len(images)).split(64):
        batch = images.batch(chunk)["image"]
        for name, image, found in zip([images.names[i] for i in chunk], batch, labels(model.eval(), batch)):
            path = Path(name).with_suffix(".png")
            while str(path).casefold() in used:  # a.jpg and a.png
                path = path.with_name(path.name + ".png")
            used.add(str(path).casefold())
            save_image(label_image(found), target, Path("labels", path))
            save_image(overlay(found, image), target, Path("overlays", path))
            rows += _rows(shown(name), found, names)
    table = io.StringIO(newline="")
    csv.writer(table).writerows([COLUMNS, *(row.values() for row in rows)])
    with writing(target / "parts.csv"):
        write_text(target / "parts.csv", table.getvalue())
    return rows


def _rows(file: str, found: Tensor, names: list[str]) -> list[dict]:
    areas = found.flatten().bincount(minlength=len(names) + 1)[1:].tolist()
    rows = []
    for part, (area, place) in enumerate(zip(areas, centroids(found[None], len(names))[0])):
        x, y = (round(float(each), 2) if area else "" for each in place)
        share = round(area / max(1, sum(areas)), 4)
        rows.append(dict(zip(COLUMNS, (file, part + 1, names[part], area, share, x, y))))
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m igc.segment", description="Segments a folder of pictures."
    )
    parser.add_argument("folder", help="a folder of face images")
    parser.add_argument("--model", default="synthetic-64", help="a run's folder, or a shipped model's name")
    parser.add_argument("--out", required=True, help="folder for labels, overlays and parts.csv")
    parser.add_argument("--names", help="names of the parts, separated by commas")
    how = "name the parts by the truth of the embedded faces, which suits a model that was trained on them"
    parser.add_argument("--truth", default="none", choices=("none", "synthetic"), help=how)
    chosen = parser.parse_args(arguments)
    with plain_warnings():
        try:
            model = IGCNet.from_pretrained(chosen.model)
            names = chosen.names.split(",") if chosen.names else None
            if chosen.truth == "synthetic" and names is None:
                frame = DRAWN[model.config.background]
                truth = read_all(SyntheticFaces("validation", 128, model.config.size, frame=frame))
                names = name_parts(labels(model, truth["image"]), truth["labels"], model.config.parts)
            rows = segment_folder(chosen.folder, model, chosen.out, names)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    print(f"{len(rows) // model.config.parts} images segmented; see {Path(chosen.out) / 'parts.csv'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
