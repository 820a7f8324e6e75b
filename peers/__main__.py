"""`python -m peers --budget MINUTES --out DIR` fits all systems, measures them and prints a table.

For each system the three settings of its recorded search are fitted for `--search` minutes, and the one with
the smallest validation loss, for which no label is used, is fitted for `--budget` minutes with each seed. DIR
gets a JSON file a fit, a picture of the labels of twelve test faces a fit, and `table.json`. What is there
already is not done again: stop it whenever you like, and start it again.
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from pathlib import Path

import torch

import igc
from igc import comparison
from igc.data.label_images import label_image
from igc.errors import UserError
from igc.files import make_folder, write_text
from peers.base import IMAGES, Peer
from peers.board import Faces, figures, floor_rows, leaders, slug, summary, systems

AMISS = 0.05
"""By what share a fit's time may miss its budget before this is said."""
SEARCHED = 256
"""Validation faces that a setting is judged by."""
DIGITS = {
    "nmi": 3, "ari": 3, "iou": 3, "nme": 3, "turning": 3, "side": 3, "mad": 2, "rank1": 3,
    "rank1_looked": 3, "seconds": 0, "parameters": 0,
}  # fmt: skip
"""Of each figure in the table that is printed."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m peers", description=__doc__)
    parser.add_argument("--budget", type=float, default=8.0, help="minutes a fit")
    parser.add_argument("--out", required=True, help="folder for the records and the table")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="each system is fitted with each"
    )
    parser.add_argument("--search", type=float, default=3.0, help="minutes a fit while settings are searched")
    parser.add_argument("--peers", nargs="+", help="only these systems (default: all)")
    parser.add_argument("--images", type=int, default=4096, help="faces to fit on")
    parser.add_argument(
        "--count", type=int, default=1000, help="faces to test on, and to fit the landmarks on"
    )
    parser.add_argument("--size", type=int, default=64, help="pixels of a side")
    chosen = parser.parse_args(arguments)
    try:
        run(chosen)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on, with what is in {chosen.out}", file=sys.stderr)
        return 130
    return 0


def run(chosen: argparse.Namespace) -> dict:
    """Fits and measures what is not yet in the folder; writes, prints and returns the table."""
    for name in ("budget", "search"):
        if not getattr(chosen, name) > 0:
            raise UserError(f"--{name} must be above 0 minutes, not {getattr(chosen, name)}.")
    if chosen.count < 64 or chosen.images < 64:
        raise UserError("--images and --count must be at least 64: the regressions need people to fit on.")
    kinds = choose(systems(), chosen.peers)
    out, faces = make_folder(chosen.out), Faces(chosen.images, chosen.count, chosen.size)
    rows = {}
    for name, kind in kinds.items():
        setting = search(name, kind, faces, chosen.search, out)
        records = [seeded(name, kind, faces, chosen.budget, seed, setting, out) for seed in chosen.seeds]
        rows[name] = summary(kind, records)
        write_table(out, rows, faces, chosen)
    if not chosen.peers:
        rows |= floor_rows(faces)
    table = write_table(out, rows, faces, chosen)
    print(comparison.table(rows, DIGITS))
    print(comparison.standings(table["first"]))
    return table


def choose(kinds: dict[str, type[Peer]], wanted: list[str] | None) -> dict[str, type[Peer]]:
    """The systems that were asked for, in the table's order. UserError for a name that is none of them."""
    names = list(kinds) if wanted is None else [slug(name) for name in wanted]
    for name in names:
        if name not in kinds:
            raise UserError(f"--peers {name} is not a system: choose from {', '.join(kinds)}.")
    return {name: kind for name, kind in kinds.items() if name in names}


def search(name: str, kind: type[Peer], faces: Faces, minutes: float, out: Path) -> dict:
    """The setting with the smallest validation loss; the first one where there is nothing to choose."""
    if len(kind.settings) < 2:
        return dict(kind.settings[0])
    losses = []
    for number, setting in enumerate(kind.settings):
        key = {"peer": name, "setting": setting, "seed": 0, "minutes": minutes} | faces.key()

        def measure(peer: Peer) -> dict:
            return {"validation_loss": peer.validation_loss(faces.validation["image"][:SEARCHED])}

        path = out / f"{name}.search{number}.json"
        try:
            loss = recorded(path, key, kind, faces, measure)["validation_loss"]
        except UserError as error:  # of a learning rate that is too high, say
            print(f"{path.stem}: {error}", file=sys.stderr)
            loss = math.inf
        if loss is None:
            return dict(kind.settings[0])
        losses.append(math.inf if math.isnan(loss) else loss)
    return dict(kind.settings[losses.index(min(losses))])


def seeded(name, kind: type[Peer], faces: Faces, minutes: float, seed: int, setting: dict, out: Path) -> dict:
    """The record of one fit of the chosen setting, with all figures."""
    path = out / f"{name}.seed{seed}.json"
    key = {"peer": name, "setting": setting, "seed": seed, "minutes": minutes} | faces.key()

    def measure(peer: Peer) -> dict:
        show(peer, faces, path.with_suffix(".png"))
        return {"figures": figures(peer, faces)}

    return recorded(path, key, kind, faces, measure)


def recorded(path: Path, key: dict, kind: type[Peer], faces: Faces, measure) -> dict:
    """The record in `path` if it is of the same key; else fits, measures and writes it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if {name: record.get(name) for name in key} == key:
            return record
    except (OSError, ValueError, AttributeError):
        pass
    peer = kind(faces.size, seed=key["seed"], **key["setting"])
    dataset = faces.train if kind.given == IMAGES else faces.drawn
    print(f"{path.stem}: fitting", file=sys.stderr, flush=True)
    started = time.perf_counter()
    peer.fit(dataset, key["minutes"])
    seconds = time.perf_counter() - started
    wanted = 60 * key["minutes"]
    if seconds > 0.5 * wanted and abs(seconds / wanted - 1) > AMISS:
        amiss = f"{seconds:.0f} s in place of {wanted:.0f}, as the machine was busier at times"
        print(f"{path.stem}: {amiss}; remove {path.name} and run this again for a fair fit", file=sys.stderr)
    record = key | {"seconds": round(seconds, 1), "parameters": peer.parameters} | measure(peer)
    record["machine"] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "threads": torch.get_num_threads(),
        "igc": igc.__version__, "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip
    write_text(path, json.dumps(record, indent=2) + "\n")
    return record


def show(peer: Peer, faces: Faces, path: Path) -> None:
    """The labels of the test faces that are shown, beside each other, as a picture whose pixels are them."""
    chosen = comparison.shown(faces.count)
    labels = peer.labels(faces.test["image"][chosen])
    if labels is not None:
        label_image(torch.cat(list(labels), dim=1)).save(path)


def write_table(out: Path, rows: dict, faces: Faces, chosen: argparse.Namespace) -> dict:
    """Writes `table.json`: what was done, the rows, and who is first."""
    made = {
        "budget_minutes": chosen.budget,
        "search_minutes": chosen.search,
        "seeds": chosen.seeds,
    } | faces.key()
    table = {"made": made, "rows": rows, "first": leaders(rows)}
    write_text(out / "table.json", json.dumps(table, indent=2) + "\n")
    return table


if __name__ == "__main__":
    sys.exit(main())
