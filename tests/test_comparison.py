"""The records of the systems beside ours: read, put side by side, shown."""

import json

import numpy as np
import pytest
import torch

from igc import comparison
from igc.data import LABELS
from igc.data.label_images import label_image
from igc.errors import UserError
from igc.figures import TRUTH_COLOURS


def row(name, given=comparison.ALONE, **mean):
    return {
        "name": name, "given": given, "mean": mean, "spread": dict.fromkeys(mean, 0.01), "seeds": [0, 1, 2],
    }  # fmt: skip


ROWS = {"b": row("told", "true shapes", nmi=0.9), "a": row("sees", nmi=0.5, seconds=480.0), "c": row("blind")}


def colour(name):
    return tuple(bytes.fromhex(TRUTH_COLOURS[LABELS.index(name)][1:]))


def test_the_table_is_read_and_a_missing_one_names_the_command(tmp_path):
    with pytest.raises(UserError, match=r"table\.json.*python -m peers"):
        comparison.load(tmp_path)
    (tmp_path / "table.json").write_text(json.dumps({"made": {}, "rows": ROWS}))
    assert comparison.load(tmp_path)["rows"] == ROWS


def test_systems_that_are_told_some_truth_stand_below_a_line():
    lines = comparison.table(ROWS, {"nmi": 3, "seconds": 0}).splitlines()
    assert lines[0].split() == ["system", "nmi", "seconds"]
    assert lines[1].split() == ["sees", "0.500", "±0.010", "480"]
    assert lines[2].startswith("told some truth -") and lines[3].split() == ["told", "0.900", "±0.010", "-"]
    assert len(lines) == 4, "a system without any of the figures is left out"
    assert len({len(line) for line in lines}) == 1


def test_who_is_first_is_said_and_whether_the_spread_allows_it():
    lead = {"first": "ours", "second": "bands", "lead": 0.0812, "beyond_spread": True}
    text = comparison.standings({"nmi": lead, "mad": {**lead, "beyond_spread": False}})
    assert text.splitlines()[0].split(maxsplit=1) == [
        "nmi", "ours before bands by 0.081, more than the spread",
    ]  # fmt: skip
    assert text.splitlines()[1].endswith("not more than the spread")


def test_parts_take_the_colours_of_the_regions_that_they_fit(tmp_path):
    nose, lips = LABELS.index("nose"), LABELS.index("lips")
    truth = torch.zeros(2, 8, 8, dtype=torch.int64)
    truth[:, :4], truth[:, 4:6] = nose, lips
    found = torch.zeros(8, 16, dtype=torch.int64)
    found[:4], found[4:6], found[6:] = 2, 3, 1  # one part more than there are regions
    label_image(found).save(tmp_path / "a.seed0.png")
    faces = {"image": torch.rand(2, 3, 8, 8), "labels": truth}
    figure = comparison.strips(tmp_path, ROWS, faces)
    names = [axis.get_yticklabels()[0].get_text() for axis in figure.axes]
    assert names == ["face", "true regions", "sees"], "what left no picture is not shown"
    strip = figure.axes[2].images[0].get_array()
    assert tuple(strip[0, 0]) == colour("nose") and tuple(strip[5, 9]) == colour("lips")
    assert len(set(strip[7, 0])) == 1 and tuple(strip[7, 0]) not in (colour("nose"), (255, 255, 255))
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array()[5, 9], colour("lips"))


def test_a_picture_of_other_faces_is_named(tmp_path):
    label_image(torch.ones(4, 8, dtype=torch.int64)).save(tmp_path / "a.seed0.png")
    faces = {"image": torch.rand(2, 3, 8, 8), "labels": torch.ones(2, 8, 8, dtype=torch.int64)}
    with pytest.raises(UserError, match=r"a\.seed0\.png"):
        comparison.strips(tmp_path, ROWS, faces)
