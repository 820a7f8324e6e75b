"""Whether pictures of faces have a background that can be read off their border (ours).

Where the background is taken from the border of the picture (see `igc.background`), the border must show what
is behind the head. In a crop that the face fills it shows the face, which then counts as background.
"""

import warnings

import torch
from torch import Tensor
from torch.nn.functional import interpolate

DRAWN = {"border": "head", "none": "face"}
"""What the embedded drawn faces show (their `frame`) to a model whose background is so."""

LOOKED_AT = 256
"""So many pictures of a set are enough."""

SIDE, BAND = 32, 2
"""They are looked at on so many pixels; so many of these are the border's depth."""

ALIKE = 0.14
"""Two colours, in [0, 1], that are nearer than this are alike."""

COMMON = 0.2
"""A colour is one of the face's if so large a share of the middle is alike."""

FILLED = 0.25
"""Share of a border in the face's colours from which on the face fills the frame. Crops that are known to be
tight are above it and whole heads below, for all draws of 32 pictures of each of eight sets."""

COLOURED = 0.02
"""A picture whose channels differ by less, in the mean, is grey: it has no colours to compare."""


def fills_the_frame(images: Tensor) -> bool:
    """Whether the faces of `images`, uint8 (N, 3, S, S), fill their frames: whether in half of the pictures
    the border is made of what the middle is made of. Never so of grey pictures, which do not tell."""
    share = of_the_face(images)
    return len(share) > 0 and bool(share.median() > FILLED)


def of_the_face(images: Tensor) -> Tensor:
    """The share of each coloured picture's upper, left and right border that has a colour of its middle."""
    small = interpolate(images.cpu().float() / 255, size=(SIDE, SIDE), mode="area")
    small = small[(small.amax(dim=1) - small.amin(dim=1)).mean(dim=(1, 2)) > COLOURED]
    sides = small[..., BAND:, :BAND].flatten(2), small[..., BAND:, -BAND:].flatten(2)
    border = torch.cat((small[..., :BAND, :].flatten(2), *sides), dim=2).mT
    third = slice(SIDE // 3, SIDE - SIDE // 3)
    middle = small[..., third, third].flatten(2).mT
    alike = torch.cdist(border, middle) < ALIKE
    return (alike.float().mean(dim=2) > COMMON).float().mean(dim=1)


def warn_if_filled(images: Tensor, stacklevel: int = 2) -> None:
    """One warning where the border of `images`, uint8 (N, 3, S, S), shows the face and not what is behind."""
    if fills_the_frame(images):
        warnings.warn(
            "The border of most pictures looks like their middle, as if the face filled the frame, and "
            "background='border' takes it for what is behind the head: choose background='none' "
            "(--background none), or bring pictures with room around the head.",
            stacklevel=stacklevel + 1,
        )
