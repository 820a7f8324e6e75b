"""`python -m benchmarks.floors` computes what a model must beat on the embedded faces, and the oracles.

Fitted on 1,000 validation faces and measured on 1,000 test faces, seed 0, 64 pixels; the record is
benchmarks/records/floors.json.
"""

import argparse
import json
from pathlib import Path

from igc.data import SyntheticFaces
from igc.evaluate import evaluate_floors, load_truth, table
from igc.files import make_folder, write_text

RECORD = Path("benchmarks/records/floors.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floors", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="faces to fit on, and to test on")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    chosen = parser.parse_args()
    test = SyntheticFaces("test", chosen.count, chosen.size)
    truth = [load_truth(split, chosen.count, chosen.size) for split in ("validation", "test")]
    rows = evaluate_floors(*truth, test.fov)
    print(table(rows))
    make_folder(chosen.out.parent)
    record = {"command": "python -m benchmarks.floors", "data": test.fingerprint(), "figures": rows}
    write_text(chosen.out, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
