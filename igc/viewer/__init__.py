"""A face that turns, in a page and in a notebook: `viewer.js` draws it, `views3d` packs it.

In the built book the script is one file that all pages share, made by `python -m igc.viewer FOLDER`; a view
is a few kilobytes of numbers and a still picture, which stays where there is no WebGL. Where a kernel runs,
the same script is the module of an anywidget, whose traits follow the reader and move the view. Ours.
"""

import base64
import html
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

HOME = Path(__file__).parent
STATE = {
    "yaw": 0, "pitch": 0, "apart": 0.0, "light_x": -30, "light_y": -25, "colour": "albedo", "hidden": [],
    "motion": "turn",
}  # fmt: skip
"""What a view starts with: angles in degrees with the signs of `views.view`, how far the parts are pulled
apart (0 to 1), what is shown ("albedo", "part" or "clay"), the numbers of hidden parts (from 0), and how it
moves until it is touched ("turn", "show", which takes the parts apart as well, or "" for not at all)."""


class FaceView:
    """What the functions of `views3d` return; a notebook shows it when it is a cell's last value."""

    def __init__(self, face: dict, still: bytes, **begin):
        """`face` as `views3d` packs it, a WebP that stands for it, and what of `STATE` is different.
        ValueError for a name that is not in `STATE`."""
        if unknown := sorted(set(begin) - set(STATE)):
            raise ValueError(f"a view has no {unknown[0]!r}: choose from {', '.join(STATE)}")
        self.face, self.still, self.begin = face, still, STATE | begin

    def html(self) -> str:
        """The view for a page that loads the script; without it, the still picture."""
        told = json.dumps({"face": self.face, "begin": self.begin}, separators=(",", ":"))
        source = f"data:image/webp;base64,{base64.b64encode(self.still).decode()}"
        says = html.escape(self.face["says"])
        return (
            f'<div class="igc-view"><img class="dark-light" src="{source}" alt="{says}">'
            f'<script type="application/json">{told}</script></div>'
        )

    def widget(self):
        """The view as a Jupyter widget, whose traits are those of `STATE`. Needs anywidget, an extra of the
        book; ImportError without it."""
        return _widget_class()(face=self.face, **self.begin)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        return bundle("3D view", self.html(), self.widget, **kwargs)


def bundle(name: str, page: str, live: Callable, **kwargs) -> dict:
    """What a notebook is told: the widget that `live` makes where it can be made, HTML for all else."""
    told = {"text/plain": name, "text/html": page}
    try:
        shown = live()._repr_mimebundle_(**kwargs)
    except ImportError:
        return told
    return (shown[0] if isinstance(shown, tuple) else shown) | told


def style() -> str:
    """The style sheet of views."""
    return (HOME / "viewer.css").read_text(encoding="utf-8")


def module() -> str:
    """The script as an ES module, for anywidget."""
    return (HOME / "viewer.js").read_text(encoding="utf-8")


def script() -> str:
    """The same as a plain script: pages that are opened from a disk may not load modules."""
    body, _ = module().rsplit("export default", 1)
    return f'"use strict";\n(() => {{\n{body}}})();\n'


@lru_cache
def _widget_class() -> type:
    """The anywidget; made when it is asked for, so that the package does without Jupyter."""
    import anywidget
    import traitlets

    def synced(kind, *args):
        return kind(*args).tag(sync=True)

    class FaceWidget(anywidget.AnyWidget):
        _esm, _css = module(), style()
        face = synced(traitlets.Dict)
        yaw, pitch, light_x, light_y = (synced(traitlets.Float) for _ in range(4))
        apart = traitlets.Float(min=0, max=1).tag(sync=True)
        colour = synced(traitlets.Enum, ("albedo", "part", "clay"))
        hidden = synced(traitlets.List)
        motion = synced(traitlets.Enum, ("", "turn", "show"))

    return FaceWidget
