"""Figures of an analysis, in the book's style: `figures` has the colours."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from igc.analysis.importance import Effects
from igc.analysis.recognition import Verification
from igc.analysis.statistics import holm
from igc.figures import grid, label_picture, panels, part_colour, picture
from igc.model import IGCNet
from igc.outputs import Output
from igc.segment import labels
from igc.viewer import FaceView
from igc.views import from_front, one_face, seen_parts
from igc.views3d import surface_view

GREY = np.array([0.45, 0.45, 0.45])
"""Of components that are no part: the light."""


def method_bars(effects: dict[str, Effects], unit: str = "") -> Figure:
    """A panel a method: each component's importance with its 95 % interval over people."""
    figure, (axes,) = panels(1, len(effects), (2.6 * len(effects), 2.6))
    for axis, (method, found) in zip(axes, effects.items(), strict=True):
        said, parts = found.estimate(), max(part for part, _ in found.names) + 1
        for k, (part, cue) in enumerate(found.names):
            place = part + 1 + {"shape": -0.2, "albedo": 0.2}.get(cue, 0) if part >= 0 else parts + 1
            style = {"hatch": "///", "alpha": 0.55} if cue == "albedo" else {}
            colour = part_colour(part) if part >= 0 else GREY
            axis.bar(place, said.value[k], 0.38, color=colour, edgecolor="white", **style)
            axis.vlines(place, said.low[k], said.high[k], color="black", lw=1)
        axis.axhline(0, color="black", lw=0.5)
        axis.set_title(method, fontsize=9)
        others = sorted({cue for part, cue in found.names if part < 0})
        axis.set_xticks(range(1, parts + 1 + len(others)), [*range(1, parts + 1), *others])
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(unit, fontsize=8)
    figure.supxlabel("part (plain: shape, hatched: albedo)", fontsize=8)
    return figure


def roc(curves: dict[str, Verification]) -> Figure:
    """True over false accept rate, a line for each kind of features."""
    figure, ((axis,),) = panels(1, 1, (4.2, 3.6))
    for number, (name, found) in enumerate(curves.items()):
        value, low, high = found.area
        label = f"{name}: {value:.2f} [{low:.2f}, {high:.2f}]"
        axis.plot(found.false, found.true, color=part_colour(number), lw=1.4, label=label)
    axis.plot((0, 1), (0, 1), color="black", lw=0.5, ls=":")
    axis.set_xlabel("strangers accepted", fontsize=8)
    axis.set_ylabel("the same accepted", fontsize=8)
    axis.legend(frameon=False, fontsize=7, title="area under the curve", title_fontsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=7)
    return figure


def part_places(model: IGCNet, images: Tensor) -> Figure:
    """Which part is where, on a few of the images."""
    found = labels(model, images)
    return grid([[label_picture(label, face) for label, face in zip(found, images)],
                 [picture(face) for face in images]])  # fmt: skip


def importance_view(
    model: IGCNet, out: Output, effects: Effects, cue: str, item: int = 0, top: float | None = None
) -> FaceView:
    """A heat map in 3D: how important the shape, or the albedo, of each part is, on face number `item`.

    Yellow is `top` (the largest importance of any component, unless told), dark violet 0. A part is grey
    where its importance is not above 0 after Holm's correction over all components.
    """
    found = effects.estimate()
    sure = (found.value > 0) & (holm(found.p) < 0.05)
    top = top or max(float(found.value.max()), 1e-9)
    face = one_face(out, item)
    points, parts = from_front(model, face, seen_parts(model, face).to(face.depth))
    parts = parts[0].cpu().numpy()
    colours = np.full((*parts.shape[1:], 3), GREY)
    for m, place in enumerate(parts):
        k = effects.names.index((m, cue))
        if sure[k]:
            colours[place > 0.5] = colormaps["plasma"](min(1.0, found.value[k] / top))[:3]
    says = f"A face whose parts are coloured by how important their {cue} is; grey: not above 0."
    return surface_view(points[0], colours, parts.sum(axis=0) > 0.5, says, colour="albedo", motion="")
