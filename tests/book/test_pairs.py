"""The chapters as they lie in the repository: pairs in step, small parameters that exist, thin code."""

import ast
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

from tests.book.pairs import difference, read_source

SOURCES = sorted(Path("book").glob("*.py"))
SMALL = Path("tests/book/small")
chapters = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)

SOURCE = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A chapter

# %% tags=["parameters"]
size = 4
"""


@chapters
def test_notebook_is_in_step_with_its_source(source):
    assert difference(source) is None


@chapters
def test_notebook_is_committed_light(source):
    paired = source.with_suffix(".ipynb")
    outputs = [o for cell in nbformat.read(paired, as_version=4).cells for o in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} <= {"stream"}, "text only: `make notebooks`"
    assert paired.stat().st_size < 100_000


@chapters
def test_chapter_has_one_parameters_cell_and_small_parameters_that_it_knows(source):
    tagged = [c for c in read_source(source).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    known = papermill.inspect_notebook(str(source.with_suffix(".ipynb")))
    small = yaml.safe_load((SMALL / f"{source.stem}.yaml").read_text())
    assert set(small) <= set(known), f"unknown: {set(small) - set(known)}"
    assert "out" in small, "the metrics are looked for in the folder that `out` names"


@chapters
def test_chapter_defines_nothing(source):
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
    assert not [node.lineno for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, kinds)]


def test_no_small_parameters_are_left_of_a_chapter_that_is_gone():
    assert {path.stem for path in SMALL.glob("*.yaml")} == {source.stem for source in SOURCES}


@pytest.fixture
def pair(tmp_path):
    source = tmp_path / "chapter.py"
    source.write_text(SOURCE)
    nbformat.write(read_source(source), source.with_suffix(".ipynb"))
    return source


def test_pair_check_passes_on_a_fresh_pair_and_forgives_outputs_and_ids(pair):
    notebook = nbformat.read(pair.with_suffix(".ipynb"), as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="4")]
    notebook.cells[1].id = "other"
    nbformat.write(notebook, pair.with_suffix(".ipynb"))
    assert difference(pair) is None


@pytest.mark.parametrize(
    "edit", [("size = 4", "size = 5"), ("# # A chapter", "# # Another"), ("parameters", "params")]
)
def test_pair_check_sees_code_text_and_tags(pair, edit):
    pair.write_text(SOURCE.replace(*edit))
    assert "differ" in difference(pair)


def test_pair_check_sees_a_missing_notebook(pair):
    pair.with_suffix(".ipynb").unlink()
    assert "make notebooks" in difference(pair)


def test_making_a_notebook_again_gives_the_same_bytes(pair):
    first = pair.with_suffix(".ipynb").read_bytes()
    nbformat.write(read_source(pair), pair.with_suffix(".ipynb"))
    assert pair.with_suffix(".ipynb").read_bytes() == first
