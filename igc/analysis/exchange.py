"""A game for readers: pick two people, give one a part of the other, and watch a recogniser's score.

Every combination is drawn beforehand; menus in a notebook and sliders in a page without a kernel choose among
the drawings (see `sliders`). All of it is ours.
"""

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from igc.analysis.features import CUES, Component
from igc.analysis.observed import Atlas
from igc.analysis.recognition import halves
from igc.analysis.swap import Recogniser, changed, drawn_changes, person_means
from igc.errors import UserError
from igc.figures import picture
from igc.model import IGCNet
from igc.sliders import along, encoded, slider, widget, window
from igc.viewer import bundle

SIDES, CELL = 3, 112
"""People on either side; pixels of a drawing."""
TAKEN = {"both": CUES, "shape": ("shape",), "albedo": ("albedo",)}


class Exchange:
    """What `exchange` returns; a notebook shows it when it is a cell's last value."""

    def __init__(self, photos: list, drawings: np.ndarray, scores: np.ndarray):
        self.photos, self.drawings, self.scores = photos, drawings, scores
        self.parts = ["all", *(f"part {m}" for m in range(1, scores.shape[2]))]

    def page(self) -> str:
        """HTML that stands alone."""
        a, b, parts, cues = self.scores.shape
        rows = self.drawings.transpose(0, 1, 4, 2, 3, 5, 6).reshape(a * b * CELL, -1, 3)
        # (a, b, y, part, cue, x, channel): a row of cells a pair, a column a part and cue
        sheet = encoded(np.ascontiguousarray(rows), "webp", quality=75)
        across = along(f"var(--part) * {cues} + var(--cue)", parts * cues - 1)
        down = along(f"var(--a) * {b} + var(--b)", a * b - 1)
        shown = [self._photo(0, "a"), ("A with B's part", sheet, (parts * cues, a * b), (across, down)),
                 self._photo(1, "b")]  # fmt: skip
        drawn = (
            f'<div style="flex:1;min-width:0">{window(*each[:2], "webp", *each[2:], 2 * CELL)}{each[0]}</div>'
            for each in shown
        )
        return widget(
            {"a": 0, "b": 0, "part": 0, "cue": 0},
            f'<div style="display:flex;gap:.5em">{"".join(drawn)}</div>',
            slider("a", "A is", range(a), words=[f"person {i + 1}" for i in range(a)]),
            slider("b", "B is", range(b), words=[f"person {a + i + 1}" for i in range(b)]),
            slider("part", "part", range(parts), words=self.parts),
            slider("cue", "cue", range(cues), words=list(TAKEN)),
        )

    def _photo(self, side: int, name: str) -> tuple:
        strip = encoded(np.concatenate(self.photos[side]), "webp")
        count = len(self.photos[side])
        return "AB"[side], strip, (1, count), ("0", along(f"var(--{name})", count - 1))

    def widgets(self):
        """Jupyter widgets. Needs ipywidgets, an extra of the book; ImportError without it."""
        import ipywidgets

        a, b = (len(side) for side in self.photos)
        menus = [
            ipywidgets.Dropdown(options=[(word, i) for i, word in enumerate(words)], description=name)
            for name, words in (
                ("A is", [f"person {i + 1}" for i in range(a)]),
                ("B is", [f"person {a + i + 1}" for i in range(b)]),
                ("part", self.parts), ("cue", list(TAKEN)),
            )
        ]  # fmt: skip
        shown = [ipywidgets.Image(format="png", width=2 * CELL, height=2 * CELL) for _ in range(3)]

        def draw(_=None) -> None:
            at = tuple(menu.value for menu in menus)
            pictures = self.photos[0][at[0]], self.drawings[at], self.photos[1][at[1]]
            for image, pixels in zip(shown, pictures):
                image.value = encoded(np.ascontiguousarray(pixels), "png")

        for menu in menus:
            menu.observe(draw, "value")
        draw()
        return ipywidgets.VBox([ipywidgets.HBox(shown), ipywidgets.HBox(menus)])

    def _repr_mimebundle_(self, **kwargs) -> dict:
        return bundle("swap parts and watch the recogniser", self.page(), self.widgets, **kwargs)


@torch.no_grad()
def exchange(
    model: IGCNet, images: Tensor, identity: np.ndarray, parts: dict[Component, np.ndarray], atlas: Atlas,
    seed: int = 0,
) -> Exchange:  # fmt: skip
    """The game with the first six people; arguments as `swap.swap` takes them.

    Under each drawing a bar says how far the recogniser puts the face on the way from A to B; `scores` has
    the same numbers (3, 3, M + 1, 3): who receives, who gives, all parts or one, both cues or one. UserError
    where there are fewer than six people.
    """
    split = halves(identity)
    people = np.unique(identity)
    if len(people) < 2 * SIDES:
        raise UserError(f"the game needs {2 * SIDES} people, not {len(people)}: bring images of more.")
    recogniser = Recogniser(images[split.gallery], identity[split.gallery], seed)
    yaw = torch.cat([model(batch).pose[:, 1] for batch in images.split(64)]).abs().numpy()
    front = [min(split.probes[identity[split.probes] == who], key=lambda i: yaw[i]) for who in people[:6]]
    one, two = (at.ravel() for at in np.meshgrid(range(SIDES), range(SIDES, 2 * SIDES), indexing="ij"))
    names = list(atlas.patterns)
    means = {name: person_means(parts[name], identity, split.probes) for name in names}
    faces = images[np.array(front)[one]]
    changes = drawn_changes(model, faces, atlas, {n: means[n][two] - means[n][one] for n in names})
    start, goal = (_towards(recogniser, images[np.array(front)[side]], one, two) for side in (one, two))
    drawings, scores = [], []
    for part in [None, *range(model.config.parts)]:
        for cues in TAKEN.values():
            use = [i for i, (m, cue) in enumerate(names) if part in (None, m) and cue in cues]
            drawn = changed(faces, changes[use].sum(dim=0))
            share = (_towards(recogniser, drawn, one, two) - start) / (goal - start)
            scores.append(share)
            drawings.append(np.stack([_with_bar(face, score) for face, score in zip(drawn, share)]))
    shape = (model.config.parts + 1, len(TAKEN), SIDES, SIDES)
    pictures = np.stack(drawings).reshape(*shape, CELL, CELL, 3).transpose(2, 3, 0, 1, 4, 5, 6)
    photos = [[_pixels(images[i]) for i in side] for side in (front[:SIDES], front[SIDES:])]
    return Exchange(photos, pictures, np.stack(scores).reshape(shape).transpose(2, 3, 0, 1))


def _towards(recogniser: Recogniser, pictures: Tensor, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    scores, rows = recogniser.scores(pictures), np.arange(len(pictures))
    return scores[rows, two] - scores[rows, one]


def _pixels(image: Tensor, side: int = 2 * CELL) -> np.ndarray:
    pixels = np.rint(255 * picture(image)).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def _with_bar(image: Tensor, share: float) -> np.ndarray:
    """A drawing, and below it a bar that is filled as far as the face is on the way from A to B."""
    drawn = Image.fromarray(_pixels(image, CELL))
    pen, width = ImageDraw.Draw(drawn), CELL - 8
    pen.rectangle((3, CELL - 13, CELL - 4, CELL - 4), fill="white", outline="black")
    pen.rectangle((4, CELL - 12, 4 + width * float(np.clip(share, 0, 1)), CELL - 5), fill="#d9481c")
    return np.asarray(drawn)
