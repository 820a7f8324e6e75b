"""`python -m benchmarks.summary` makes the summary on one page, book/_assets/summary.pdf.

The figures come from the shipped model's figures.json, the picture is that of the front page.
"""

import hashlib
import json
from pathlib import Path
from textwrap import fill

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

TARGET = Path("book/_assets/summary.pdf")
FIGURES = Path("igc/checkpoints/synthetic-64/figures.json")
PICTURE = Path("book/_assets/hero.png")
A4 = (8.27, 11.69)
"""Inches."""
LEFT, RIGHT, INK, QUIET, ACCENT = 0.08, 0.92, "#23292e", "#59646d", "#2f5f78"
LINE = 0.0136
"""Height of a line of text, as a share of the page's."""

WHAT = (
    "A network that only looks at unlabelled pictures of faces takes a face apart into six solid parts, "
    "each with a depth, an albedo and a pose, puts them together by depth, lights the result, turns it "
    "and draws it. That is the Inverse Graphics Capsule Network of “Graphics Capsule: Learning "
    "Hierarchical 3D Face Representations from 2D Images” (Yu, Zhu, Zhang, Zhang and Lei, CVPR 2023, "
    "arXiv 2303.10896), whose code was never published. This is a reference implementation as a book: "
    "notebooks that can be read, run and checked, over a small Python package, igc."
)
CAPTION = (
    "Faces of people that the network had not seen, taken apart, and turned. It learned from unlabelled "
    "pictures."
)
COLUMNS = {
    "nmi": ("NMI", 3), "ari": ("ARI", 3), "iou": ("IoU", 3), "nme": ("NME", 3), "side": ("SIDE", 2),
    "mad": ("MAD", 1), "relief_ratio": ("relief", 2), "yaw_error": ("yaw err.", 1), "yaw_slope": ("slope", 2),
}  # fmt: skip
"""The figures that are shown, each with its title and its decimals."""
READ = (
    "NMI, ARI, IoU: parts against true regions, higher is better. NME: landmarks from the parts’ centres; "
    "SIDE (hundredths), MAD (degrees): depth and normals; yaw error (degrees): lower is better. Relief "
    "ratio, yaw slope: 1 is right. Rows below the first need no learning, or are given truth (oracle); a "
    "result that does not beat its floors is not a result."
)
WHOSE = {
    "The paper’s": (
        "Graphics capsules: depth, albedo, pose of a part; six of them.",
        "Shape and albedo as cues, dealt out by one-hot attention.",
        "Assembly by depth, then light, pose and rendering.",
        "A contrastive loss that keeps parts the same in every face.",
        "Analysis by synthesis of unlabelled images.",
    ),
    "Ours": (
        "Where a face ends (the support), and what is behind it.",
        "The exact losses, and what keeps parts alive.",
        "One shape for all faces at the start of training.",
        "Drawn faces with exact truth, on which all is measured.",
        "It does not claim the paper’s figures.",
    ),
}
RUN = (
    ("make train", "sets up, trains; no GPU, no data to fetch"),
    ("make book", "the book: _build/html/index.html"),
    ("make test", "every check"),
    ("papermill book/03_train.ipynb out.ipynb -p data path/to/faces", "training on your own pictures"),
)
LIMIT = "MIT licence. The model has seen drawn faces only. It must not be used to identify anyone."


def inputs() -> str:
    """A digest of what the page is made from, written into it so that a page out of date can be told."""
    text = Path(__file__).read_bytes() + FIGURES.read_bytes() + PICTURE.read_bytes()
    return hashlib.sha256(text).hexdigest()


def paragraph(page: Figure, y: float, text: str, letters: int, size: float, colour: str = INK) -> float:
    """Sets `text` in lines of `letters`, the first at height `y` of the page; returns the height below it."""
    lines = fill(text, letters)
    page.text(LEFT, y, lines, size=size, color=colour, va="top", linespacing=1.35)
    return y - (lines.count("\n") + 1) * LINE * size / 9


def heading(page: Figure, y: float, text: str, x: float = LEFT) -> float:
    page.text(x, y, text, size=11.5, weight="bold", color=ACCENT, va="top")
    return y - 1.6 * LINE


def rule(page: Figure, y: float, weight: float) -> None:
    page.add_artist(matplotlib.lines.Line2D((LEFT, RIGHT), (y, y), color=QUIET, lw=weight))


def table(page: Figure, y: float, rows: dict[str, dict[str, float]]) -> float:
    """Sets the figures of `rows`, the first row in bold; returns the height below."""
    first, step = 0.36, (RIGHT - 0.36) / (len(COLUMNS) - 1)
    for number, (title, _) in enumerate(COLUMNS.values()):
        page.text(first + number * step, y, title, size=8, ha="right", va="top", color=QUIET)
    y -= 1.3 * LINE
    rule(page, y, 0.8)
    y -= 0.5 * LINE
    for number, (name, row) in enumerate(rows.items()):
        weight = "normal" if number else "bold"
        page.text(LEFT, y, name, size=8.5, va="top", weight=weight, color=INK)
        for column, (key, (_, decimals)) in enumerate(COLUMNS.items()):
            x, shown = first + column * step, f"{row[key]:.{decimals}f}" if key in row else ""
            page.text(x, y, shown, size=8.5, ha="right", va="top", weight=weight, color=INK)
        y -= 1.25 * LINE
    rule(page, y + 0.2 * LINE, 0.4)
    return y - 0.4 * LINE


def draw() -> Figure:
    """The page."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    page = Figure(A4)
    page.text(LEFT, 0.952, "Graphics Capsules", size=24, weight="bold", color=INK, va="top", family="serif")
    page.text(
        LEFT, 0.918, "A face as six 3D parts, learned from unlabelled images", size=12, color=QUIET, va="top"
    )
    y = paragraph(page, 0.886, WHAT, 104, 9) - LINE
    picture = Image.open(PICTURE).convert("RGB")
    height = (RIGHT - LEFT) * A4[0] / A4[1] * picture.height / picture.width
    axes = page.add_axes((LEFT, y - height, RIGHT - LEFT, height))
    axes.imshow(picture, interpolation="none")
    axes.set_axis_off()
    y = paragraph(page, y - height - 0.5 * LINE, CAPTION, 130, 8, QUIET) - 1.2 * LINE
    y = heading(page, y, "Measured on people that it had not seen")
    y = table(page, y, figures["figures"])
    y = paragraph(page, y, READ, 122, 8, QUIET) - 1.2 * LINE
    for x, (title, points) in zip((LEFT, 0.54), WHOSE.items()):
        below = heading(page, y, title, x)
        for point in points:
            page.text(x, below, point, size=8.2, va="top", color=INK)
            below -= 1.25 * LINE
    y = heading(page, below - LINE, "Run it")
    for command, meaning in RUN:
        page.text(LEFT, y, command, size=8.5, va="top", family="monospace", color=INK)
        page.text(0.64, y, meaning, size=8, va="top", color=QUIET)
        y -= 1.3 * LINE
    page.text(LEFT, 0.035, LIMIT, size=8, color=QUIET, va="top")
    return page


def save(target: Path) -> None:
    """Writes the page, the same bytes from the same inputs, its letters as letters."""
    known = {"Title": "Graphics Capsules, on one page", "Keywords": inputs(), "CreationDate": None}
    with matplotlib.rc_context({"pdf.fonttype": 42, "font.family": "sans-serif"}):
        draw().savefig(target, metadata=known)


def main() -> None:
    save(TARGET)
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
