"""`python -m igc.viewer FOLDER` writes the script and the style sheet of the 3D views, for pages to load."""

import argparse
from pathlib import Path

from igc import viewer
from igc.files import make_folder


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m igc.viewer", description=__doc__)
    parser.add_argument("folder", type=Path, help="where viewer.js and viewer.css go")
    folder = make_folder(parser.parse_args(arguments).folder)
    (folder / "viewer.js").write_text(viewer.script(), encoding="utf-8")
    (folder / "viewer.css").write_text(viewer.style(), encoding="utf-8")


if __name__ == "__main__":
    main()
