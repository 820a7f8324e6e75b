"""A sheet of edited faces: what each part of another face does to a face, and the faces in between."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from igc.editing import blend, exchange
from igc.figures import label_picture, panels, picture
from igc.model import IGCNet
from igc.outputs import Output
from igc.segment import masks_to_labels
from igc.views import one_face, view

LIGHT = -40
"""Degrees to the right at which the light of the sheet stands: from the left, where relief shows."""
FRONT = {"size": 128}
"""How the faces of the sheet are seen; see `views.view`."""
ROWS = {
    "A with a\npart of B": ("shape", "albedo"),
    "only its\nshape": ("shape",),
    "only its\nalbedo": ("albedo",),
}
"""Names and cues of the rows of exchanged parts."""


def editing_sheet(model: IGCNet, images: Tensor, out: Output, receiver: int, giver: int) -> Figure:
    """Face A = `receiver` with parts of face B = `giver` of `out`, and the way from A to B.

    `images` are the photographs (B, 3, S, S). A column a part: where the part is in A; A with this part of
    B, with its shape alone, with its albedo alone; then all parts. The last row blends all parts. Everything
    but the photographs is seen from the front and lit from the left, so that only the faces differ.
    """
    number = out.parts.depth.shape[1]
    every = range(number)
    faces = [one_face(out, face) for face in (receiver, giver)]
    rows = [[picture(images[receiver]), *_places(model, faces[0]), picture(images[giver])]]
    start, end = (_front(model, face) for face in faces)
    for cues in ROWS.values():
        edited = [exchange(model, out, receiver, giver, parts, cues) for parts in (*every, every)]
        rows.append([start, *(_front(model, face) for face in edited), end])
    shares = np.linspace(0, 1, number + 3)
    rows.append([_front(model, blend(model, out, receiver, giver, share)) for share in shares])
    titles = ["A", *(f"part {m + 1}" for m in every), "all parts", "B"]
    figure = _named(rows, titles, ["photograph;\nparts of A", *ROWS, "all parts,\nfrom A to B"])
    for axis, share in zip(figure.axes[-len(shares) :], shares, strict=True):
        axis.set_xlabel(f"{100 * share:.0f} %", fontsize=8, labelpad=2)
    return figure


def _front(model: IGCNet, face: Output) -> np.ndarray:
    """A batch of one seen from the front, lit from the left."""
    return picture(view(model, face, light_x=LIGHT, **FRONT).image[0])


def _places(model: IGCNet, face: Output) -> list[np.ndarray]:
    """Where each part lies in the front view of a batch of one, and last all of them."""
    seen = view(model, face, **FRONT)
    labels, pale = masks_to_labels(seen.parts)[0], 0.4 * seen.image[0].clamp(0, 1) + 0.6
    every = range(1, seen.parts.shape[1] + 1)
    return [label_picture(labels * mine, pale, 0.8) for mine in (*(labels == m for m in every), labels > 0)]


def _named(rows: list[list[np.ndarray]], titles: list[str], names: list[str]) -> Figure:
    """Pictures in rows with a name each and columns with a title each."""
    figure, axes = panels(
        len(rows), len(titles), (0.95 * len(titles) + 0.8, 0.95 * len(rows) + 0.5), layout="compressed"
    )
    for line, row, name in zip(axes, rows, names, strict=True):
        for axis, shown in zip(line, row, strict=True):
            axis.imshow(shown, interpolation="nearest", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.02)
    return figure
