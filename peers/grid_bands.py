"""Two floors that look at nothing but the outline: bands and a grid of the box around the foreground."""

from torch import Tensor

from igc import floors
from peers.base import Peer, foreground


class Bands(Peer):
    name = "six bands"
    source = "a floor: horizontal bands of equal height"
    deviations = ("The box is that of the shared cue for the foreground, not of the true face.",)

    def labels(self, images: Tensor) -> Tensor:
        mask = foreground(images)
        return floors.bands(mask, self.parts) * mask


class Grid(Peer):
    name = "2 x 3 grid"
    source = "a floor: three rows of two cells"
    deviations = (
        "The box is that of the shared cue for the foreground, not of the true face.",
        "It has six parts, whatever number is asked for.",
    )

    def labels(self, images: Tensor) -> Tensor:
        mask = foreground(images)
        return floors.grid_2x3(mask) * mask
