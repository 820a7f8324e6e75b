"""`python -m benchmarks.upside_down` shows that nothing in the package knows up from down.

The drawn faces, cropped to the face, are learned upright and upside down: pictures, truth and the cells that
parts start as are turned, weights and order stay as the seed has them. Every run sees 40,000 images: 2,000
faces, 20 times. A run is a folder under `runs/upside_down` and goes on where it was stopped; when it is done,
its figures on 512 test faces are written to `--out`, a file a run, and a run whose file is there is not made
again. At the end the mean of the paired differences, upright less upside down, is printed.
"""

import argparse
import json
from pathlib import Path

import torch

from igc import IGCNet, ModelConfig, TrainConfig
from igc.data import SyntheticFaces
from igc.evaluate import evaluate, load_truth
from igc.files import make_folder, write_text
from igc.pretrained import FORMAT
from igc.training import Training
from igc.watch import Stop

IMAGES, EPOCHS, FACES, SEEDS = 2000, 20, 512, (0, 1, 2)
RUNS = Path("runs/upside_down")
WAYS = {"upright": False, "upside down": True}
SHOWN = ("nmi", "ari", "iou", "side", "mad", "yaw_error")


def train(way: str, seed: int, folder: Path) -> dict:
    """One run, from its checkpoint if it was stopped; its record."""
    faces = SyntheticFaces("train", IMAGES, seed=seed, frame="face", upside_down=WAYS[way])
    config = TrainConfig(epochs=EPOCHS, seed=seed)
    training = Training(faces, ModelConfig(background="none"), config, make_folder(folder))
    if WAYS[way] and training.place()[0] == 0:
        logits = training.model.layout.logits
        logits.copy_(logits.flip(-2))
    with Stop() as stop:
        training.run(stop)
    return training.finish()


def measure(way: str, seed: int) -> dict:
    """A run and its figures."""
    folder = RUNS / f"{way}-{seed}".replace(" ", "-")
    record = train(way, seed, folder)
    drawn = {"frame": "face", "upside_down": WAYS[way]}
    truth = [load_truth(split, FACES, ModelConfig.size, **drawn) for split in ("validation", "test")]
    return {
        "way": way, "seed": seed, "images": IMAGES * EPOCHS, "format": FORMAT, "seconds": record["seconds"],
        "setbacks": record["setbacks"], "torch": torch.__version__,
        "machine": f"{record['machine']}, {torch.get_num_threads()} threads",
        "figures": evaluate(IGCNet.from_pretrained(folder), *truth),
    }  # fmt: skip


def differences(folder: Path) -> dict[str, tuple[float, float]]:
    """Means over the seeds, and standard deviations, of the figures upright less those upside down."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    found = {(row["way"], row["seed"]): row["figures"] for row in rows}
    upright, turned = WAYS
    pairs = [(found[upright, seed], found[turned, seed]) for seed in SEEDS if (turned, seed) in found]
    apart = {name: torch.tensor([a[name] - b[name] for a, b in pairs]) for name in SHOWN}
    return {name: (float(each.mean()), float(each.std())) for name, each in apart.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upside_down", description=__doc__)
    parser.add_argument("--out", default="benchmarks/records/upside_down", help="folder of the records")
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=tuple(WAYS))
    chosen = parser.parse_args()
    out = make_folder(chosen.out)
    for seed in SEEDS:
        for way in chosen.ways:
            path = out / f"{way}-{seed}.json".replace(" ", "_")
            if not path.exists():
                row = measure(way, seed)
                write_text(path, json.dumps(row, indent=2) + "\n")
                print(way, seed, {k: round(row["figures"][k], 3) for k in SHOWN}, flush=True)
    if set(chosen.ways) == set(WAYS):
        for name, (mean, spread) in differences(out).items():
            print(f"{name:10s} upright less upside down: {mean:+.3f}, standard deviation {spread:.3f}")


if __name__ == "__main__":
    main()
