"""Which part a canonical point belongs to: a mixture of M Gaussians over the points of the face.

What lies together, looks alike, bends alike and varies together is one part: shape and albedo are the cues,
as in the paper. A point is known by its place, by the colour of its albedo and the normal of its surface,
with their means and covariances over the faces and with how far colours are off in the pictures, and by how
it varies with the other points: its correlations with the commonest variations of a face's brightness. The
parts are cells that know nothing of faces until colours are known; then the likeliest mixture is looked for,
from many random cells (all ours).
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from igc import ranks
from igc.cells import equal_cells, random_cells

RATE = 0.03
"""Share of a running mean that a step replaces; the first steps replace more."""

NOISE = {"place": (1e-3,) * 2, "colour": (1e-3,) * 3, "normal": (0.36,) * 2, "variation": (0.1,) * 6}
"""Variances that are taken for granted: of the place in units of the half frame, of colours in [0, 1], of
unit normals, which are known to some 40 degrees, and of correlations with the commonest variations."""

CUES = {"albedo": ("place", "colour", "variation"), "shape": ("place", "normal"), "both": tuple(NOISE)}
"""What tells parts apart, by the cues that are used."""

LEAST = 0.1
"""A part that has less than this share of an equal part of what is seen takes half of the largest part."""

SURE = 2 / 3
"""From this responsibility on a point stays its part's own in a grid twice as fine, whatever is beside it."""

STARTS, STEPS, SAME = 16, 60, 1e-3
"""Random cells that the search begins with, the steps of the EM algorithm from each, and a difference of log
likelihoods that is none."""


class Mixture(nn.Module):
    """M mirror-symmetric parts on a grid of h x h canonical points, of which the right half, P = h * h/2, is
    kept."""

    def __init__(self, parts: int, inside: Tensor, cues: str = "both"):
        """`inside` (h, h) bool: where the parts start, with equal shares. `cues`: which features beside the
        place tell parts apart, a name in `CUES`."""
        super().__init__()
        self.cues = CUES[cues]
        cells = right(equal_cells(parts, inside))
        self.register_buffer("inside", inside, persistent=False)
        self.register_buffer("logits", begun(cells))
        """(M, h, h/2): of the parts' responsibilities for the points, the E step's result"""
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(cells.shape[1:]))
        """(h, h/2): how often a point is seen"""
        self.register_buffer("mean", torch.zeros(5, *cells.shape[1:]))
        """(5, h, h/2): of colour and normal (across, away from the middle, and down), times `seen`"""
        self.register_buffer("square", torch.zeros(5, 5, *cells.shape[1:]))
        """(5, 5, h, h/2): of their products, times `seen`"""
        self.register_buffer("error", torch.zeros(cells.shape[1:]))
        """(h, h/2): of the mean absolute error of the colour that is drawn, times `seen`"""
        self.register_buffer("brightness", torch.zeros(cells.shape[1:]))
        """(h, h/2): of the brightness without shading, times `seen`"""
        self.register_buffer("together", torch.zeros(2 * (cells[0].numel(),)))
        """(P, P): of the products of two points' departures from their brightness, where they are seen"""

    @torch.no_grad()
    def update(self, colour: Tensor, normal: Tensor, error: Tensor, bright: Tensor, seen: Tensor) -> None:
        """Learns how the points look from a batch: the albedo's `colour` and the `normal` (B, 3, h, h), the
        mean absolute `error` of the drawing there, how `bright` the picture is there without shading, and
        how far each point is `seen` (B, h, h)."""
        both = torch.cat((colour, normal[:, :2]), dim=1)
        away = both.new_tensor([1.0, 1.0, 1.0, -1.0, 1.0])[:, None, None]
        sample = torch.cat((right(both), right(both.flip(-1)) * away))
        seen, error, bright = (torch.cat((right(x), right(x.flip(-1)))) for x in (seen, error, bright))
        self.steps += 1
        self.learn("seen", seen.mean(dim=0))
        self.learn("mean", (seen[:, None] * sample).mean(dim=0))
        self.learn("square", torch.einsum("nxy,nixy,njxy->ijxy", seen, sample, sample) / len(sample))
        self.learn("error", (seen * error).mean(dim=0))
        self.learn("brightness", (seen * bright).mean(dim=0))
        departure = (seen * (bright - self.brightness / self.seen.clamp(min=1e-3))).flatten(1)
        self.learn("together", departure.T @ departure / len(departure))

    def learn(self, name: str, found: Tensor) -> None:
        """Moves a running mean towards what a batch gives."""
        getattr(self, name).lerp_(ranks.mean(found), (1 / self.steps).clamp(min=RATE))

    @torch.no_grad()
    def search(self, seed: int) -> None:
        """Finds the likeliest mixture near the present parts and near other cells: the EM algorithm finds the
        best one near its start only. The parts keep their numbers as far as they stay where they were."""
        generator, points, tried = torch.Generator().manual_seed(seed), self.points(), []
        cells = (random_cells(len(self.logits), self.inside, generator) for _ in range(STARTS))
        for logits in (self.logits, *(begun(right(each)) for each in cells)):
            for _ in range(STEPS):
                logits, likely = em_step(logits, *points)
            tried.append((likely, logits))
        best = max(likely for likely, _ in tried) - SAME
        logits = next(logits for likely, logits in tried if not likely < best)  # the first of equals
        common = self.logits.softmax(dim=0).flatten(1) @ logits.softmax(dim=0).flatten(1).T
        order = torch.from_numpy(linear_sum_assignment(common.nan_to_num().cpu().numpy(), maximize=True)[1])
        self.logits.copy_(logits[order])

    def points(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The points' features (P, F), their covariances (P, F, F), and how much they weigh, (P,): as often
        as they are seen and as surely as their colour is known; last, as often as they are seen. F is 13 with
        both cues."""
        size, count = len(self.seen), self.seen.clamp(min=1e-3)
        axis = (torch.arange(size, device=count.device) + 0.5) / size * 2 - 1
        mean = self.mean / count
        values = {
            "place": torch.stack(torch.meshgrid(right(axis), axis, indexing="xy")),
            "colour": mean[:3], "normal": mean[3:], "variation": self.variation(),
        }  # fmt: skip
        taken = torch.diag(count.new_tensor([noise for name in self.cues for noise in NOISE[name]]))
        covariance = taken[..., None, None].repeat(1, 1, *count.shape)
        spread = self.square / count - mean[:, None] * mean[None, :]
        spread.diagonal()[..., :3] += (self.error / count).square()[..., None]
        known = torch.tensor([name in self.cues for name in ("colour", "normal") for _ in NOISE[name]])
        extent = slice(2, 2 + int(known.sum()))
        covariance[extent, extent] += spread[known][:, known]
        features = torch.cat([values[name] for name in self.cues]).flatten(1).T
        uncertain = NOISE["colour"][0] + spread.diagonal()[..., :3].mean(dim=-1)
        weight, area = (self.seen + 1e-4) / uncertain, self.seen + 1e-4
        shares = (each.flatten() / each.sum() for each in (weight, area))
        return features, covariance.flatten(2).movedim(-1, 0), *shares

    def variation(self) -> Tensor:
        """(K, h, h/2): correlations of the points with the K commonest variations of a face's brightness, the
        principal components of correlations. What the noise of colours explains counts as noise."""
        scale = (self.together.diagonal() + NOISE["colour"][0]).rsqrt()
        share, direction = torch.linalg.eigh((scale[:, None] * self.together * scale).nan_to_num().double())
        count = len(NOISE["variation"])
        loading = direction[:, -count:] * share[-count:].clamp(min=0).sqrt()
        return loading.T.to(scale).unflatten(1, self.seen.shape)

    def forward(self, size: int) -> Tensor:
        """Logits (M, size, size) at the centres of a grid; the largest has the point."""
        whole = torch.cat((self.logits.flip(-1), self.logits), dim=-1)
        enlarged = nn.functional.interpolate(whole[None], (size, size), mode="bilinear", align_corners=False)
        half = right(enlarged[0])
        return torch.cat((half.flip(-1), half), dim=-1)


def right(maps: Tensor) -> Tensor:
    """The right half (..., h/2) of maps (..., h)."""
    return maps[..., maps.shape[-1] // 2 :]


def begun(cells: Tensor) -> Tensor:
    """Logits of parts that are in their one-hot `cells`, of any shape."""
    return (cells + 1e-6).log()


def em_step(
    logits: Tensor, features: Tensor, covariance: Tensor, weight: Tensor, area: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of the EM algorithm for Gaussians over uncertain points: logits (M, h, h/2) of what was to new
    ones, and the log likelihood of the Gaussians. The points have `features` (P, F), the first of which is
    how far they are from the middle, `covariance` (P, F, F), and `weight` and `area` (P,), which sum to 1.

    A point stands for all faces' samples at that point, and they go to one part together: what is summed is
    the expected log likelihood."""
    parts = logits.flatten(1).softmax(dim=0) * weight
    share = parts.sum(dim=1).clamp(min=1e-9)
    mean = parts @ features / share[:, None]
    apart = features - mean[:, None]
    inner = (parts @ covariance.flatten(1)).unflatten(1, covariance.shape[1:])
    total = (inner + (parts[..., None] * apart).mT @ apart) / share[:, None, None]
    factor, failed = torch.linalg.cholesky_ex(total.double())
    factor = torch.where(failed[:, None, None] > 0, torch.nan, factor)
    inverse = torch.cholesky_inverse(factor).to(total)
    distance = ((apart @ inverse) * apart).sum(dim=-1) + inverse.flatten(1) @ covariance.flatten(1).T
    volume = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1).to(total)
    found = share.log()[:, None] - 0.5 * (distance + volume[:, None])
    likely = (weight * found.logsumexp(dim=0)).sum()
    parts = revived(found.softmax(dim=0), features[:, 0], area)
    return parts.clamp(min=1e-13).log().unflatten(1, logits.shape[1:]), likely


def revived(parts: Tensor, across: Tensor, area: Tensor) -> Tensor:
    """Responsibilities `parts` (M, P), in which a part that hardly has a point for itself, as another
    Gaussian came to lie on it or nothing is seen there, gets the half of the largest part that is farther
    from the middle, `across` (P,). One part at a time."""
    mine = (parts > SURE).to(area)
    own = mine @ area
    smallest, largest = own.argmin(), own.argmax()
    middle = (mine[largest] * area) @ across / own[largest]
    given = mine[largest] * (across > middle) * (own[smallest] < LEAST / len(parts))
    back = nn.functional.one_hot(smallest, len(parts))[:, None] * given
    return parts * (1 - given) + back
