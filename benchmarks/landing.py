"""`python -m benchmarks.landing [MODEL]` makes the top of the front page, book/_assets/landing.html: a
picture, and beside it the face that the model makes of it, which turns, comes apart and goes together."""

import base64
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from igc import IGCNet
from igc.data import SyntheticFaces
from igc.figures import picture
from igc.framing import DRAWN
from igc.sliders import encoded
from igc.views3d import face_view

FACE = 255
"""Which test face it shows."""
SIDE = 256
"""Pixels of the picture, which is enlarged."""
TARGET = Path("book/_assets/landing.html")
PAGE = """<div class="igc-landing">
<figure><img class="dark-light" src="{source}" width="{side}" height="{side}"
alt="A drawn face, 64 pixels wide, on a plain ground">
<figcaption>One unlabelled picture</figcaption></figure>
<div class="igc-arrow" aria-hidden="true">→</div>
<figure><figcaption>Its solid parts</figcaption>{view}</figure>
</div>
"""


def landing(model: IGCNet, image: Tensor) -> str:
    """The HTML for a picture (3, S, S)."""
    with torch.no_grad():
        view = face_view(model, model(image[None]), motion="show", yaw=-20, apart=0.35)
    pixels = Image.fromarray(np.rint(255 * picture(image)).astype(np.uint8))
    large = np.asarray(pixels.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    source = f"data:image/webp;base64,{base64.b64encode(encoded(large, 'webp', quality=85)).decode()}"
    return PAGE.format(source=source, side=SIDE, view=view.html())


def main() -> None:
    model = IGCNet.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "synthetic-64")
    faces = SyntheticFaces("test", 256, model.config.size, frame=DRAWN[model.config.background])
    image = faces.batch([FACE], truth=False)["image"][0]
    TARGET.write_text(landing(model, image), encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
