"""The paired notebooks of the book's chapters: made from the .py sources, and compared with them.

`python tests/book/pairs.py book/01_data.py` writes book/01_data.ipynb. The same source always gives the
same bytes, so that making a notebook again changes nothing.
"""

import sys
from pathlib import Path

import jupytext
import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks

FORMAT = "py:percent"


def read_source(source: Path) -> nbformat.NotebookNode:
    """The notebook that a .py source describes; the ids of its cells are their positions."""
    notebook = jupytext.read(source, fmt=FORMAT)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem.replace('_', '-')}-{number:02d}"
    return notebook


def difference(source: Path) -> str | None:
    """Where the notebook beside a source differs from it in text, code or tags; None where it does not."""
    paired = source.with_suffix(".ipynb")
    if not paired.exists():
        return f"{paired} is missing: make it with `make notebooks`."
    try:
        compare_notebooks(jupytext.read(paired), read_source(source), fmt=FORMAT, compare_outputs=False)
    except NotebookDifference as found:
        return f"{paired} and {source} differ: {found}"
    return None


if __name__ == "__main__":
    for name in sys.argv[1:]:
        nbformat.write(read_source(Path(name)), Path(name).with_suffix(".ipynb"))
