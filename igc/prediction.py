"""`igc.predict`: everything that a model says of pictures, as plain tensors with one meaning each.

Whatever is measured or shown can start from these, however the model comes to them.
"""

import torch
from torch import Tensor

from igc.model import IGCNet
from igc.outputs import Output

CHUNK = 64
"""Images that are explained at once."""


def predict(model: IGCNet, images: Tensor, chunk: int = CHUNK) -> dict[str, Tensor]:
    """What `model` says of `images`, float (B, 3, S, S) in [0, 1]: tensors on the CPU, S as in the images.

    In the frame of the picture: `labels` (B, S, S) int64, 0 the background, 1 to M the parts; `parts`
    (B, M, S, S), how much of each pixel each part covers; `depth` (B, S, S), `normal` (B, 3, S, S), unit;
    `image` (B, 3, S, S), the drawing over its background, 0 or more. Where there is no face, label, depth and
    normal are 0, all three or none. `pose` (B, 6): pitch, yaw, roll in radians, then the translation, about
    the point (0, 0, 1). Canonical: `light` (B, 5), ambient, diffuse and the unit direction to the light;
    `canonical_depth` (B, S, S), `canonical_albedo` (B, 3, S, S) in [0, 1], `canonical_labels` (B, S, S)
    int64: the face seen from the front, 0 where there is none.

    `chunk` images are explained at once, on the model's device and as in evaluation; whether it trains is
    left as it was. ValueError for images of another shape or type.
    """
    return through(model, images, lambda part, out: described(model, out), chunk)


@torch.no_grad()
def through(model: IGCNet, images: Tensor, tell, chunk: int = CHUNK) -> dict[str, Tensor]:
    """What `tell(images, output)` says of images, a dict of tensors, chunk after chunk and on the CPU.

    Errors as those of `predict`."""
    size = model.config.size
    if images.dim() != 4 or images.shape[1:] != (3, size, size) or not images.is_floating_point():
        found = f"{images.dtype} of shape {tuple(images.shape)}"
        raise ValueError(f"images must be floats of shape (B, 3, {size}, {size}), not {found}")
    device, trained, rows = next(model.parameters()).device, model.training, []
    model.eval()
    some = images if len(images) else images.new_zeros(1, 3, size, size)  # even none have types and shapes
    try:
        for part in some.split(chunk):
            part = part.to(device)
            rows.append({name: value.cpu() for name, value in tell(part, model(part)).items()})
    finally:
        model.train(trained)
    return {name: torch.cat([row[name] for row in rows])[: len(images)] for name in rows[0]}


def described(model: IGCNet, out: Output) -> dict[str, Tensor]:
    """The tensors of `predict` for what the model returned, on its device."""
    labels = masks_to_labels(out.view_parts) * (out.view_depth > 0)
    face = labels > 0
    return {
        "labels": labels, "parts": out.view_parts, "depth": out.view_depth * face,
        "normal": out.view_normal * face[:, None], "image": out.image, "pose": out.pose, "light": out.light,
        **canonical_maps(model, out),
    }  # fmt: skip


def canonical_maps(model: IGCNet, out: Output) -> dict[str, Tensor]:
    """Depth, albedo and labels of the face seen from the front, on as many pixels as the picture has,
    whatever is kept around it and however its points are moved."""
    whole, ahead = out.whole(), torch.zeros_like(out.pose)
    attributes = torch.cat((whole.albedo, model.cover(whole)), dim=1)
    seen, depth = model.draw(whole, attributes, ahead, model.config.size)
    albedo, parts = seen.tensor_split((3,), dim=1)
    labels = masks_to_labels(parts) * (depth > 0)
    albedo = albedo / parts.sum(dim=1, keepdim=True).clamp(min=0.5)  # the outline is blended with nothing
    return {
        "canonical_depth": depth * (labels > 0),
        "canonical_albedo": albedo.clamp(0, 1) * (labels > 0)[:, None],
        "canonical_labels": labels,
    }


def masks_to_labels(parts: Tensor) -> Tensor:
    """Part coverage (B, M, S, S) to labels (B, S, S) int64: 0 where less than half of a pixel is face."""
    return (parts.argmax(dim=1) + 1) * (parts.sum(dim=1) > 0.5)
