"""Leaves out of a book what no reader of its pages can use.

`slim.py notebooks FOLDER`, before the pages are built, takes the states of widgets, which are dead without a
kernel, out of executed notebooks, and hides the cell that papermill put in. `slim.py pages FOLDER`,
afterwards, takes source maps, the translations of Sphinx, those parts of MathJax that the pages do not load,
and a script that the theme gives twice, which is an error, out of built pages. Prints what is left.
"""

import argparse
import re
import shutil
from pathlib import Path

import nbformat

INJECTED = "injected-parameters"
WIDGETS = "application/vnd.jupyter.widget-view+json"
MATHJAX = {"tex-chtml.js", "input", "output", "a11y", "ui", "sre"}
"""What tex-chtml.js may load: fonts, further commands, and from the menu of a formula other output."""
SPEECH = {"base.json", "en.json", "nemeth.json"}
"""Of the speech rules for formulas: these tell English readers."""
TWICE = re.compile(r"<script>const THEBE_JS_URL = .*?</script>", re.DOTALL)


def slim_notebooks(folder: Path) -> None:
    """Takes widgets out of the executed notebooks in `folder`, where they have another form as well, and
    hides the cell in which papermill says where the run wrote."""
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata.pop("widgets", None)
        for cell in notebook.cells:
            if INJECTED in cell.metadata.get("tags", []):
                cell.metadata.tags.append("remove-cell")
            for output in cell.get("outputs", []):
                if len(output.get("data", {})) > 2:
                    output["data"].pop(WIDGETS, None)
        nbformat.write(notebook, path)


def slim_pages(folder: Path) -> None:
    """Takes out of the built pages in `folder` what they do not load."""
    static = folder / "_static"
    maps = [*static.rglob("*.js.map"), *static.rglob("*.css.map")]
    mathjax = [path for path in (static / "mathjax").glob("*") if path.name not in MATHJAX]
    speech = [path for path in (static / "mathjax/sre/mathmaps").glob("*") if path.name not in SPEECH]
    for path in (static / "locales", *maps, *mathjax, *speech):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        _, *again = TWICE.finditer(text) if TWICE.search(text) else [None]
        for script in reversed(again):
            text = text[: script.start()] + text[script.end() :]
        path.write_text(text, encoding="utf-8")


def megabytes(folder: Path) -> float:
    """How much the files in `folder` hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("notebooks", "pages"))
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    before = megabytes(chosen.folder)
    {"notebooks": slim_notebooks, "pages": slim_pages}[chosen.what](chosen.folder)
    print(f"{chosen.folder}: {before:.1f} MB before, {megabytes(chosen.folder):.1f} MB now")


if __name__ == "__main__":
    main()
