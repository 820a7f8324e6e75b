"""Figures of the book: matplotlib for pages, one style. 3D views that turn are in `views3d`."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from igc.model import IGCNet, Output

PART_COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
"""Tol's 'bright' scheme, safe for colour-blind readers: part m is always drawn in colour m (mod 6)."""

ANGLES = (-45, -22, 0, 22, 45)
"""Yaw in degrees of the five views in which a face is shown turning."""


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
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(side * columns, side * len(rows) + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for i, row in enumerate(rows):
        for j, axis in enumerate(axes[i]):
            axis.set_axis_off()
            if j < len(row):
                axis.imshow(row[j], interpolation="nearest", vmin=0, vmax=1)
            if i == 0 and titles is not None and j < len(titles):
                axis.set_title(titles[j], fontsize=9)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    return figure


def explanation(images: Tensor, out: Output) -> Figure:
    """A row a face: image, reconstruction, parts in the image, canonical depth, normals, albedo, parts."""
    rows = []
    view_labels = labels_of(out.view_parts)
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


def labels_of(parts: Tensor) -> Tensor:
    """Part coverage (B, M, S, S) to labels (B, S, S): 0 where less than half of a pixel is face."""
    return (parts.argmax(dim=1) + 1) * (parts.sum(dim=1) > 0.5)


def turned(model: IGCNet, out: Output, angles=ANGLES) -> list[Tensor]:
    """The faces of `out` seen from the given yaw angles (degrees): a list of (B, 3, S, S)."""
    views = []
    for angle in angles:
        pose = torch.zeros_like(out.pose)
        pose[:, 1] = np.radians(angle)
        views.append(model.view(out, pose).image)
    return views


def turning(model: IGCNet, images: Tensor, out: Output, angles=ANGLES) -> Figure:
    """A row a face: the image, and what the model says that it looks like from `angles`."""
    views = turned(model, out, angles)
    rows = [[picture(images[i])] + [picture(view[i]) for view in views] for i in range(len(images))]
    return grid(rows, ["image"] + [f"{angle:+d}°" if angle else "0°" for angle in angles])


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


def curves(history: list[dict], names: list[str]) -> Figure:
    """Terms of the loss over the epochs."""
    figure, axes = plt.subplots(1, len(names), figsize=(2.3 * len(names), 2.0), layout="constrained")
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        axis.plot([row["epoch"] for row in history], [row[name] for row in history], color="#4477AA")
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=7)
    return figure


def label_colours(names: tuple[str, ...]) -> ListedColormap:
    """A colour map for true labels: white for the background, then one colour a name."""
    shades = plt.get_cmap("tab10")(np.arange(len(names)) % 10)
    shades[0] = 1
    return ListedColormap(shades)
