"""Graphics capsules: how one embedding becomes M parts, and how M parts become one object.

A graphics capsule (the paper's) holds the depth, the albedo and the pose of one part. The Graphics
Decomposition Module deals the channels of the global embeddings out to the parts, each channel to exactly
one of them (one-hot attention), and deals shape and albedo out the same way, so that a part is the same
thing in both. Assembly lets the nearest part win each canonical pixel; what belongs to the face at all is
said by its support, a map that all parts draw together.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

SUPPORT_SHARPNESS = 4.0
"""How fast the background takes over where the support falls below 0 (ours)."""


class Assembly(NamedTuple):
    """The object capsule: what the parts look like together, in the canonical frame."""

    depth: Tensor
    """(B, S, S)"""
    albedo: Tensor
    """(B, 3, S, S)"""
    visibility: Tensor
    """(B, M+1, S, S): one-hot over the parts and, last, the background."""
    soft: Tensor
    """(B, M+1, S, S): the softmax that carries the gradient of `visibility`."""
    shift: Tensor
    """(B, 2, S, S): how far the points are moved across and down, in units of the distance to the camera."""

    def face(self) -> Tensor:
        """(B, S, S) bool: inside the outline, whether the parts there are shown or hidden."""
        return self.soft[:, -1] < 0.5

    def cover(self) -> Tensor:
        """(B, M, S, S): the parts' visibility. Beyond the outline, where the sides of the head begin, it goes
        on as that of the nearest part. Its gradient is that of `soft`."""
        beyond = one_hot_max(self.soft[:, :-1].detach(), dim=1) * ~self.face()[:, None]
        return self.visibility[:, :-1] + beyond

    def flipped(self) -> "Assembly":
        """The mirror image."""
        turned = Assembly(*(each.flip(-1) for each in self))
        return turned._replace(shift=turned.shift * turned.shift.new_tensor([-1.0, 1.0])[:, None, None])


class Decomposition(nn.Module):
    """The Graphics Decomposition Module: deals C channels out to M parts (the paper's)."""

    def __init__(self, channels: int, parts: int, shared: bool = True):
        super().__init__()
        self.shared = shared
        self.channels, self.parts = channels, parts
        if shared:
            start = torch.nn.functional.one_hot(torch.arange(channels) % parts, parts).float()
            self.logits = nn.Parameter(0.3 * start + 0.1 * torch.randn(channels, parts))

    def attention(self) -> Tensor:
        """(M, C) one-hot over the parts for every channel; its gradient is that of the softmax."""
        if not self.shared:
            return torch.ones(self.parts, self.channels)
        return straight_through(self.logits.softmax(dim=1), dim=1).T

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, C) to (B, M, C): each part keeps its own channels, the others are zero."""
        return embedding[:, None] * self.attention().to(embedding)


def one_hot_max(values: Tensor, dim: int) -> Tensor:
    """One-hot at the largest entry along `dim`, the first of equals (far faster than argmax on a CPU)."""
    largest = values == values.amax(dim, keepdim=True)
    return (largest & (largest.cumsum(dim) == 1)).to(values.dtype)


def straight_through(soft: Tensor, dim: int) -> Tensor:
    """One-hot at the largest entry along `dim`, with the gradient of `soft` (Bengio et al. 2013)."""
    return one_hot_max(soft.detach(), dim) + (soft - soft.detach())


def assemble(
    depth: Tensor, albedo: Tensor, support: Tensor | None, shift: Tensor, sharpness: float
) -> Assembly:
    """Puts part maps together by depth: the nearest part wins (paper; METHOD).

    `depth` (B, M, S, S) and `albedo` (B, M, 3, S, S) of the parts; `support` (B, 1, S, S) is positive on the
    face, and where it is not, the background is seen (ours). `sharpness` is k in softmax(-k depth). The depth
    and the albedo of the object are the softmax's means, which go on beyond the outline.
    """
    nearness = (-sharpness * depth).softmax(dim=1)
    winner = straight_through(nearness, dim=1)
    if support is None:
        inside = face = depth.new_ones(len(depth), 1, *depth.shape[2:])
    else:
        inside = (SUPPORT_SHARPNESS * support).sigmoid()
        face = (support > 0).to(depth.dtype)
    soft = torch.cat((inside * nearness, 1 - inside), dim=1)
    seen = torch.cat((face * winner.detach(), 1 - face), dim=1)
    visibility = seen + (soft - soft.detach())
    colour = (nearness[:, :, None] * albedo).sum(dim=1)
    return Assembly((nearness * depth).sum(dim=1), colour, visibility, soft, shift)


def behind_nearest(logits: Tensor) -> Tensor:
    """How far each part lies behind the object's surface, (M, S, S) in units of 1 / sharpness, so that the
    softmax of `assemble` is that of `logits` (M, S, S) and its mean is the surface itself: where borders run
    does not change the shape (ours)."""
    share = logits.log_softmax(dim=0)
    return (share.exp() * share).sum(dim=0) - share


def blend(share: Tensor, maps: Tensor) -> Tensor:
    """What all parts draw together, (B, 1, ...), out of what each says, `maps` (B, M, ...): each speaks by
    its `share` (M, ...) of a point. So parts stay where they are, and are the same in every face (ours)."""
    return (share * maps).sum(dim=1, keepdim=True)


def close(points: Tensor, face: Tensor, back: Tensor) -> Tensor:
    """Gives the face the sides of a head: canonical points (B, S, S, 3) of a depth map, those that are not
    `face` (B, S, S) bool moved straight back to the depth `back` (S, S), unless they are behind it (ours).

    A depth map knows only what is seen from the front. Without sides, a turned face is narrower than a turned
    head, and a model that must cover the head turns too little and bends the face back too far instead.
    """
    depth = torch.where(face, points[..., 2], torch.maximum(points[..., 2], back))
    return torch.cat((points[..., :2], depth[..., None]), dim=-1)


def skirt(pixels: Tensor, reach: float) -> Tensor:
    """Projected points (B, S, S, 3), x and y in pixels, whose outermost ring is moved away from their middle
    by `reach` pixels: so the surface goes on beyond its frame, and a picture is covered however it turns
    (ours)."""
    away = pixels[..., :2].detach() - pixels[..., :2].detach().mean(dim=(1, 2), keepdim=True)
    ring = pixels.new_ones(pixels.shape[1:3])
    ring[1:-1, 1:-1] = 0
    moved = pixels[..., :2] + reach * ring[..., None] * nn.functional.normalize(away, dim=-1)
    return torch.cat((moved, pixels[..., 2:]), dim=-1)


def bowl(size: int, margin: float = 1.0) -> Tensor:
    """(size, size): where the surface starts, in units of the depth range, in a frame `margin` times as wide
    as the picture: round, open to the back, and as deep over the picture whatever the margin (ours)."""
    axis = margin * ((torch.arange(size) + 0.5) / size * 2 - 1)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return 0.65 * (x**2 + y**2)


def ball(size: int) -> Tensor:
    """(size, size): where the surface of a head starts, in units of the depth range, over the ellipse of
    `initial_support`: half of a ball, which goes on as steeply as it ends (ours)."""
    distance = 1 - (initial_support(4 * size) / 1.5)
    height = 0.55 * (1 - (1 - distance).clamp(min=0.02).sqrt())
    return nn.functional.avg_pool2d((height + 0.3 * (distance - 1).clamp(min=0))[None], 4)[0]


def middle(maps: Tensor) -> Tensor:
    """The middle (..., h/2, h/2) of maps (..., h, h)."""
    quarter = maps.shape[-1] // 4
    return maps[..., quarter : 3 * quarter, quarter : 3 * quarter]


def in_picture(size: int, margin: float) -> Tensor:
    """(size, size) bool: what of a canonical frame that is `margin` times as wide lies in the picture."""
    axis = ((torch.arange(size) + 0.5) / size * 2 - 1).abs() < 1 / margin
    return axis[:, None] & axis


def initial_support(size: int) -> Tensor:
    """(size, size): an ellipse that fills most of the frame (ours)."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return (1.5 - 1.5 * ((x / 0.6) ** 2 + y**2)).clamp(min=-3)
