"""`python -m benchmarks.against_unsup3d` trains Unsup3D for 30 minutes and ours for 5, and prints figures.

Unsup3D has its published layer sizes, settings and objective (see `peers/unsup3d.py`) and our rasteriser;
both see the same embedded faces, on as many threads. Figures are those of the protocol on faces of the test
people, the map between the pose frames fitted on validation people. `--only` names one of the two systems; a
record that holds the other is kept. `--out FILE` writes the record.
"""

import argparse
import json
import os
import platform
from pathlib import Path

import torch

from igc import metrics
from igc.data import FACE_PARTS, SyntheticFaces, read_all
from igc.files import write_text
from peers.base import Loaded, as_bytes, chunked
from peers.ours import Ours
from peers.unsup3d import Unsup3D

MINUTES = {"Unsup3D": 30.0, "ours": 5.0}
IMAGES, FACES, SIZE = 4096, 512, 64


def figures(peer, poses, known: dict, unseen: dict) -> dict[str, float]:
    """SIDE, MAD and relief, and the errors of the pose; `poses` maps images to poses (B, 6)."""
    face = torch.isin(unseen["labels"], torch.tensor(FACE_PARTS))
    found = [chunked(poses, data["image"]) for data in (known, unseen)]
    return {
        **metrics.depth_scores(*peer.depth(unseen["image"]), unseen, face),
        **metrics.pose_scores(found[0], known["pose"], found[1], unseen["pose"]),
    }


def measure(name: str, minutes: float, seed: int) -> dict:
    peer = Unsup3D(SIZE, seed=seed) if name == "Unsup3D" else Ours(SIZE, seed=seed)
    pixels = as_bytes(SyntheticFaces("train", IMAGES, SIZE))
    known, unseen = (read_all(SyntheticFaces(split, FACES, SIZE)) for split in ("validation", "test"))
    last = {}
    peer.fit(Loaded.of(pixels), minutes, report=lambda step, loss: last.update(step=step))
    poses = peer.model.viewpoint if name == "Unsup3D" else lambda images: peer.model(images).pose
    found = {key: round(value, 4) for key, value in figures(peer, poses, known, unseen).items()}
    return {
        "minutes": minutes,
        "last_step_reported": last.get("step"),
        "parameters": peer.parameters,
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against_unsup3d", description=__doc__)
    parser.add_argument("--only", choices=tuple(MINUTES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a JSON file for the record")
    chosen = parser.parse_args()
    path = Path(chosen.out) if chosen.out else None
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path and path.is_file() else {}
    for name in [chosen.only] if chosen.only else MINUTES:
        rows[name] = measure(name, MINUTES[name], chosen.seed)
        print(name, json.dumps(rows[name], indent=2), flush=True)
        if path:
            record = {
                "command": "python -m benchmarks.against_unsup3d", "seed": chosen.seed,
                "data": f"{SyntheticFaces('train', IMAGES, SIZE).fingerprint()}; {FACES} test faces",
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
                "torch": torch.__version__, "rows": rows,
            }  # fmt: skip
            write_text(path, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
