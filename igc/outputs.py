"""What IGCNet and its steps return: named tuples of tensors. B images, M parts, S pixels, C channels."""

from typing import NamedTuple

from torch import Tensor

from igc.capsules import Assembly


class Parts(NamedTuple):
    """The part capsules, in the canonical frame. M parts, S pixels."""

    depth: Tensor
    """(B, M, S, S)"""
    albedo: Tensor
    """(B, M, 3, S, S) in [0, 1]"""
    pose: Tensor
    """(B, M, 6): every part's vote for the pose"""
    light: Tensor
    """(B, M, 5): every part's vote for the light"""
    visibility: Tensor
    """(B, M+1, S, S) one-hot over the parts and, last, the background"""
    shape_code: Tensor
    """(B, M, C): the part's share of the shape embedding"""
    albedo_code: Tensor
    """(B, M, C): the part's share of the albedo embedding"""


class Decoded(NamedTuple):
    """What the decoders draw from the codes of the parts."""

    depth: Tensor
    """(B, M, S, S)"""
    albedo: Tensor
    """(B, M, 3, S, S) in [0, 1]"""
    support: Tensor | None
    """(B, 1, S, S): positive on the face; every part has its say in it. None without a background"""
    own_support: Tensor | None
    """(B, 1, S/4, S/4): how far the support departs from the one that all faces share"""
    shift: Tensor
    """(B, 2, S, S): how far the canonical points are moved, see `Assembly`"""
    departure: Tensor
    """(B, 1, S/2, S/2): how far the surface of each face departs from the mean face's, all parts by
    the same, in units of the depth range"""
    place: Tensor
    """(B, M, 3): how far each part is moved down, and stretched across and down"""


class View(NamedTuple):
    """A rendering, in the frame of the image."""

    image: Tensor
    """(B, 3, S, S), 0 or more; above 1 where a bright albedo is lit strongly"""
    depth: Tensor
    """(B, S, S), 0 where the face is not"""
    normal: Tensor | None
    """(B, 3, S, S), 0 where the face is not; None if it was not asked for"""
    parts: Tensor
    """(B, M, S, S): how much of each pixel each part covers"""
    alpha: Tensor
    """(B, 1, S, S): how much of each pixel the face covers"""


class Output(NamedTuple):
    """What IGCNet tells about images (B, 3, S, S). Canonical, but for what starts with `view`, and for
    `image`, `confidence`, `background` and `features`, which are in the frame of the picture."""

    parts: Parts
    depth: Tensor
    """(B, S, S): of the object, also beyond its outline"""
    albedo: Tensor
    """(B, 3, S, S) in [0, 1]"""
    normal: Tensor
    """(B, 3, S, S): unit, towards the camera"""
    light: Tensor
    """(B, 5): ambient, diffuse, unit direction from the surface to the light"""
    pose: Tensor
    """(B, 6): pitch, yaw, roll in radians, translation"""
    confidence: Tensor
    """(B, 2, S, S): scale of the residual, straight and mirrored"""
    image: Tensor
    """(B, 3, S, S): the drawing, over the background"""
    view_depth: Tensor
    """(B, S, S), 0 where the face is not"""
    view_normal: Tensor | None
    """(B, 3, S, S), 0 where the face is not; None if it was not asked for"""
    view_parts: Tensor
    """(B, M, S, S): how much of each pixel each part covers"""
    view_alpha: Tensor
    """(B, 1, S, S): how much of each pixel the face covers"""
    background: Tensor
    """(B, 3, S, S): what is taken to be behind the face"""
    soft_visibility: Tensor
    """(B, M+1, S, S): the softmax behind `parts.visibility`"""
    features: Tensor
    """(B, F, S/4, S/4): the encoder's local features, which the contrastive term compares"""
    support: Tensor | None
    """(B, 1, S, S): positive on the face"""
    own_support: Tensor | None
    shift: Tensor
    departure: Tensor
    place: Tensor
    """see `Decoded`"""

    def first(self, count: int) -> "Output":
        """What it tells about the first `count` images."""
        parts = Parts(*(value[:count] for value in self.parts))
        return Output(parts, *(None if value is None else value[:count] for value in self[1:]))

    def whole(self) -> Assembly:
        """The object capsule."""
        return Assembly(self.depth, self.albedo, self.parts.visibility, self.soft_visibility, self.shift)
