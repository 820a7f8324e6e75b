"""HP-Capsule: a face parsed into subparts, and subparts into parts.

Yu, Zhu, Zhang, Wang, Zhang and Lei, "HP-Capsule: Unsupervised Face Part Discovery by Hierarchical Parsing
Capsule Network", CVPR 2022. Subpart capsules (pose, visibility, special features) place explicit templates
with masks. A transformer, the parsing module, assigns every subpart to one of M part capsules, whose poses
must predict those of their subparts; the image is drawn again from these predictions. The capsules, templates
and attention blocks are those of `peers.scae`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc.errors import UserError
from peers.base import Peer, chunked, instability
from peers.scae import SPECIAL, AttentionBlock, PartEncoder, Templates, affine, chain, joint, winners

SUBPART = 0.45
"""Half the side of the largest subpart, in half images."""
PART = 1.0
"""The largest scale of a part's pose."""


class ParsingModule(nn.Module):
    """Subpart capsules to part capsules: subparts look at each other, M part queries look at the subparts,
    and every subpart goes to the part whose query answers best."""

    def __init__(self, subparts: int, parts: int, width: int = 64):
        super().__init__()
        self.embed = nn.Linear(6 + 1 + SPECIAL, width)
        self.which = nn.Parameter(0.5 * torch.randn(subparts, width))
        self.mix = nn.ModuleList(AttentionBlock(width) for _ in range(2))
        self.queries = nn.Parameter(torch.randn(parts, width))
        self.pool = nn.ModuleList(AttentionBlock(width) for _ in range(2))
        self.key, self.query = nn.Linear(width, width), nn.Linear(width, width)
        self.read = nn.Linear(width, 6)
        self.relation = nn.Parameter(0.1 * torch.randn(parts, subparts, 6))

    def forward(self, pose: Tensor, visibility: Tensor, special: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From affine maps (B, N, 2, 3), visibilities (B, N) and features (B, N, SPECIAL): the assignment
        (B, M, N), which sums to 1 over the parts; the parts' affine maps (B, M, 2, 3); and the subparts' maps
        as each part predicts them (B, M, N, 2, 3)."""
        members = (
            self.embed(torch.cat((pose.flatten(2), visibility[..., None], special), dim=-1)) + self.which
        )
        for block in self.mix:
            members = block(members, members)
        parts = self.queries.expand(len(pose), -1, -1)
        for block in self.pool:
            parts = block(parts, members)
        logits = self.query(parts) @ self.key(members).transpose(1, 2) / math.sqrt(members.shape[-1])
        assignment = logits.softmax(dim=1)
        # a part sits among its subparts: its place is their mean, and what the token adds
        share = assignment * visibility[:, None] + 1e-4
        middle = (share / share.sum(dim=2, keepdim=True)) @ pose[..., 2]
        raw = self.read(parts)
        whole = affine(torch.cat((raw[..., :4], middle + 0.3 * raw[..., 4:].tanh()), dim=-1), PART)
        return assignment, whole, chain(whole[:, :, None], affine(self.relation, PART))


class HPCapsuleNet(nn.Module):
    """Subparts, templates and the parsing module. `size`: S. `parts`: M. `subparts`: N. `width`: of the
    convolutions. `sigma`: standard deviation of a pixel about its template."""

    def __init__(self, size: int, parts: int, subparts: int = 24, width: int = 64, sigma: float = 0.15):
        super().__init__()
        if subparts < parts:
            raise UserError(
                f"HP-Capsule needs a subpart for every part: 'subparts' is {subparts}, not {parts}."
            )
        self.sigma = sigma
        self.encoder, self.templates = PartEncoder(subparts, width, SUBPART), Templates(subparts, size)
        self.parse = ParsingModule(subparts, parts)

    def loss(self, images: Tensor) -> Tensor:
        """Both reconstructions, from the subparts and from what the parts predict of them; how well they
        predict; assignments that are sharp, even and compact."""
        pose, visibility, special = self.encoder(images)
        fine = self.unlikely(images, pose, visibility, special)
        assignment, whole, votes = self.parse(pose.detach(), visibility.detach(), special.detach())
        error = (votes - pose.detach()[:, None]).flatten(3).square().sum(dim=-1)
        seen = assignment * visibility.detach()[:, None]
        predict = (seen * (error + 1e-4).sqrt()).sum(dim=1).mean()
        away = (whole[:, :, None, :, 2] - pose.detach()[:, None, :, :, 2]).square().sum(dim=-1)
        compact = (seen * away).sum(dim=1).mean()
        predicted = (assignment[..., None, None] * votes).sum(dim=1)
        coarse = self.unlikely(images, predicted, visibility, special)
        return fine + 0.2 * coarse + predict + compact + self.sharp_and_even(assignment, visibility.detach())

    def unlikely(self, images: Tensor, pose: Tensor, visibility: Tensor, special: Tensor) -> Tensor:
        """Mean negative log likelihood of the pixels, drawn at half the size where that is 32 or more."""
        shrink = 2 if images.shape[-1] >= 64 else 1
        weight, colour = self.templates(images, pose, visibility, special, shrink)
        return -joint(F.avg_pool2d(images, shrink), weight, colour, self.sigma).logsumexp(dim=1).mean()

    def sharp_and_even(self, assignment: Tensor, visibility: Tensor) -> Tensor:
        """Every subpart goes to one part (entropy), and over the batch no part goes empty (its share of the
        subparts against an even one)."""
        entropy = -(assignment * (assignment + 1e-6).log()).sum(dim=1).mean()
        share = (assignment * visibility[:, None]).sum(dim=(0, 2)) / visibility.sum().clamp(min=1e-3)
        return 0.2 * entropy + math.log(len(share)) + (share * (share + 1e-6).log()).sum()

    def regions(self, images: Tensor) -> Tensor:
        """How much of each pixel each part covers, and, last, the background: (B, M + 1, S, S)."""
        pose, visibility, special = self.encoder(images)
        weight, colour = self.templates(images, pose, visibility, special)
        owned = joint(images, weight, colour, self.sigma).softmax(dim=1)
        assignment = self.parse(pose, visibility, special)[0]
        parts = torch.einsum("bmn,bnhw->bmhw", assignment, owned[:, :-1])
        return torch.cat((parts, owned[:, -1:]), dim=1)


class HPCapsule(Peer):
    name = "HP-Capsule"
    source = (
        "C. Yu, X. Zhu, X. Zhang, Z. Wang, Z. Zhang, Z. Lei: HP-Capsule: Unsupervised Face Part Discovery by "
        "Hierarchical Parsing Capsule Network. CVPR 2022."
    )
    deviations = (
        "Rebuilt from the paper's abstract, as neither code nor its full text was at hand: layer sizes, "
        "weights, and the terms that keep parts compact and even are ours.",
        "The part's mask is the union of its subparts' masks, by the assignment of the parsing module.",
        "Subparts learn from both reconstructions, but not from the parsing's own terms.",
        "While it is fitted, images of 64 pixels and more are drawn at half their size.",
        "The background is the membrane that the picture's border spans; the original shows cropped faces.",
        "A term that keeps the subparts of a part together and one that keeps all parts in use are ours.",
    )
    settings = (
        {"subparts": 24, "sigma": 0.15, "lr": 1e-3, "width": 64, "batch_size": 32},
        {"subparts": 24, "sigma": 0.1, "lr": 2e-3, "width": 32, "batch_size": 32},
        {"subparts": 12, "sigma": 0.15, "lr": 2e-3, "width": 32, "batch_size": 32},
    )

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        super().__init__(size, parts, seed, **setting)
        chosen = {name: self.setting[name] for name in ("subparts", "width", "sigma")}
        self.model = HPCapsuleNet(size, parts, **chosen)

    def fit(self, dataset, minutes: float, report=None) -> None:
        self.descend(dataset, minutes, report)

    def labels(self, images: Tensor) -> Tensor:
        """The part that covers most of a pixel."""
        return chunked(lambda part: winners(self.model.regions(part)), images)

    def features(self, images: Tensor) -> Tensor:
        """Visibilities of the subparts, and what they look like: all but the poses, which are not the
        person's, (B, 17 N)."""

        def capsules(part: Tensor) -> Tensor:
            _, visibility, special = self.model.encoder(part)
            return torch.cat((visibility, special.flatten(1)), dim=1)

        return chunked(capsules, images)

    def pictures(self, images: Tensor) -> Tensor:
        """Drawn from the subparts."""

        def mean(part: Tensor) -> Tensor:
            weight, colour = self.model.templates(part, *self.model.encoder(part))
            return (weight.exp()[:, :, None] * colour).sum(dim=1)

        return chunked(mean, images, 16)

    def validation_loss(self, images: Tensor) -> float:
        """How little the labels follow small changes of the pictures, see `base.instability`."""
        return instability(self.labels, images, self.parts, self.seed)
