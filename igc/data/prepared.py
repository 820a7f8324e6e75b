"""`Prepared`: what `python -m igc.data prepare` wrote, as a data set; files and shards alike.

`check` reads all of it and tells what is missing or was changed.
"""

import hashlib
import json
import os
from array import array
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import torch
from torch.utils.data import Dataset

from igc.data.faceset import SPLITS, as_tensor
from igc.data.folder import THREADS, EmptySplit
from igc.data.images import check_size, planar, shown, upright_rgb
from igc.errors import UserError

FORMAT = "igc-prepared-1"
AGAIN = "remove the set's card.json and prepare the set again"
CARD = {
    "format": str, "kind": str, "set": str, "size": int, "official_split": bool, "images": int,
    "splits": dict, "manifest_sha256": str,
}  # fmt: skip
SHARD = {"file": str, "images": int, "bytes": int}
LINE = {"number": int, "split": str, "truth": dict, "png_sha256": str}
"""What a card, a shard in it, and a line about an image hold at least; JSON's types."""


class Prepared(Dataset):
    """A prepared face set; items as its source's class gives them, cropped already.

    root: the folder. split: train, validation, test or all; without validation images, validation is the
    test split. size: side S in pixels, by default as prepared; smaller images are made from it, larger ones
    are refused. Images are read when they are asked for, also from shards: memory holds 8 bytes an image.
    Raises UserError if the folder is not a finished prepared set.
    """

    def __init__(self, root, split="train", size=None):
        self.root = Path(root).expanduser()
        self.card = read_card(self.root)
        self.size = self.card["size"] if size is None else int(size)
        check_size(self.size)
        if self.size > self.card["size"]:
            raise UserError(
                f"{shown(root)} was prepared at {self.card['size']} pixels: ask for at most that, or "
                f"prepare it again with --size {self.size}."
            )
        if split not in (*SPLITS, "all"):
            raise UserError(
                f"The split {split!r} does not exist: choose one of {', '.join((*SPLITS, 'all'))}."
            )
        if split == "validation" and not self.card["splits"]["validation"]:
            split = "test"
        self.split, self._starts = split, array("q")
        self._index()
        if not self._starts:
            raise EmptySplit(f"The split {split} of {shown(root)} is empty: use another split, or all.")

    def _index(self):
        """Fills `_starts`: where in the manifest the lines of the split's images begin."""
        wanted, at = f'"split": "{self.split}"'.encode(), 0
        with _manifest(self.root) as manifest:
            for line in manifest:
                if self.split == "all" or wanted in line:
                    self._starts.append(at)
                at += len(line)
        count = self.card["images"] if self.split == "all" else self.card["splits"][self.split]
        if len(self._starts) != count:
            raise UserError(f"{shown(self.root / 'manifest.jsonl')} is damaged: {AGAIN}.")

    def __len__(self):
        return len(self._starts)

    def __getitem__(self, index):
        return {name: value[0] for name, value in self.batch([index]).items()}

    def lines(self, indices):
        """The manifest's lines, as dicts, of the images at `indices`."""
        out = []
        with _manifest(self.root) as manifest:
            for index in indices:
                manifest.seek(self._starts[range(len(self))[int(index)]])
                out.append(read_line(manifest.readline(), self.root / "manifest.jsonl"))
        return out

    def batch(self, indices, truth=True):
        """The items at `indices`, stacked; without `truth` only `image` (B, 3, S, S)."""
        lines = self.lines(indices)
        if not lines:
            return {"image": torch.empty(0, 3, self.size, self.size)}
        if len(lines) == 1:
            pixels = [self._decode(lines[0])]
        else:
            with ThreadPoolExecutor(min(THREADS, len(lines))) as pool:
                pixels = list(pool.map(self._decode, lines))
        out = {"image": torch.stack(pixels).float() / 255}
        if truth:
            items = [item_truth(line, self.card, self.size) for line in lines]
            out |= {name: torch.stack([item[name] for item in items]) for name in items[0]}
        return out

    def _decode(self, line):
        return decode_png(_stored(self.root, line), self.size, _place(line))

    def fingerprint(self):
        """A short name for this set of images: set, split, count and the manifest's hash."""
        return f"{self.card['set']}-{self.split}-{len(self)}-{self.card['manifest_sha256'][:12]}"


def read_card(root):
    """The card of a prepared set. UserError if there is none, or if it is damaged."""
    root = Path(root).expanduser()
    if not is_prepared(root) or not (root / "card.json").exists():
        raise UserError(
            f"{shown(root)} is not a finished prepared set: "
            "run `python -m igc.data prepare` again, as before."
        )
    card = read_json(root / "card.json", AGAIN)
    shards = card.get("shards", []) if _holds(card, CARD) and card["format"] == FORMAT else None
    whole = isinstance(shards, list) and all(_holds(shard, SHARD) for shard in shards)
    if not whole or not _holds(card["splits"], dict.fromkeys(SPLITS, int)):
        raise UserError(f"{shown(root / 'card.json')} is damaged or of another version: {AGAIN}.")
    return card


def read_json(path, remedy):
    """What a JSON file of a prepared set holds. UserError with the remedy if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{shown(path)} is damaged: {remedy}.") from error


def read_line(text, path):
    """The line about an image, as a dict. UserError that names the file, `path`, if it is damaged."""
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not _holds(line, LINE):
        raise UserError(f"{shown(path)} is damaged: {AGAIN}.")
    return line


def _holds(record, form):
    return isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in form.items())


def is_prepared(root):
    """Whether a folder holds a prepared set, or one that was begun."""
    return (Path(root).expanduser() / "plan.json").is_file()


def decode_png(data, size, name):
    """The pixels of a square image's file as a uint8 tensor (3, size, size)."""
    image = upright_rgb(data, name=name)
    if image.size != (size, size):
        image = image.resize((size, size), resample=1)
    return torch.from_numpy(planar(image))


def item_truth(line, card, size):
    """The truth in a line of the manifest as tensors; landmarks in pixels at `size`."""
    try:
        out = {key: as_tensor(_numbers(value)) for key, value in line["truth"].items()}
        if "landmarks" in out:
            out["landmarks"] = out["landmarks"] * (size / card["size"])
        if card["official_split"]:
            out["split"] = torch.tensor(SPLITS.index(line["split"]))
    except (TypeError, ValueError) as error:
        raise UserError(f"The truth about image {line['number']} is damaged: {AGAIN}.") from error
    return out


def _numbers(value):
    """A value with NaN in place of None."""
    if isinstance(value, list):
        return [_numbers(x) for x in value]
    return float("nan") if value is None else value


def _manifest(root):
    """The manifest, open. UserError if it is missing."""
    path = root / "manifest.jsonl"
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"{shown(path)} is missing or cannot be read: {AGAIN}.") from error


def _place(line):
    """The file that holds the image of a manifest's line."""
    return str(line.get("file") or line.get("shard"))


def _stored(root, line):
    """The bytes of the image of a manifest's line. UserError if they cannot be read."""
    path = root / _place(line)
    try:
        with open(path, "rb") as file:
            file.seek(line.get("offset", 0))
            return file.read(line.get("length", -1))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{shown(path)} is missing or cannot be read: {AGAIN}.") from error


def check(folder):
    """Sentences about what is missing from a prepared set or was changed since; none if it is whole."""
    folder = Path(folder).expanduser()
    if not (folder / "card.json").is_file():
        begun = "its preparation was not finished: run the same command again"
        what = begun if is_prepared(folder) else "it has no card.json"
        return [f"{shown(folder)} is no prepared set: {what}."]
    try:
        card = read_card(folder)
        read_json(folder / "plan.json", AGAIN)
        faults = _listed_faults(folder, card)
    except UserError as error:
        return [str(error)]
    for shard in card.get("shards", []):
        path = folder / shard["file"]
        if path.is_file() and path.stat().st_size != shard["bytes"]:
            faults.append(f"{shard['file']} has another length than it was given: {AGAIN}.")
    return faults


def _listed_faults(folder, card):
    """Sentences about the images that the manifest lists, and about the manifest."""
    digest, listed, faults = hashlib.sha256(), 0, []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool, _manifest(folder) as manifest:
        while lines := manifest.readlines(2**20):
            listed += len(lines)
            for line in lines:
                digest.update(line)
            faults += [fault for fault in pool.map(_fault, repeat(folder), lines) if fault]
    if digest.hexdigest() != card["manifest_sha256"] or listed != card["images"]:
        faults.append(f"manifest.jsonl was changed: {AGAIN}.")
    return faults


def _fault(folder, text):
    """What is wrong with a line of the manifest or with its image, or None."""
    try:
        line = read_line(text, folder / "manifest.jsonl")
        data = _stored(folder, line)
    except UserError as error:
        return str(error)
    if hashlib.sha256(data).hexdigest() != line["png_sha256"]:
        return f"{_place(line)} was changed (image {line['number']}): {AGAIN}."
    return None
