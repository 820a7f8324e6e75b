"""An editor, which gives a part of one face to another.

Where a kernel runs, its sliders are Jupyter widgets and every move draws the face anew. In a page without
a kernel, such as the built book, plain HTML sliders move a window over a sheet of pictures that were
drawn beforehand: they need no script but their own line, and work from the keyboard. All of it is ours.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from igc.editing import CUES, blend
from igc.figures import picture
from igc.model import IGCNet
from igc.outputs import Output
from igc.sliders import along, encoded, slider, widget, window
from igc.viewer import bundle
from igc.views import one_face, view

CELL = 128
"""Pixels of a picture in the sheet."""
SHARES = range(0, 101, 25)
"""Stops of the editor's page for the share of the giver, in per cent."""
GIVERS = 3
"""Faces at most that the editor's page has for giving."""
TAKEN = {"both": CUES, "shape": ("shape",), "albedo": ("albedo",)}
"""What the editor takes of a part, by the names that it shows."""


class Editor:
    """What `editor` returns; a notebook shows it when it is a cell's last value."""

    def __init__(self, model: IGCNet, images: Tensor, out: Output, receiver: int):
        self.asked = model, images, out, receiver

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """Widgets for where there is a kernel, where ipywidgets is installed, and HTML for all else."""
        return bundle("editor", editor_page(*self.asked), lambda: editor_widgets(*self.asked), **kwargs)


def editor(model: IGCNet, images: Tensor, out: Output, receiver: int = 0) -> Editor:
    """An editor of the faces of `out`, two or more, with their photographs `images` (B, 3, S, S).

    The reader chooses who receives and who gives, which part, its shape, its albedo or both, and how much of
    it. In a page without a kernel face number `receiver` receives; with one, it is where the menu starts.
    ValueError where there are fewer than two faces, IndexError where there is no such receiver.
    """
    if len(images) != len(out.pose) or len(images) < 2:
        raise ValueError(
            f"an editor needs two faces or more and a photograph of each, not {len(out.pose)} faces "
            f"and {len(images)} photographs"
        )
    if not 0 <= receiver < len(images):
        raise IndexError(f"there are {len(images)} faces, numbered from 0; {receiver} is none")
    return Editor(model, images, out, receiver)


def editor_widgets(model: IGCNet, images: Tensor, out: Output, receiving: int = 0):
    """Jupyter widgets (an `ipywidgets.VBox`): the photographs of the receiver and the giver, between them the
    edited face, and menus and sliders. Needs ipywidgets, an extra of the book; ImportError without it."""
    import ipywidgets

    faces = [(f"face {i + 1}", i) for i in range(len(images))]
    parts = [("all", None), *((f"part {m + 1}", m) for m in range(out.parts.depth.shape[1]))]
    menu, ranged = ipywidgets.Dropdown, ipywidgets.IntSlider
    receiver = menu(options=faces, value=receiving, description="receives")
    giver = menu(options=faces, value=_givers(images, receiving)[0], description="gives")
    part = menu(options=parts, value=None, description="part")
    cues = menu(options=list(TAKEN), description="cue")
    share = ranged(value=100, min=0, max=100, step=5, description="share, %")
    yaw = ranged(value=0, min=-90, max=90, step=5, description="yaw")
    side = {"format": "png", "width": 2 * CELL, "height": 2 * CELL}
    shown = [ipywidgets.Image(**side) for _ in range(3)]

    def draw(_=None) -> None:
        pair = receiver.value, giver.value
        with torch.no_grad():
            face = blend(model, out, *pair, share.value / 100, part.value, TAKEN[cues.value])
        edited = _pixels(model, face, yaw=yaw.value, size=2 * CELL)
        for drawn, pixels in zip(shown, (_photo(images[pair[0]]), edited, _photo(images[pair[1]]))):
            drawn.value = encoded(pixels, "png")

    controls = [receiver, giver, part, cues, share, yaw]
    for control in controls:
        control.observe(draw, "value")
    draw()
    return ipywidgets.VBox([ipywidgets.HBox(shown), ipywidgets.VBox(controls)])


def editor_page(model: IGCNet, images: Tensor, out: Output, receiver: int = 0) -> str:
    """The editor as HTML that stands alone: the face that receives is fixed, and sliders choose which of the
    others gives (`GIVERS` at most), the part, the cue and the share; about 300 kB at 64 pixels."""
    givers, cues = _givers(images, receiver), list(TAKEN)
    parts = ["all", *(f"part {m + 1}" for m in range(out.parts.depth.shape[1]))]
    cells = len(parts) * len(SHARES), len(givers) * len(cues)
    across = along(f"var(--part) * {len(SHARES)} + var(--share) / {SHARES.step}", cells[0] - 1)
    down = along(f"var(--giver) * {len(cues)} + var(--cue)", cells[1] - 1)
    strip = along("var(--giver)", len(givers) - 1)
    received = encoded(_photo(images[receiver]), "webp")
    gave = encoded(np.concatenate([_photo(images[giver]) for giver in givers]), "webp")
    edited = editor_sheet(model, out, receiver, givers)
    windows = {
        "receives": window("The face that receives", received, "webp", (1, 1), ("0", "0"), 2 * CELL),
        "edited": window("The edited face", edited, "webp", cells, (across, down), 2 * CELL),
        "gives": window("The face that gives", gave, "webp", (1, len(givers)), ("0", strip), 2 * CELL),
    }
    shown = (f'<div style="flex:1;min-width:0">{drawn}{name}</div>' for name, drawn in windows.items())
    return widget(
        {"giver": 0, "part": 0, "cue": 0, "share": 100},
        f'<div style="display:flex;gap:.5em">{"".join(shown)}</div>',
        slider("giver", "gives", range(len(givers)), words=[f"face {giver + 1}" for giver in givers]),
        slider("part", "part", range(len(parts)), words=parts),
        slider("cue", "cue", range(len(cues)), words=cues),
        slider("share", "share", SHARES, 100, " %"),
    )


def editor_sheet(model: IGCNet, out: Output, receiver: int, givers: list[int]) -> bytes:
    """A WebP of face number `receiver` of `out`, edited: rows are the `givers` times what is taken (`TAKEN`);
    columns are all parts and then each part, times the `SHARES`."""
    parts = [None, *range(out.parts.depth.shape[1])]
    own = _pixels(model, one_face(out, receiver), zoom=0.9, size=CELL)

    @torch.no_grad()
    def edited(giver: int, cues: tuple, part: int | None, share: int) -> np.ndarray:
        if not share:
            return own
        face = blend(model, out, receiver, giver, share / 100, part, cues)
        return _pixels(model, face, zoom=0.9, size=CELL)

    rows = [
        np.concatenate([edited(giver, cues, part, share) for part in parts for share in SHARES], axis=1)
        for giver in givers
        for cues in TAKEN.values()
    ]
    return encoded(np.concatenate(rows), "webp", quality=70)


def _givers(images: Tensor, receiver: int) -> list[int]:
    """The faces other than the `receiver` that a page has for giving."""
    return [face for face in range(len(images)) if face != receiver][:GIVERS]


def _pixels(model: IGCNet, face: Output, **asked) -> np.ndarray:
    """A view of the face, (T, T, 3) uint8; see `views.view`."""
    with torch.no_grad():
        return np.rint(255 * picture(view(model, face, **asked).image[0])).astype(np.uint8)


def _photo(image: Tensor) -> np.ndarray:
    """A photograph (3, S, S) as large as a face is drawn, uint8."""
    pixels = np.rint(255 * picture(image)).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((2 * CELL, 2 * CELL), Image.Resampling.BICUBIC))
