"""`python -m benchmarks.cross_view` asks who is who across views: our components, and systems without parts.

The gallery looks ahead (|yaw| below 10 degrees), the probes aside (30 to 45), by the true yaw. Ours is the
shipped model, by what it sees along its geometry. A 2D auto-encoder with at least as many features, and
Unsup3D, of its published width and of a quarter of it, are trained for `--minutes` each on the same 4,096
faces, once a seed. `--only` names some of the rows; a record that holds the others is gone on with.
"""

import argparse
import json
import os
import platform
from pathlib import Path

import torch

from igc import IGCNet, analysis
from igc.data import SyntheticFaces, read_all
from igc.files import write_text
from peers.autoencoder import AutoEncoder
from peers.base import Loaded, Peer, as_bytes
from peers.ours import KNOWN, Ours
from peers.unsup3d import Unsup3D

RECORD = Path("benchmarks/records/cross_view.json")
IMAGES, FACES, SIZE = 4096, 2000, 64
TRAINED: dict[str, tuple[type[Peer], dict]] = {
    "2D auto-encoder": (AutoEncoder, AutoEncoder.settings[0]),
    "Unsup3D": (Unsup3D, Unsup3D.settings[0]),
    "Unsup3D, narrow": (Unsup3D, Unsup3D.settings[2]),
}
"""Systems that are trained here, and their settings."""
ROWS = ("ours, all components", "raw pixels", "mean colour", *TRAINED)


def features(row: str, pixels: torch.Tensor, images: torch.Tensor, minutes: float, seed: int) -> torch.Tensor:
    """What a system says of `images`, (N, F); it is fitted on `pixels`."""
    if row == "raw pixels":
        return images.flatten(1)
    if row == "mean colour":
        return images.mean(dim=(2, 3))
    if row in TRAINED:
        kind, setting = TRAINED[row]
        peer = kind(SIZE, seed=seed, **setting)
        peer.fit(Loaded.of(pixels), minutes)
        return peer.features(images)
    ours = Ours(SIZE)
    ours.model, ours.known = IGCNet.from_pretrained("synthetic-64"), pixels[:KNOWN].float() / 255
    return ours.looked(images)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cross_view", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, for what is trained here")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, metavar="ROW")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    chosen = parser.parse_args()
    pixels, test = (
        as_bytes(SyntheticFaces("train", IMAGES, SIZE)),
        read_all(SyntheticFaces("test", FACES, SIZE)),
    )
    identity, yaw = test["identity"].numpy(), test["pose"][:, 1].numpy()
    split = analysis.split_views(identity, yaw)
    record = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.exists() else {"rows": {}}
    record |= {
        "command": "python -m benchmarks.cross_view", "minutes": chosen.minutes, "torch": torch.__version__,
        "data": SyntheticFaces("test", FACES, SIZE).fingerprint(), "chance": analysis.chance(identity, split),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
    }  # fmt: skip
    for row in chosen.only:
        for seed in chosen.seeds if row in TRAINED else [0]:
            name = f"{row}/{seed}" if row in TRAINED else row
            if name in record["rows"]:
                continue
            values = features(row, pixels, test["image"], chosen.minutes, seed).numpy()
            rate = analysis.rank_one(values, identity, 0, split)
            record["rows"][name] = {
                "features": values.shape[1],
                "rank_one": [round(float(r), 4) for r in rate],
            }
            write_text(chosen.out, json.dumps(record, indent=2) + "\n")
            print(name, record["rows"][name], flush=True)


if __name__ == "__main__":
    main()
