"""`python -m benchmarks.loading` prints how many images a second come from disk, decoded and in batches.

A CelebA of drawn faces in its official layout (178 x 218, JPEG) is made in a temporary folder, read as it is,
prepared as files and as shards, and read from there; beside it torch's DataLoader over plain Pillow decoding
of the same files. All in batches of 64 images at 64 pixels, in shuffled order, with two workers or threads;
the best of three rounds, taken in turns. `--out FILE` writes the record.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from igc.data import CelebA, Prepared, SyntheticFaces
from igc.data.prepare import prepare
from igc.data.shards import stream

IMAGES, BATCH, SIZE, WORKERS, ROUNDS = 4096, 64, 64, 2, 3
TRAINING = 90
"""Images a second that training at 64 pixels takes on two cores."""


class Plain(Dataset):
    """What one writes without a library: open, crop, resize, convert."""

    def __init__(self, folder: Path):
        self.paths = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as image:
            face = image.convert("RGB").crop((3, 27, 175, 199))
            face = face.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(face).copy()).permute(2, 0, 1).float() / 255


def make_celeba(root: Path) -> None:
    """Drawn faces with some noise, as a CelebA of IMAGES files with its lists."""
    folder, rng = root / "img_align_celeba", np.random.default_rng(0)
    folder.mkdir(parents=True)
    drawn = (SyntheticFaces("train", 64, 64).batch(range(64), truth=False)["image"] * 255).byte()
    faces = [Image.fromarray(face.permute(1, 2, 0).numpy()).resize((178, 178)) for face in drawn]
    names = [f"{i + 1:06d}.jpg" for i in range(IMAGES)]
    for i, name in enumerate(names):
        pixels = np.pad(np.asarray(faces[i % 64]), ((20, 20), (0, 0), (0, 0)), mode="edge")
        noisy = np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / name, quality=92)
    (root / "list_eval_partition.txt").write_text("".join(f"{name} 0\n" for name in names))
    (root / "identity_CelebA.txt").write_text("".join(f"{name} 1\n" for name in names))
    lines = "".join(f"{name} 69 109 109 109 89 132 73 152 105 152\n" for name in names)
    (root / "list_landmarks_align_celeba.txt").write_text(f"{IMAGES}\nlefteye_x ...\n{lines}")


def counted(batches) -> int:
    return sum(len(batch["image"] if isinstance(batch, dict) else batch) for batch in batches)


def in_batches(dataset) -> int:
    """Reads a whole data set by its `batch`, as training does."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
    return counted(dataset.batch(order[i : i + BATCH], truth=False) for i in range(0, len(order), BATCH))


def readers(folder: Path) -> dict:
    """{what is read: a function that reads all of it and returns the number of images}."""
    source = CelebA(folder / "celeba", "train", SIZE)
    files, shards = (Prepared(folder / name, "train") for name in ("files", "shards"))
    plain = DataLoader(Plain(folder / "celeba/img_align_celeba"), BATCH, shuffle=True, num_workers=WORKERS)
    return {
        "plain Pillow, DataLoader": lambda: counted(plain),
        "CelebA as released": lambda: in_batches(source),
        "prepared folder": lambda: in_batches(files),
        "shards, any order": lambda: in_batches(shards),
        "shards, streamed": lambda: counted(stream(shards, BATCH, workers=WORKERS)),
    }


def measure(folder: Path) -> dict[str, float]:
    """Images a second, by what is read; `prepare` among them, once."""
    make_celeba(folder / "celeba")
    rates = {}
    for name in ("files", "shards"):
        started = time.perf_counter()
        source = CelebA(folder / "celeba", "all", SIZE)
        prepare(source, folder / name, name == "shards", per_shard=256, workers=WORKERS)
        rates[f"preparing {name}"] = IMAGES / (time.perf_counter() - started)
    for _ in range(ROUNDS):
        for name, read in readers(folder).items():
            started = time.perf_counter()
            assert read() == IMAGES
            rates[name] = max(rates.get(name, 0), IMAGES / (time.perf_counter() - started))
    return {name: round(rate) for name, rate in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(Path(folder))
    print(f"images a second, {SIZE} pixels, {WORKERS} workers; load before: {load:.1f}")
    for name, rate in rates.items():
        print(f"{name:26s} {rate:6d}   {rate / TRAINING:5.1f} x training")
    if chosen.out:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "load_before": round(load, 1)}
        versions = {"torch": torch.__version__, "pillow": PIL.__version__}
        record = {"images": IMAGES, "size": SIZE, "workers": WORKERS, "images_per_second": rates}
        chosen.out.write_text(json.dumps(record | machine | {"versions": versions}, indent=2) + "\n")


if __name__ == "__main__":
    main()
