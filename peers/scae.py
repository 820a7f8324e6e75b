"""SCAE, the stacked capsule auto-encoder: images as posed templates, templates as parts of objects.

Kosiorek, Sabour, Teh and Hinton, "Stacked Capsule Autoencoders", NeurIPS 2019. Part capsules (pose, presence,
special features) are pooled from a convolutional map by attention; each places a learned template, and a
pixel is a mixture over templates and background. A set transformer reads the part capsules and finds object
capsules, which predict the poses of the parts by a mixture of votes.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc.background import Background
from peers.base import Peer, chunked, instability

SPECIAL = 16
"""Special features of a part capsule."""
PATCH = 11
"""Pixels of a side of a template."""
SMALLEST, LARGEST = 0.08, 0.7
"""Half the side of a posed template, in half images."""
OBJECTS = 8
VOTE_FLOOR = math.log(1e-3)
"""Log density of the vote that stands for parts which no object explains."""


class PartEncoder(nn.Module):
    """Images (B, 3, S, S) to part capsules: affine maps (B, N, 2, 3) from template to image, both from -1 to
    1, presences (B, N) in (0, 1) and special features (B, N, SPECIAL).

    Every capsule attends to places of the convolutional map and reads the mean of what is there."""

    def __init__(self, capsules: int, width: int, largest: float = LARGEST):
        super().__init__()
        self.largest = largest
        layers, inputs = [], 3
        for stride in (2, 2, 1, 1):
            layers += [
                nn.Conv2d(inputs, width, 3, stride, 1),
                nn.GroupNorm(max(1, width // 8), width),
                nn.ReLU(),
            ]
            inputs = width
        self.convolve = nn.Sequential(*layers)
        self.attend = nn.Conv2d(width, capsules, 1)
        self.read = nn.Conv2d(width, capsules * (7 + SPECIAL), 1)
        self.home = nn.Parameter(spread(capsules))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.convolve(2 * images - 1)
        attention = self.attend(maps).flatten(2).softmax(dim=-1)
        values = self.read(maps).flatten(2).unflatten(1, (attention.shape[1], -1))
        raw = (values * attention[:, :, None]).sum(dim=-1)
        axis = (torch.arange(maps.shape[-1], device=maps.device) + 0.5) * (2 / maps.shape[-1]) - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        place = attention @ torch.stack((x.flatten(), y.flatten()), dim=-1) + self.home + raw[..., 4:6]
        pose = affine(torch.cat((raw[..., :4], place), dim=-1), self.largest)
        return pose, (raw[..., 6] + 2).sigmoid(), raw[..., 7:]


class AttentionBlock(nn.Module):
    """A block of a set transformer: queries (B, Q, D) look at a set (B, N, D); returns (B, Q, D)."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, queries: Tensor, members: Tensor) -> Tensor:
        seen = self.first(queries + self.attention(queries, members, members, need_weights=False)[0])
        return self.second(seen + self.mix(seen))


class Templates(nn.Module):
    """N learned templates; `forward` places them and gives log mixing weights (B, N + 1, S, S), the last one
    the background's, and colours (B, N + 1, 3, S, S) in [0, 1]; S is the images' size over `shrink`."""

    def __init__(self, count: int, size: int):
        super().__init__()
        axis = torch.linspace(-1, 1, PATCH)
        bump = 2 - 4 * (axis[:, None] ** 2 + axis**2)
        self.alpha = nn.Parameter(bump.expand(count, 1, -1, -1) + 0.1 * torch.randn(count, 1, PATCH, PATCH))
        self.colour = nn.Parameter(0.1 * torch.randn(count, 3, PATCH, PATCH))
        self.tint = nn.Sequential(nn.Linear(SPECIAL, 32), nn.ReLU(), nn.Linear(32, 3))
        self.empty = nn.Parameter(torch.tensor(-1.5))
        self.background = Background(size)

    def forward(
        self, images: Tensor, pose: Tensor, presence: Tensor, special: Tensor, shrink: int = 1
    ) -> tuple[Tensor, Tensor]:
        both = torch.cat((self.alpha.sigmoid(), self.colour), dim=1)
        placed = place(both, pose, images.shape[-1] // shrink)
        weight = (placed[:, :, 0] * presence[..., None, None] + 1e-5).log()
        weight = torch.cat((weight, self.empty.expand_as(weight[:, :1])), dim=1)
        colour = (placed[:, :, 1:] + self.tint(special)[..., None, None]).sigmoid()
        behind = F.avg_pool2d(self.background(images), shrink)
        colour = torch.cat((colour, behind[:, None]), dim=1)
        return weight.log_softmax(dim=1), colour


class SCAENet(nn.Module):
    """Part capsules, templates and object capsules. `size`: S. `parts`: M. `width`: of the convolutions.
    `sigma`: standard deviation of a pixel about its template, in [0, 1]."""

    def __init__(self, size: int, parts: int, width: int = 64, sigma: float = 0.15):
        super().__init__()
        self.sigma = sigma
        self.encoder, self.templates = PartEncoder(parts, width), Templates(parts, size)
        self.objects = ObjectCapsules(parts)

    def explain(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Log joint density of colour and component (B, M + 1, S, S), and colours (B, M + 1, 3, S, S)."""
        weight, colour = self.templates(images, *self.encoder(images))
        return joint(images, weight, colour, self.sigma), colour

    def loss(self, images: Tensor) -> Tensor:
        capsules = self.encoder(images)
        log_density = joint(images, *self.templates(images, *capsules), self.sigma)
        pixels = -log_density.logsumexp(dim=1).mean()
        return pixels + 0.1 * self.objects.loss(*(each.detach() for each in capsules))


class ObjectCapsules(nn.Module):
    """A set transformer from part capsules to K object capsules, and their votes for the parts' poses."""

    def __init__(self, parts: int, objects: int = OBJECTS, width: int = 64):
        super().__init__()
        self.embed = nn.Linear(6 + 1 + SPECIAL, width)
        self.which = nn.Parameter(0.5 * torch.randn(parts, width))
        self.mix = nn.ModuleList(AttentionBlock(width) for _ in range(3))
        self.seeds = nn.Parameter(torch.randn(objects, width))
        self.pool = AttentionBlock(width)
        self.read = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1 + 6 + 8 * parts))
        self.relation = nn.Parameter(0.3 * torch.randn(objects, parts, 6))

    def forward(self, pose: Tensor, presence: Tensor, special: Tensor) -> tuple[Tensor, ...]:
        """Presences (B, K), votes for the affine maps (B, K, M, 2, 3), log weights (B, K, M) and log standard
        deviations (B, K, M) of the votes."""
        members = self.embed(torch.cat((pose.flatten(2), presence[..., None], special), dim=-1)) + self.which
        for block in self.mix:
            members = block(members, members)
        read = self.read(self.pool(self.seeds.expand(len(pose), -1, -1), members))
        parts = self.relation.shape[1]
        each = read[..., 7:].unflatten(-1, (parts, 8))
        view, own = affine(read[..., 1:7], 1.5), affine(self.relation + 0.1 * each[..., :6].tanh(), 1.0)
        active = read[..., 0].sigmoid()
        weight = (active[..., None] * each[..., 6].sigmoid() + 1e-6).log()
        return active, chain(view[:, :, None], own), weight, each[..., 7].clamp(-3, 2) - 1

    def loss(self, pose: Tensor, presence: Tensor, special: Tensor) -> Tensor:
        """Negative log likelihood of the parts' poses, and sparse objects: few active in an image, all of
        them active now and then."""
        active, votes, weight, spread_ = self(pose, presence, special)
        square = (votes - pose[:, None]).flatten(3).square().sum(dim=-1)
        density = -0.5 * square * (-2 * spread_).exp() - 6 * spread_
        nobody = torch.full_like(weight[:, :1], VOTE_FLOOR)
        weight = torch.cat((weight, nobody), dim=1).log_softmax(dim=1)
        density = torch.cat((density, nobody), dim=1)
        likelihood = ((weight + density).logsumexp(dim=1) * presence).sum(dim=1).mean()
        batch, objects = active.shape
        within = (active.sum(dim=1) - 1).square().mean()
        between = (active.sum(dim=0) / batch - 1 / objects).square().mean() * objects
        return within + between - likelihood / pose.shape[1]


class SCAE(Peer):
    name = "SCAE"
    source = "A. R. Kosiorek, S. Sabour, Y. W. Teh, G. E. Hinton: Stacked Capsule Autoencoders. NeurIPS 2019."
    deviations = (
        "As many templates as parts are asked for, in three colours; the original has 24 to 40 in one.",
        "The background component is the membrane that the picture's border spans, with a learned weight.",
        "A capsule's place is where it attends, plus a learned offset; capsules start spread over the image.",
        "Part capsules learn from the image only: object capsules see them, but pass no gradient to them.",
        "There are 8 object capsules, one of them expected in an image, and no sparsity of their posterior.",
    )
    settings = (
        {"sigma": 0.15, "lr": 1e-3, "width": 64, "batch_size": 32},
        {"sigma": 0.08, "lr": 1e-3, "width": 64, "batch_size": 32},
        {"sigma": 0.15, "lr": 3e-3, "width": 32, "batch_size": 32},
    )

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        super().__init__(size, parts, seed, **setting)
        self.model = SCAENet(size, parts, self.setting["width"], self.setting["sigma"])

    def fit(self, dataset, minutes: float, report=None) -> None:
        self.descend(dataset, minutes, report)

    def labels(self, images: Tensor) -> Tensor:
        """The template that most probably drew a pixel."""
        return chunked(lambda part: winners(self.model.explain(part)[0]), images)

    def features(self, images: Tensor) -> Tensor:
        """Presences of the objects and of the parts, and what the parts look like: all but the poses, which
        are not the person's, (B, 8 + 17 M)."""

        def capsules(part: Tensor) -> Tensor:
            pose, presence, special = self.model.encoder(part)
            active = self.model.objects(pose, presence, special)[0]
            return torch.cat((active, presence, special.flatten(1)), dim=1)

        return chunked(capsules, images)

    def pictures(self, images: Tensor) -> Tensor:
        def mean(part: Tensor) -> Tensor:
            weight, colour = self.model.templates(part, *self.model.encoder(part))
            return (weight.exp()[:, :, None] * colour).sum(dim=1)

        return chunked(mean, images)

    def validation_loss(self, images: Tensor) -> float:
        """How little the labels follow small changes of the pictures, see `base.instability`."""
        return instability(self.labels, images, self.parts, self.seed)


def affine(raw: Tensor, largest: float = LARGEST) -> Tensor:
    """Numbers (..., 6): two scales, a turn, a shear and a place, to maps (..., 2, 3) that take template to
    image. Scales lie between SMALLEST and `largest`, turns within +-pi, shears within +-0.5."""
    scale = SMALLEST + (largest - SMALLEST) * raw[..., :2].sigmoid()
    turn, shear = math.pi * (0.3 * raw[..., 2]).tanh(), 0.5 * raw[..., 3].tanh()
    cos, sin = turn.cos(), turn.sin()
    first = torch.stack((cos * scale[..., 0], (cos * shear - sin) * scale[..., 1], raw[..., 4]), dim=-1)
    second = torch.stack((sin * scale[..., 0], (sin * shear + cos) * scale[..., 1], raw[..., 5]), dim=-1)
    return torch.stack((first, second), dim=-2)


def chain(outer: Tensor, inner: Tensor) -> Tensor:
    """The affine map (..., 2, 3) that applies `inner` first and then `outer`."""
    turned = outer[..., :2] @ inner
    return torch.cat((turned[..., :2], turned[..., 2:] + outer[..., 2:]), dim=-1)


def place(templates: Tensor, pose: Tensor, size: int) -> Tensor:
    """Templates (N, C, h, h) drawn where the maps (B, N, 2, 3) put them: (B, N, C, size, size), 0 outside."""
    (a, b, x), (c, d, y) = (row.unbind(-1) for row in pose.unbind(-2))
    inverse = torch.stack((d, -b, -c, a), dim=-1).unflatten(-1, (2, 2)) / (a * d - b * c)[..., None, None]
    shift = -inverse @ torch.stack((x, y), dim=-1)[..., None]
    grid = F.affine_grid(
        torch.cat((inverse, shift), dim=-1).flatten(0, 1), (pose[..., 0, 0].numel(), 1, size, size), False
    )
    repeated = templates.expand(len(pose), *templates.shape).flatten(0, 1)
    return F.grid_sample(repeated, grid, align_corners=False).unflatten(0, pose.shape[:2])


def joint(images: Tensor, weight: Tensor, colour: Tensor, sigma: float) -> Tensor:
    """Log density (B, C, S, S) of each pixel's colour and its component, from log weights (B, C, S, S) and
    colours (B, C, 3, S, S); Gauss's law, up to a constant that depends on `sigma`."""
    return weight - (images[:, None] - colour).square().sum(dim=2) / (2 * sigma * sigma)


def winners(log_joint: Tensor) -> Tensor:
    """(B, M + 1, S, S), the background last, to labels (B, S, S): 0 where the background wins."""
    best = log_joint.argmax(dim=1)
    return torch.where(best == log_joint.shape[1] - 1, 0, best + 1)


def spread(count: int) -> Tensor:
    """Places (count, 2) from -1 to 1, spread evenly over the middle of the image: a sunflower's."""
    index = torch.arange(count)
    radius, turn = 0.6 * ((index + 0.5) / count).sqrt(), index * (math.pi * (3 - math.sqrt(5)))
    return torch.stack((radius * turn.cos(), radius * turn.sin()), dim=-1)
