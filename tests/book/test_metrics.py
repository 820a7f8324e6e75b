"""What the chapters measured at small size lies in the bands of bands.yaml. Needs `make test-notebooks`."""

import json
import os
from pathlib import Path

import nbformat
import pytest
import yaml

HERE = Path(__file__).parent
CHAPTERS = sorted(path.stem for path in Path("book").glob("*.py"))
BANDS = yaml.safe_load((HERE / "bands.yaml").read_text()) or {}

ran = pytest.mark.skipif("CHAPTERS_RAN" not in os.environ, reason="the chapters did not run just now")
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def outside(metrics: dict, bands: dict) -> list[str]:
    """One sentence for each metric that is missing, no number, or outside of its band [low, high]."""
    found = []
    for name, (low, high) in bands.items():
        value = metrics.get(name)
        if not isinstance(value, int | float) or not low <= value <= high:
            found.append(f"{name} is {value}, which is not in [{low}, {high}]")
    return found


@each_chapter
def test_chapter_has_bands(chapter):
    assert BANDS.get(chapter), f"add the bands of {chapter} to tests/book/bands.yaml"
    assert all(low <= high for low, high in BANDS[chapter].values())


def test_values_out_of_band_are_seen():
    bands = {"a": [0, 1]}
    assert outside({"a": 0.5, "b": 7}, bands) == []
    for metrics in ({}, {"a": None}, {"a": "0.5"}, {"a": float("nan")}, {"a": 1.5}, {"a": -0.1}):
        assert len(outside(metrics, bands)) == 1


@ran
@each_chapter
def test_metrics_lie_in_their_bands(chapter):
    small = yaml.safe_load((HERE / "small" / f"{chapter}.yaml").read_text())
    metrics = json.loads((Path(small["out"]) / "metrics.json").read_text())
    assert outside(metrics, BANDS[chapter]) == []


@ran
@each_chapter
def test_chapter_ran_without_warnings(chapter):
    notebook = nbformat.read(Path("build/notebooks") / f"{chapter}.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not [text for text in printed if "Warning" in text]
