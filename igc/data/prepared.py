"""`Prepared`: what `python -m igc.data prepare` wrote, as a data set; files and shards alike."""

import json
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch.utils.data import Dataset

from igc.data.faceset import SPLITS, EmptySplit, as_tensor
from igc.data.folder import THREADS
from igc.data.images import check_size, planar, shown, upright_rgb
from igc.errors import UserError

FORMAT = "igc-prepared-1"


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
        with open(self.root / "manifest.jsonl", "rb") as manifest:
            for line in manifest:
                if self.split == "all" or wanted in line:
                    self._starts.append(at)
                at += len(line)

    def __len__(self):
        return len(self._starts)

    def __getitem__(self, index):
        return {name: value[0] for name, value in self.batch([index]).items()}

    def lines(self, indices):
        """The manifest's lines, as dicts, of the images at `indices`."""
        out = []
        with open(self.root / "manifest.jsonl", "rb") as manifest:
            for index in indices:
                manifest.seek(self._starts[range(len(self))[int(index)]])
                out.append(json.loads(manifest.readline()))
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
        name = line.get("file") or line["shard"]
        try:
            with open(self.root / name, "rb") as file:
                file.seek(line.get("offset", 0))
                data = file.read(line.get("length", -1))
        except OSError as error:
            raise UserError(f"{shown(self.root / name)} cannot be read: prepare the set again.") from error
        return decode_png(data, self.size, name)

    def fingerprint(self):
        """A short name for this set of images: set, split, count and the manifest's hash."""
        return f"{self.card['set']}-{self.split}-{len(self)}-{self.card['manifest_sha256'][:12]}"


def read_card(root):
    """The card of a prepared set. UserError if there is none."""
    root = Path(root).expanduser()
    if is_prepared(root):
        try:
            card = json.loads((root / "card.json").read_text(encoding="utf-8"))
            if card["format"] == FORMAT:
                return card
        except (OSError, ValueError, KeyError, TypeError):
            pass
    raise UserError(
        f"{shown(root)} is not a finished prepared set: run `python -m igc.data prepare` again, as before."
    )


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
    out = {key: as_tensor(_numbers(value)) for key, value in line["truth"].items()}
    if "landmarks" in out:
        out["landmarks"] = out["landmarks"] * (size / card["size"])
    if card["official_split"]:
        out["split"] = torch.tensor(SPLITS.index(line["split"]))
    return out


def _numbers(value):
    """A value with NaN in place of None."""
    if isinstance(value, list):
        return [_numbers(x) for x in value]
    return float("nan") if value is None else value
