"""Which part, and its shape or its albedo, tells people apart (the paper's question; statistics are ours).

A face is described by 2 x M components: of each of M parts the shape and the albedo (`features`). The rooms:
`recognition` compares faces; `importance` asks which component carries a target, by four methods over the
`games` that components play; `swap` exchanges a component between two people in the image and asks a
recogniser that knows images alone; `statistics` has the intervals, all over people; `planted` holds the
methods against known answers. `python -m igc.analysis` does it for labelled images of one's own. Nothing here
may be used to identify real people.
"""

from igc.analysis.features import (
    CUES,
    LIGHT,
    Component,
    Description,
    allow_for,
    components,
    describe,
    joined,
    turns,
)
from igc.analysis.importance import METHODS, Effects, analyse
from igc.analysis.recognition import (
    Split,
    Verification,
    chance,
    halves,
    linear_probe,
    rank_one,
    recognise,
    split_gallery,
    split_views,
    verification,
)
from igc.analysis.statistics import Estimate, estimate, holm, interval, simulate_coverage

__all__ = [
    "CUES",
    "LIGHT",
    "METHODS",
    "Component",
    "Description",
    "Effects",
    "Estimate",
    "Split",
    "Verification",
    "allow_for",
    "analyse",
    "chance",
    "components",
    "describe",
    "estimate",
    "halves",
    "holm",
    "interval",
    "joined",
    "linear_probe",
    "rank_one",
    "recognise",
    "simulate_coverage",
    "split_gallery",
    "split_views",
    "turns",
    "verification",
]
