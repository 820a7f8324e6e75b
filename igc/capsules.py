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

STARTS = (
    (0.0, -0.4, 0.0), (0.2, -0.1, 0.03), (0.0, 0.36, 0.025), (0.0, 0.75, 0.0),  # hair, eyes, mouth, neck
    (0.0, 0.07, 0.015), (0.3, 0.2, 0.0), (0.0, 0.55, 0.02), (0.0, -0.8, 0.0),  # nose, cheeks, chin, crown
    (0.45, -0.35, 0.0), (0.45, 0.45, 0.0), (0.15, -0.3, 0.0),  # temples, jaws, brows
    (0.5, 0.9, 0.0),  # shoulders
)  # fmt: skip
"""Where the parts start, as far as there are so many, and how much smaller they are than their neighbours:
x to both sides, y down, in units of half the frame, and what is added to the squared distance from there.
They are where a face in the middle of the frame has what is named beside them, as judged on embedded faces of
the validation people (ours)."""


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
        return Assembly(*(each.flip(-1) for each in self))


class Decomposition(nn.Module):
    """The Graphics Decomposition Module: deals C channels out to M parts (the paper's)."""

    def __init__(self, channels: int, parts: int, shared: bool = True):
        super().__init__()
        self.shared = shared
        start = torch.nn.functional.one_hot(torch.arange(channels) % parts, parts).float()
        self.logits = nn.Parameter(2 * start + 0.1 * torch.randn(channels, parts))

    def attention(self) -> Tensor:
        """(M, C) one-hot over the parts for every channel; its gradient is that of the softmax."""
        if not self.shared:
            return torch.ones_like(self.logits.T)
        return straight_through(self.logits.softmax(dim=1), dim=1).T

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, C) to (B, M, C): each part keeps its own channels, the others are zero."""
        return embedding[:, None] * self.attention()


def one_hot_max(values: Tensor, dim: int) -> Tensor:
    """One-hot at the largest entry along `dim`, the first of equals (far faster than argmax on a CPU)."""
    largest = values == values.amax(dim, keepdim=True)
    return (largest & (largest.cumsum(dim) == 1)).to(values.dtype)


def straight_through(soft: Tensor, dim: int) -> Tensor:
    """One-hot at the largest entry along `dim`, with the gradient of `soft` (Bengio et al. 2013)."""
    return one_hot_max(soft.detach(), dim) + (soft - soft.detach())


def assemble(depth: Tensor, albedo: Tensor, support: Tensor, sharpness: float) -> Assembly:
    """Puts part maps together by depth: the nearest part wins (paper; METHOD).

    `depth` (B, M, S, S) and `albedo` (B, M, 3, S, S) of the parts; `support` (B, 1, S, S) is positive on the
    face, and where it is not, the background is seen (ours). `sharpness` is k in softmax(-k depth). The depth
    of the object is the softmax's mean, its albedo the winner's; both go on beyond the outline.
    """
    nearness = (-sharpness * depth).softmax(dim=1)
    winner = straight_through(nearness, dim=1)
    inside = (SUPPORT_SHARPNESS * support).sigmoid()
    soft = torch.cat((inside * nearness, 1 - inside), dim=1)
    face = (support > 0).to(depth.dtype)
    seen = torch.cat((face * winner.detach(), 1 - face), dim=1)
    visibility = seen + (soft - soft.detach())
    return Assembly((nearness * depth).sum(dim=1), (winner[:, :, None] * albedo).sum(dim=1), visibility, soft)


def close(points: Tensor, face: Tensor, back: Tensor) -> Tensor:
    """Gives the face the sides of a head: canonical points (B, S, S, 3) of a depth map, those that are not
    `face` (B, S, S) bool moved straight back to the depth `back` (S, S), unless they are behind it (ours).

    A depth map knows only what is seen from the front. Without sides, a turned face is narrower than a turned
    head, and a model that must cover the head turns too little and bends the face back too far instead.
    """
    depth = torch.where(face, points[..., 2], torch.maximum(points[..., 2], back))
    return torch.cat((points[..., :2], depth[..., None]), dim=-1)


def initial_depth(parts: int, size: int, start: str = "face") -> Tensor:
    """(M, size, size) starting depths, in units of the depth range around 1: one bowl that opens to the back,
    flatter from top to bottom than across, of which each part has what is nearest to its place in `STARTS`;
    or "bands" (also for more parts than there are places), one above the other with even borders between a
    quarter and four fifths of the height. So every part sees something from the first step (ours)."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    bowl = -0.3 + 1.2 * x**2 + 0.35 * y**2
    if start == "face" and 1 < parts <= len(STARTS):
        places = sorted(STARTS[:parts], key=lambda place: place[1])  # from top to bottom
        across, down, less = torch.tensor(places).T[..., None, None]
        away = ((x.square() + 0.0025).sqrt() - across) ** 2 + (y - down) ** 2 + less
        away = away + 0.02 * (-away / 0.02).logsumexp(dim=0)  # 0 at the nearest place, and without kinks
        return bowl + 2.5 * away
    spacing = 1.1 / max(1, parts - 2)
    centre = 0.05 + spacing * (torch.arange(parts) - 0.5 * (parts - 1))
    away = (y[None] - centre[:, None, None]) ** 2
    return bowl + (3.5 if parts > 1 else 0.9) * away


def initial_support(size: int) -> Tensor:
    """(size, size): an ellipse that fills most of the frame and reaches its lower edge (ours)."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return (1.5 - 1.5 * ((x / 0.6) ** 2 + (y - 0.1) ** 2)).clamp(min=-3)
