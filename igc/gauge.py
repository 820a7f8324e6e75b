"""What pictures leave open, fixed by how things are parametrised and not by a price (ours).

Which way a face looks at pose zero, and where it lies, is a matter of convention: turn the canonical face and
turn all poses back, and every picture stays the same. So the votes for the pose are counted from their mean
over the pictures. A face that leans back, and rolls as it turns to the side, gives nearly the same pictures
as one that does neither: so roll is counted from what goes with yaw. Which point a head turns about is not
known either: it is learned, once for all faces.
"""

import torch
from torch import Tensor, nn

from igc import geometry, ranks

RATE = 0.03
"""Share of a running mean that a step replaces; the first steps replace more."""


class Centred(nn.Module):
    """Votes (B, M, 6) of M parts for pitch, yaw, roll and translation, before their ranges are applied,
    counted from their running mean over the pictures."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, votes: Tensor) -> Tensor:
        """In training the mean follows, and no gradient pulls at a batch's mean: all votes would run away,
        and the running mean behind them."""
        if self.training and torch.is_grad_enabled():
            whole = ranks.mean(votes.mean(dim=(0, 1)))
            self.steps += 1
            self.mean.lerp_(whole.detach(), (1 / self.steps).clamp(min=RATE))
            votes = votes - (whole - whole.detach())
        return votes - self.mean

    @torch.no_grad()
    def measure(self, votes: Tensor) -> None:
        """Sets the mean to that of all these votes (N, M, 6)."""
        self.mean.copy_(votes.mean(dim=(0, 1)))


class Upright(nn.Module):
    """Centred votes (B, M, 6) whose roll is counted from what goes with yaw, in the means over the parts."""

    def __init__(self):
        super().__init__()
        self.register_buffer("moments", torch.zeros(2))
        """Running means of yaw times roll, and of yaw squared"""
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, votes: Tensor) -> Tensor:
        """In training the moments follow; no gradient pulls at a batch's share, for the reason above."""
        pull = 0.0
        if self.training and torch.is_grad_enabled():
            yaw, roll = votes[..., 1].mean(dim=1).detach(), votes[..., 2].mean(dim=1)
            found = ranks.mean(moments(yaw, roll))
            self.steps += 1
            self.moments.lerp_(found.detach(), (1 / self.steps).clamp(min=RATE))
            own = slope(found)
            pull = (own - own.detach()) * yaw[:, None]
        share = slope(self.moments)
        roll = votes[..., 2] - share * votes[..., 1].detach() - pull
        return torch.cat((votes[..., :2], roll[..., None], votes[..., 3:]), dim=-1)

    @torch.no_grad()
    def measure(self, votes: Tensor) -> None:
        """Sets the moments to those of all these centred votes (N, M, 6)."""
        self.moments.copy_(moments(*votes[..., 1:3].mean(dim=1).unbind(-1)))


def moments(yaw: Tensor, roll: Tensor) -> Tensor:
    """(2,): the means of yaw times roll, and of yaw squared, of centred votes (B,)."""
    return torch.stack(((yaw * roll).mean(), yaw.square().mean()))


def slope(moments: Tensor) -> Tensor:
    """How much of yaw there is in roll; 0 before anything was seen."""
    return moments[0] / moments[1].clamp(min=1e-6)


class Pivot(nn.Module):
    """The point that heads turn about, on the midline: learned, as `PACE` of a step's change."""

    PACE = 0.3

    def __init__(self, behind: float = 0.0):
        """`behind`: how far behind (0, 0, 1) it starts, in units of the distance to the camera."""
        super().__init__()
        self.offset = nn.Parameter(torch.tensor([0.0, behind / self.PACE]))
        """y and z from (0, 0, 1), in units of the distance to the camera, over `PACE`"""

    def forward(self, pose: Tensor) -> Tensor:
        """Poses (..., 6) about the pivot as poses about (0, 0, 1), as everybody else counts them."""
        offset = torch.cat((self.offset.new_zeros(1), self.PACE * self.offset))
        return geometry.turned_about(pose.flatten(0, -2), offset).view_as(pose)
