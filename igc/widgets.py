"""An explorer: one face that the reader turns, tilts, zooms, relights and takes apart with sliders.

Where a kernel runs, the sliders are Jupyter widgets and every move draws the face anew. In a page without
a kernel, such as the built book, two plain HTML sliders move a window over a sheet of pictures that were
drawn beforehand: they need no script but their own line, and work from the keyboard. All of it is ours.
"""

import base64
import io

import numpy as np
import torch
from PIL import Image

from igc.figures import picture
from igc.model import IGCNet
from igc.outputs import Output
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


class Explorer:
    """What `explorer` returns; a notebook shows it when it is a cell's last value."""

    def __init__(self, model: IGCNet, face: Output):
        self.model, self.face = model, face

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """Widgets for where there is a kernel, where ipywidgets is installed, and HTML for all else."""
        bundle = {"text/plain": "explorer", "text/html": page(self.model, self.face)}
        try:
            shown = widgets(self.model, self.face)._repr_mimebundle_(**kwargs)
        except ImportError:
            return bundle
        return shown | bundle


def explorer(model: IGCNet, out: Output, item: int = 0) -> Explorer:
    """An explorer of face number `item` of `out`. IndexError where there is no such face."""
    return Explorer(model, one_face(out, item))


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
        drawn.value = _encoded(_pixels(model, face, parts=parts, size=2 * CELL, **asked), "png")

    for control in (*sliders.values(), *boxes):
        control.observe(draw, "value")
    draw()
    ticks = ipywidgets.GridBox(boxes, layout={"grid_template_columns": "repeat(3, 6em)"})
    return ipywidgets.HBox([drawn, ipywidgets.VBox([*sliders.values(), ticks])])


def page(model: IGCNet, face: Output) -> str:
    """The explorer as HTML that stands alone, with sliders for the yaw and the light; under 300 kB at 64
    pixels. `face` is a batch of one."""
    window = (
        f"width:{2 * CELL}px;max-width:100%;aspect-ratio:1;margin:0 auto;border-radius:6px;"
        f"background-size:{len(YAWS)}00% {len(LIGHTS)}00%;"
        f"background-position:{_place('yaw', YAWS)} {_place('light', LIGHTS)};"
        f"background-image:url(data:image/jpeg;base64,{base64.b64encode(sheet(model, face)).decode()})"
    )
    alternative = "A face, turned and lit as the two sliders below say"
    return (
        '<div class="igc-explorer" style="--yaw:0;--light:0;text-align:center">'
        f'<div role="img" aria-label="{alternative}" style="{window}"></div>'
        f"{_slider('yaw', 'yaw', YAWS)}{_slider('light', 'light', LIGHTS)}</div>"
    )


def sheet(model: IGCNet, face: Output) -> bytes:
    """A JPEG of the face from all `YAWS`, in columns, in all `LIGHTS`, in rows. It is drawn a little smaller,
    so that no face reaches into its neighbour's cell."""
    rows = [
        np.concatenate(
            [_pixels(model, face, yaw=yaw, light_x=light, zoom=0.9, size=CELL) for yaw in YAWS], axis=1
        )
        for light in LIGHTS
    ]
    return _encoded(np.concatenate(rows), "jpeg", quality=80)


def _pixels(model: IGCNet, face: Output, **asked) -> np.ndarray:
    """A view of the face, (T, T, 3) uint8; see `views.view`."""
    with torch.no_grad():
        return np.rint(255 * picture(view(model, face, **asked).image[0])).astype(np.uint8)


def _encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _place(name: str, stops: range) -> str:
    """Where the window lies along one axis of the sheet, as CSS, from the variable that a slider sets."""
    return f"calc((var(--{name}) - {stops[0]}) * 100% / {stops[-1] - stops[0]})"


def _slider(name: str, label: str, stops: range) -> str:
    """A labelled HTML slider that sets the variable `name` of the explorer around it and says its value."""
    move = (
        f"this.closest('.igc-explorer').style.setProperty('--{name}',this.value);"
        "this.nextElementSibling.value=this.value+'°'"
    )
    return (
        '<label style="display:block;margin-top:.4em">'
        f'<span style="display:inline-block;width:4em">{label}</span>'
        f'<input type="range" min="{stops[0]}" max="{stops[-1]}" step="{stops.step}" value="0" '
        f'style="width:12em;vertical-align:middle" oninput="{move}"> '
        '<output style="display:inline-block;width:4em">0°</output></label>'
    )
