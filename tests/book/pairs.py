"""The paired notebooks of the book's chapters: made from the .py sources, and compared with them.

`python tests/book/pairs.py book/01_data.py` writes book/01_data.ipynb. The same source always gives the
same bytes, and a notebook that is in step with its source is left as it is. With `--outputs FOLDER`, what the
executed copies in FOLDER printed (text only, no pictures) is put into the notebooks.
"""

import argparse
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


def with_printed_text(
    notebook: nbformat.NotebookNode, executed: nbformat.NotebookNode
) -> nbformat.NotebookNode:
    """`notebook` with what the cells of its executed copy printed; cells are matched by their source."""
    printed = {
        cell.source: "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
        for cell in executed.cells
        if cell.cell_type == "code"
    }
    for cell in notebook.cells:
        if cell.cell_type == "code" and printed.get(cell.source):
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed[cell.source])]
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--outputs", type=Path)
    chosen = parser.parse_args()
    for source in chosen.sources:
        paired = source.with_suffix(".ipynb")
        if chosen.outputs:
            executed = nbformat.read(chosen.outputs / paired.name, as_version=4)
            nbformat.write(with_printed_text(read_source(source), executed), paired)
        elif difference(source) is None:
            paired.touch()
        else:
            nbformat.write(read_source(source), paired)


if __name__ == "__main__":
    main()
