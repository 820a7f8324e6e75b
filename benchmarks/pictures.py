"""`python -m benchmarks.pictures [MODEL]` makes the picture of the front page, book/_assets/hero.png."""

import sys
from pathlib import Path

import torch

from igc import IGCNet, figures
from igc.data import SyntheticFaces
from igc.framing import DRAWN
from igc.segment import masks_to_labels

FACES = (255, 24, 72, 152)
"""Which test faces the picture shows."""
TARGET = Path("book/_assets/hero.png")


def main() -> None:
    model = IGCNet.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "synthetic-64")
    frame = DRAWN[model.config.background]
    images = SyntheticFaces("test", 256, model.config.size, frame=frame).batch(FACES)["image"]
    with torch.no_grad():
        out = model(images)
        views = figures.turned(model, out)
    labels = masks_to_labels(out.view_parts)
    rows = []
    for i, image in enumerate(images):
        face = out.parts.visibility[i, -1] < 0.5
        rows.append([
            figures.picture(image), figures.label_picture(labels[i], image), figures.picture(out.image[i]),
            figures.depth_picture(out.depth[i], face), figures.normal_picture(out.normal[i] * face),
            *(figures.picture(view[i]) for view in views),
        ])  # fmt: skip
    titles = ["image", "its parts", "drawn again", "depth", "normals", "", "", "turned", "", ""]
    figure = figures.grid(rows, titles, side=1.05)
    figure.savefig(TARGET, dpi=130)
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
