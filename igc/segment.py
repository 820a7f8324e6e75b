"""Part masks and label maps in the frame of the image."""

import torch
from torch import Tensor

from igc.model import IGCNet


def masks_to_labels(parts: Tensor) -> Tensor:
    """Part coverage (B, M, S, S) to labels (B, S, S) int64: 0 where less than half of a pixel is face."""
    return (parts.argmax(dim=1) + 1) * (parts.sum(dim=1) > 0.5)


@torch.no_grad()
def labels(model: IGCNet, images: Tensor, chunk: int = 64) -> Tensor:
    """Part labels (B, S, S) int64 of `images` (B, 3, S, S): 0 background, 1..M the parts."""
    device = next(model.parameters()).device
    chunks = images.split(chunk) if len(images) else ()
    found = [masks_to_labels(model(part.to(device)).view_parts).cpu() for part in chunks]
    return torch.cat(found) if found else torch.zeros(0, *images.shape[-2:], dtype=torch.int64)
