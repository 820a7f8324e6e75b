"""`python -m igc.data prepare` crops a face set once for all; `check` tells whether the result is whole."""

import argparse
import sys

from igc.data.crop import Detector
from igc.data.images import shown
from igc.data.prepare import PER_SHARD, check, prepare
from igc.data.sets import FETCHED, SETS, open_set
from igc.errors import UserError


def parser():
    main = argparse.ArgumentParser(prog="python -m igc.data", description=__doc__)
    commands = main.add_subparsers(dest="command", required=True)
    make = commands.add_parser("prepare", help="crop a set and write it, with manifest and report")
    make.add_argument("--set", required=True, choices=SETS, help="which set, or folder for any photographs")
    make.add_argument(
        "--root", default="", help=f"its folder or zip archive; not needed for {', '.join(FETCHED)}"
    )
    make.add_argument(
        "--out", required=True, help="an empty folder; or the one where this was begun, to go on"
    )
    make.add_argument("--size", type=int, default=64, help="pixels of a side, a multiple of 16")
    make.add_argument("--shards", action="store_true", help="write WebDataset shards instead of files")
    make.add_argument("--per-shard", type=int, default=PER_SHARD, help="images of a shard")
    make.add_argument("--workers", type=int, help="threads; by default one a core")
    make.add_argument(
        "--without", action="append", default=[], help="kind of file to do without, such as identity"
    )
    make.add_argument("--detector", help="YuNet's .onnx file, to find the faces with OpenCV")
    make.add_argument("--boxes", help="for folder: a CSV file with name, left, top, right, bottom")
    whole = commands.add_parser("check", help="tell whether a prepared set is whole")
    whole.add_argument("folder")
    return main


def run_prepare(chosen):
    options = {"split": "all", "size": chosen.size, "without": chosen.without}
    if chosen.per_shard < 1 or (chosen.workers is not None and chosen.workers < 1):
        raise UserError("--per-shard and --workers must be 1 or more.")
    if chosen.detector:
        options["detector"] = Detector(chosen.detector)
    if chosen.boxes:
        if chosen.set != "folder":
            raise UserError("--boxes goes with --set folder only: the other sets have frames of their own.")
        options["boxes"] = chosen.boxes
    dataset = open_set(chosen.set, chosen.root, **options)
    card = prepare(dataset, chosen.out, chosen.shards, chosen.per_shard, chosen.workers)
    print(f"{card['images']} images in {shown(chosen.out)}; {card['skipped']} left out, see report.txt there")
    return 0 if card["images"] else 1


def run_check(chosen):
    faults = check(chosen.folder)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{shown(chosen.folder)}: {f'{len(faults)} faults' if faults else 'whole'}")
    return 1 if faults else 0


def main(arguments=None):
    chosen = parser().parse_args(arguments)
    try:
        return run_prepare(chosen) if chosen.command == "prepare" else run_check(chosen)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: run the same command again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
