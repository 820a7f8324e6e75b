"""Pictures that plain HTML sliders move: a window over a sheet of pictures that were drawn beforehand.

What a slider says becomes a CSS variable of the element around it, and the window's place on the sheet is
computed from these variables. It needs no script but one line in each slider, and works from the keyboard.
"""

import base64
import io

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    """Pixels (H, W, 3) uint8 as an image file of a `kind` that Pillow knows."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def widget(start: dict[str, int], *inside: str) -> str:
    """The element around windows and sliders, with the variables at their `start`."""
    variables = "".join(f"--{name}:{value};" for name, value in start.items())
    return f'<div class="igc-widget" style="{variables}text-align:center">{"".join(inside)}</div>'


def window(
    says: str, sheet: bytes, kind: str, cells: tuple[int, int], place: tuple[str, str], side: int
) -> str:
    """A square window, `side` CSS pixels wide or less, over one of `cells` (columns, rows) of the image file
    `sheet`, at `place` (across, down; see `along`). `says` is for those who cannot see it."""
    style = (
        f"width:{side}px;max-width:100%;aspect-ratio:1;margin:0 auto;border-radius:6px;"
        f"background-size:{cells[0]}00% {cells[1]}00%;background-position:{place[0]} {place[1]};"
        f"background-image:url(data:image/{kind};base64,{base64.b64encode(sheet).decode()})"
    )
    return f'<div role="img" aria-label="{says}" style="{style}"></div>'


def along(where: str, last: int) -> str:
    """Where a window lies along one axis of a sheet, as CSS: at `where`, a term of variables that runs from
    0 to `last`."""
    return f"calc(({where}) * 100% / {max(1, last)})"


def slider(
    name: str, label: str, stops: range, start: int = 0, unit: str = "", words: list[str] | None = None
) -> str:
    """A labelled slider that sets the variable `name` of the widget around it, and says its value with its
    `unit`, or the one of `words` that its value counts to."""
    value = "this.dataset.words.split('|')[this.value]" if words else f"this.value+'{unit}'"
    move = (
        f"this.closest('.igc-widget').style.setProperty('--{name}',this.value);"
        f"this.nextElementSibling.value={value}"
    )
    listed = f'data-words="{"|".join(words)}" ' if words else ""
    return (
        '<label style="display:block;margin-top:.4em">'
        f'<span style="display:inline-block;width:4em">{label}</span>'
        f'<input type="range" min="{stops[0]}" max="{stops[-1]}" step="{stops.step}" value="{start}" '
        f'{listed}style="width:12em;vertical-align:middle" oninput="{move}"> '
        '<output style="display:inline-block;width:4em">'
        f"{words[start] if words else f'{start}{unit}'}</output></label>"
    )
