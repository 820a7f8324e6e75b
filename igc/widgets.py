"""An explorer: one face that the reader turns, tilts, zooms, relights and takes apart with sliders; and an
editor, which gives a part of one face to another.

Where a kernel runs, the sliders are Jupyter widgets and every move draws the face anew. In a page without
a kernel, such as the built book, plain HTML sliders move a window over a sheet of pictures that were
drawn beforehand: they need no script but their own line, and work from the keyboard. All of it is ours.
"""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from igc.editing import CUES, blend
from igc.figures import picture
from igc.model import IGCNet
from igc.outputs import Output
from igc.sliders import along, encoded, slider, widget, window
from igc.views import one_face, view

YAWS = range(-60, 61, 10)
"""Stops of the page's slider for yaw, in degrees."""
LIGHTS = range(-60, 61, 20)
"""Stops of the page's slider for the light from left to right, in degrees."""
CELL = 128
"""Pixels of a picture in the sheet."""
SLIDERS = {
    "yaw": (0, -90, 90, 5), "pitch": (0, -45, 45, 5), "zoom": (1.0, 0.5, 4.0, 0.1),
    "light_x": (0, -90, 90, 5), "light_y": (0, -90, 90, 5),
}  # fmt: skip
"""Of the widgets: start, lowest, highest, step. Names as in `views.view`; all but zoom in degrees."""
SHARES = range(0, 101, 25)
"""Stops of the editor's page for the share of the giver, in per cent."""
GIVERS = 3
"""Faces at most that the editor's page has for giving."""
TAKEN = {"both": CUES, "shape": ("shape",), "albedo": ("albedo",)}
"""What the editor takes of a part, by the names that it shows."""


class Explorer:
    """What `explorer` returns; a notebook shows it when it is a cell's last value."""

    def __init__(self, model: IGCNet, face: Output):
        self.model, self.face = model, face

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """Widgets for where there is a kernel, where ipywidgets is installed, and HTML for all else."""
        mine = self.model, self.face
        return _bundle("explorer", page(*mine), lambda: widgets(*mine), **kwargs)


def explorer(model: IGCNet, out: Output, item: int = 0) -> Explorer:
    """An explorer of face number `item` of `out`. IndexError where there is no such face."""
    return Explorer(model, one_face(out, item))


class Editor:
    """What `editor` returns; a notebook shows it when it is a cell's last value."""

    def __init__(self, model: IGCNet, images: Tensor, out: Output, receiver: int):
        self.asked = model, images, out, receiver

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """As that of `Explorer`."""
        return _bundle("editor", editor_page(*self.asked), lambda: editor_widgets(*self.asked), **kwargs)


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


def _bundle(name: str, html: str, live: Callable, **kwargs) -> dict:
    """What a notebook is told: widgets for where there is a kernel and ipywidgets, and HTML for all else."""
    bundle = {"text/plain": name, "text/html": html}
    try:
        shown = live()._repr_mimebundle_(**kwargs)
    except ImportError:
        return bundle
    return shown | bundle


def widgets(model: IGCNet, face: Output):
    """Jupyter widgets (an `ipywidgets.HBox`): the face, sliders as in `SLIDERS`, and a box for each part.

    `face` is a batch of one. Needs ipywidgets, an extra of the book; ImportError without it.
    """
    import ipywidgets

    sliders = {
        name: (ipywidgets.FloatSlider if name == "zoom" else ipywidgets.IntSlider)(
            value=start, min=low, max=high, step=step, description=name.replace("_", " ")
        )
        for name, (start, low, high, step) in SLIDERS.items()
    }
    boxes = [
        ipywidgets.Checkbox(value=True, description=f"part {m + 1}", indent=False)
        for m in range(face.parts.depth.shape[1])
    ]
    drawn = ipywidgets.Image(format="png", width=2 * CELL, height=2 * CELL)

    def draw(_=None) -> None:
        asked = {name: slider.value for name, slider in sliders.items()}
        parts = [m for m, box in enumerate(boxes) if box.value]
        drawn.value = encoded(_pixels(model, face, parts=parts, size=2 * CELL, **asked), "png")

    for control in (*sliders.values(), *boxes):
        control.observe(draw, "value")
    draw()
    ticks = ipywidgets.GridBox(boxes, layout={"grid_template_columns": "repeat(3, 6em)"})
    return ipywidgets.HBox([drawn, ipywidgets.VBox([*sliders.values(), ticks])])


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


def page(model: IGCNet, face: Output) -> str:
    """The explorer as HTML that stands alone, with sliders for the yaw and the light; under 300 kB at 64
    pixels. `face` is a batch of one."""
    places = [
        along(f"var(--{name}) - {r[0]}", r[-1] - r[0]) for name, r in (("yaw", YAWS), ("light", LIGHTS))
    ]
    says = "A face, turned and lit as the two sliders below say"
    drawn = window(says, sheet(model, face), "jpeg", (len(YAWS), len(LIGHTS)), places, 2 * CELL)
    moved = slider("yaw", "yaw", YAWS, unit="°"), slider("light", "light", LIGHTS, unit="°")
    return widget({"yaw": 0, "light": 0}, drawn, *moved)


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


def sheet(model: IGCNet, face: Output) -> bytes:
    """A JPEG of the face from all `YAWS`, in columns, in all `LIGHTS`, in rows. It is drawn a little smaller,
    so that no face reaches into its neighbour's cell."""
    rows = [
        np.concatenate(
            [_pixels(model, face, yaw=yaw, light_x=light, zoom=0.9, size=CELL) for yaw in YAWS], axis=1
        )
        for light in LIGHTS
    ]
    return encoded(np.concatenate(rows), "jpeg", quality=80)


def _pixels(model: IGCNet, face: Output, **asked) -> np.ndarray:
    """A view of the face, (T, T, 3) uint8; see `views.view`."""
    with torch.no_grad():
        return np.rint(255 * picture(view(model, face, **asked).image[0])).astype(np.uint8)


def _photo(image: Tensor) -> np.ndarray:
    """A photograph (3, S, S) as large as a face is drawn, uint8."""
    pixels = np.rint(255 * picture(image)).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((2 * CELL, 2 * CELL), Image.Resampling.BICUBIC))
