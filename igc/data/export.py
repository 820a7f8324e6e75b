"""`python -m igc.data.export --out DIR` writes embedded faces to disk once: pictures, truth and their card.

DIR/images/000000.png ... can be read as an `ImageFolder`; DIR/truth-000.safetensors ... hold the truth of
1,024 faces each, in the order of the pictures; DIR/card.json says what they are.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from igc.data.framing import FRAMES, SIDE
from igc.data.regions import LABELS
from igc.data.synthetic import BACKGROUNDS, PLANTED, SPLITS, SyntheticFaces
from igc.errors import UserError
from igc.files import make_folder, write_tensors, write_text, writing

SHARD = 1024
"""Faces whose truth shares a file."""
HALF = ("normal", "albedo", "canonical_normal", "canonical_albedo")
"""Truth written as float16: numbers up to 1, off by less than 0.0005."""


def export(dataset: SyntheticFaces, folder: str | Path) -> dict:
    """Writes a data set to a folder and returns its card, which is written last.

    The truth is stored as `SyntheticFaces` gives it, but for normals and albedo (float16) and labels (uint8).
    Raises UserError if the folder cannot be written, or holds a data set already. When something goes wrong,
    what was written is removed, so that the next start does not find a folder in use.
    """
    folder = make_folder(folder)
    if (folder / "card.json").exists() or (folder / "images").exists():
        raise UserError(
            f"{folder} holds a data set already, or a part of one: name another folder, or remove it first."
        )
    try:
        make_folder(folder / "images")
        with writing(folder):
            card = _card(dataset, _write_faces(dataset, folder))
            write_text(folder / "card.json", json.dumps(card, indent=2) + "\n")
    except BaseException:
        shutil.rmtree(folder / "images", ignore_errors=True)
        for number in range(-(-len(dataset) // SHARD)):
            _truth_file(folder, number).unlink(missing_ok=True)
        raise
    return card


def _write_faces(dataset: SyntheticFaces, folder: Path) -> str:
    """Writes pictures and truth; the SHA-256 of all pixels."""
    digest = hashlib.sha256()
    for first in range(0, len(dataset), SHARD):
        indices = range(first, min(first + SHARD, len(dataset)))
        items = dataset.batch(indices)
        for index, image in zip(indices, items.pop("image"), strict=True):
            pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
            digest.update(pixels.tobytes())
            Image.fromarray(pixels).save(folder / "images" / f"{index:06d}.png")
        write_tensors(_truth_file(folder, first // SHARD), _packed(items), {"data": dataset.fingerprint()})
    return digest.hexdigest()


def _truth_file(folder: Path, number: int) -> Path:
    return folder / f"truth-{number:03d}.safetensors"


def _packed(items: dict[str, Tensor]) -> dict[str, Tensor]:
    kinds = dict.fromkeys(HALF, torch.float16) | dict.fromkeys(("labels", "canonical_labels"), torch.uint8)
    return {name: value.to(kinds.get(name, value.dtype)) for name, value in items.items()}


def _card(dataset: SyntheticFaces, pixels: str) -> dict:
    return {
        "data": dataset.fingerprint(),
        "split": dataset.split, "images": len(dataset), "size": dataset.size, "seed": dataset.seed,
        "people": -(-len(dataset) // dataset.per_identity), "planted": dataset.planted,
        "background": dataset.background, "shadows": dataset.shadows, "glasses": dataset.glasses,
        "frame": dataset.frame, "side": dataset.side if dataset.frame == "face" else None,
        "yaw": dataset.yaw, "upside_down": dataset.upside_down, "labels": list(LABELS),
        "parameters_sha256": dataset.checksum(),
        "pixels_sha256": pixels,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m igc.data.export", description=__doc__)
    parser.add_argument("--out", required=True, help="the folder to write to")
    parser.add_argument("--split", default="train", help=", ".join(SPLITS))
    parser.add_argument("--count", type=int, default=4096, help="how many faces")
    parser.add_argument("--size", type=int, default=64, help="pixels of a side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--background", default="plain", help=", ".join(BACKGROUNDS))
    parser.add_argument("--planted", help=", ".join(PLANTED))
    parser.add_argument("--shadows", action="store_true")
    parser.add_argument("--glasses", action="store_true")
    parser.add_argument("--frame", default="head", help=", ".join(FRAMES))
    parser.add_argument(
        "--side", type=float, default=SIDE, help="width of the face's frame, see SyntheticFaces"
    )
    parser.add_argument("--yaw", type=float, help="largest yaw in degrees")
    parser.add_argument("--upside-down", action="store_true")
    chosen = vars(parser.parse_args(arguments))
    out = chosen.pop("out")
    try:
        card = export(SyntheticFaces(**chosen), out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{card['images']} faces of {card['people']} people in {out}: {card['data']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
