"""Figures of the book: matplotlib for pages. 3D views that turn are in `views3d`.

All have one style, `igc.mplstyle`; importing this module sets it, for figures of one's own as well.
"""

import io
from pathlib import Path

import matplotlib.style
import numpy as np
import torch
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from igc.data.label_images import PART_COLOURS
from igc.model import IGCNet
from igc.outputs import Output
from igc.segment import masks_to_labels
from igc.views import one_face, seen_parts, view

matplotlib.style.use(Path(__file__).with_name("igc.mplstyle"))

TRUTH_COLOURS = (
    "#FFFFFF", "#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933",
    "#AA4499",
)  # fmt: skip
"""Of true labels: white for the background, then Tol's "muted" scheme, so that they are no part's colours."""
ANGLES = (-45, -22, 0, 22, 45)
"""Yaw in degrees of the five views in which a face is shown turning."""


class Picture(Figure):
    """A figure that a notebook shows when it is a cell's last value; pyplot does not know of it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        with Image.open(buffer) as image:
            return small_png(image.convert("RGB"))


def small_png(image: Image.Image) -> bytes:
    """A picture as a PNG of as few bytes as can be without a loss: with a palette where 256 colours do."""
    if image.getcolors(256):
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def panels(rows: int, columns: int, inches: tuple[float, float], sharey=False, layout="constrained") -> tuple:
    """A figure of the given size and its axes, an array (rows, columns)."""
    figure = Picture(figsize=inches, layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=sharey)


def part_colour(part: int) -> np.ndarray:
    """RGB in [0, 1] of part number `part`, counted from 0."""
    return np.array(to_rgb(PART_COLOURS[part % len(PART_COLOURS)]))


def picture(image: Tensor) -> np.ndarray:
    """(3, S, S) in [0, 1] to what matplotlib shows."""
    return image.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy()


def normal_picture(normal: Tensor) -> np.ndarray:
    """Unit normals (3, S, S) as colours: right is red, up is green, towards the camera is blue."""
    flipped = normal.detach().cpu() * torch.tensor([1.0, -1.0, -1.0])[:, None, None]
    present = normal.detach().cpu().square().sum(0, keepdim=True) > 0.1
    return picture(torch.where(present, 0.5 + 0.5 * flipped, torch.ones_like(flipped)))


def depth_picture(depth: Tensor, face: Tensor) -> np.ndarray:
    """A depth map (S, S) as grey levels, near being light; white where `face` (S, S) is false."""
    depth, face = depth.detach().cpu(), face.detach().cpu().bool()
    if not face.any():
        return np.ones((*depth.shape, 3))
    low, high = depth[face].min(), depth[face].max()
    grey = 0.95 - 0.85 * (depth - low) / (high - low).clamp(min=1e-6)
    return torch.where(face, grey, 1.0).clamp(0, 1)[..., None].expand(-1, -1, 3).numpy()


def label_picture(labels: Tensor, image: Tensor | None = None, strength: float = 0.6) -> np.ndarray:
    """Labels (S, S), 0 the background and 1..M the parts, as colours, laid over `image` (3, S, S)."""
    labels = labels.detach().cpu().numpy()
    base = np.ones((*labels.shape, 3)) if image is None else picture(image)
    out = base.copy()
    for part in range(int(labels.max())):
        where = labels == part + 1
        mix = 1.0 if image is None else strength
        out[where] = (1 - mix) * base[where] + mix * part_colour(part)
    return out


def grid(rows: list[list[np.ndarray]], titles: list[str] | None = None, side: float = 1.25) -> Figure:
    """Pictures in rows and columns, with a title above each column."""
    columns = max(len(row) for row in rows)
    height = side * len(rows) + (0.25 if titles else 0)
    figure, axes = panels(len(rows), columns, (side * columns, height), layout="compressed")
    for i, row in enumerate(rows):
        for j, axis in enumerate(axes[i]):
            axis.set_axis_off()
            if j < len(row):
                axis.imshow(row[j], vmin=0, vmax=1)
            if i == 0 and titles is not None and j < len(titles):
                axis.set_title(titles[j])
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    return figure


def wide_strips(rows: dict[str, np.ndarray], height: float) -> Figure:
    """Wide pictures below each other, each so many inches high and with its name beside it."""
    figure, axes = panels(len(rows), 1, (9.0, height * len(rows) + 0.15), layout="compressed")
    for axis, (name, pixels) in zip(axes[:, 0], rows.items(), strict=True):
        axis.imshow(pixels)
        axis.set_yticks([len(pixels) / 2], [name])
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    return figure


def explanation(images: Tensor, out: Output) -> Figure:
    """A row a face: image, reconstruction, parts in the image, canonical depth, normals, albedo, parts."""
    rows = []
    view_labels = masks_to_labels(out.view_parts)
    for i in range(len(images)):
        face = out.parts.visibility[i, -1] < 0.5
        canonical = (out.parts.visibility[i].argmax(0) + 1) * face
        white = torch.ones_like(out.albedo[i])
        rows.append([
            picture(images[i]), picture(out.image[i]), label_picture(view_labels[i], images[i]),
            depth_picture(out.depth[i], face), normal_picture(out.normal[i] * face),
            picture(torch.where(face, out.albedo[i], white)), label_picture(canonical),
        ])  # fmt: skip
    titles = ["image", "reconstruction", "its parts", "depth", "normals", "albedo", "parts"]
    return grid(rows, titles)


def turned(model: IGCNet, out: Output, angles=ANGLES) -> list[Tensor]:
    """The faces of `out` seen from the given yaw angles (degrees): a list of (B, 3, S, S)."""
    return [view(model, out, angle).image for angle in angles]


def turning(model: IGCNet, images: Tensor, out: Output, angles=ANGLES) -> Figure:
    """A row a face: the image, and what the model says that it looks like from `angles`."""
    views = turned(model, out, angles)
    rows = [[picture(images[i])] + [picture(seen[i]) for seen in views] for i in range(len(images))]
    return grid(rows, ["image"] + [f"{angle:+d}°" if angle else "0°" for angle in angles])


def relighting(model: IGCNet, images: Tensor, out: Output) -> Figure:
    """A row a face: the image, and its front view lit from the left, above, the front and the right."""
    lights = {"left": (-45, 0), "above": (0, -45), "front": (0, 0), "right": (45, 0)}
    columns = [[picture(image) for image in images]]
    for x, y in lights.values():
        columns.append([picture(image) for image in view(model, out, light_x=x, light_y=y).image])
    return grid([list(row) for row in zip(*columns, strict=True)], ["image", *lights])


def attention_map(attention: Tensor) -> Figure:
    """Which channel belongs to which part: attention (M, C), one-hot over the parts."""
    figure, ((axis,),) = panels(1, 1, (8, 1.4))
    colours = np.ones((*attention.shape, 3))
    for part in range(len(attention)):
        colours[part, attention[part].numpy() > 0.5] = part_colour(part)
    axis.imshow(colours, aspect="auto")
    axis.set_yticks(range(len(attention)), [f"part {m + 1}" for m in range(len(attention))])
    axis.set_xlabel("channel")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def depth_profile(parts: Tensor, whole: Tensor, visibility: Tensor) -> Figure:
    """Depths along the middle row and the middle column of a face: of the parts (M, S, S) and of the whole
    (S, S), with the winners of `visibility` (M+1, S, S) marked. Near is up."""
    figure, (axes,) = panels(1, 2, (8, 2.6), sharey=True)
    middle = whole.shape[-1] // 2
    cuts = {
        "middle row": (slice(None), middle),
        "middle column, top to bottom": (slice(None), slice(None), middle),
    }
    for axis, (name, cut) in zip(axes, cuts.items(), strict=True):
        winner = visibility[cut].argmax(dim=0)
        place = np.arange(whole.shape[-1])
        for m in range(len(parts)):
            depth = parts[cut][m]
            axis.plot(place, depth, color=part_colour(m), lw=0.8, alpha=0.6)
            mine = winner == m
            axis.plot(place[mine], depth[mine], ".", color=part_colour(m), ms=6, label=f"part {m + 1}")
        axis.set_title(name)
    axes[0].set_ylabel("depth (near is up)")
    face = whole[visibility[-1] < 0.5]
    axes[0].set_ylim(float(face.max()) + 0.02, float(face.min()) - 0.01)
    axes[1].legend(ncol=2)
    return figure


def turning_parts(model: IGCNet, out: Output, angles=ANGLES) -> Figure:
    """Two rows a face: drawn from `angles` (degrees), and the parts in those views."""
    rows = []
    for i in range(len(out.pose)):
        drawn, coloured = [], []
        for angle in angles:
            seen = view(model, out, angle)
            drawn.append(picture(seen.image[i]))
            coloured.append(label_picture(masks_to_labels(seen.parts)[i], seen.image[i]))
        rows.append(drawn + coloured)
    return grid(rows, [f"{angle:+d}°" if angle else "0°" for angle in angles] * 2, side=0.95)


def truth_picture(labels: Tensor, names: tuple[str, ...]) -> np.ndarray:
    """True labels (S, S) as colours of their own; white for 0, the background."""
    return label_colours(names)(labels.numpy() / max(1, len(names) - 1))[..., :3]


def part_gallery(images: Tensor, out: Output) -> Figure:
    """A row a face: the image, then each part alone, as far as it is seen in the canonical view."""
    rows = []
    for i in range(len(images)):
        row = [picture(images[i])]
        for m in range(out.parts.depth.shape[1]):
            visible = out.parts.visibility[i, m] > 0.5
            row.append(picture(torch.where(visible, out.parts.albedo[i, m], torch.ones(3, 1, 1))))
        rows.append(row)
    return grid(rows, ["image"] + [f"part {m + 1}" for m in range(out.parts.depth.shape[1])])


def part_meshes(model: IGCNet, out: Output, item: int) -> dict:
    """The parts of one face: points (M, S, S, 3), all on the object's surface, so that they fit together;
    albedo (M, S, S, 3) in [0, 1], masks (M, S, S) where each is seen, and names; canonical."""
    face = one_face(out, item)
    albedo, masks = face.parts.albedo[0].movedim(1, -1), seen_parts(model, face)[0]
    return {
        "points": model.points(face.depth, face.shift).expand(albedo.shape),
        "colours": albedo.detach(),
        "masks": masks,
        "names": [f"part {m + 1}" for m in range(len(masks))],
    }


def save_run_pictures(folder: Path, model: IGCNet, images: Tensor, out: Output) -> list[Path]:
    """Writes the pictures of a run: explanation.png, turning.png and parts.png."""
    drawn = {
        "explanation.png": explanation(images, out),
        "turning.png": turning(model, images, out),
        "parts.png": part_gallery(images, out),
    }
    for name, figure in drawn.items():
        figure.savefig(folder / name)
    return [folder / name for name in drawn]


def curves(history: list[dict], names: list[str]) -> Figure:
    """Terms of the loss over the epochs."""
    figure, (axes,) = panels(1, len(names), (2.3 * len(names), 2.0))
    for axis, name in zip(axes, names, strict=True):
        axis.plot([row["epoch"] for row in history], [row[name] for row in history])
        axis.set_title(name)
        axis.set_xlabel("epoch")
    return figure


def label_colours(names: tuple[str, ...]) -> ListedColormap:
    """A colour map for true labels: white for the background, then one colour a name."""
    first, *others = TRUTH_COLOURS
    return ListedColormap([first, *(others[n % len(others)] for n in range(len(names) - 1))])
