"""What gradient saliency on a 2D network says of the planted sets, for comparison with the capsules.

A small convolutional network learns to tell people by their photographs. Its saliency on photographs that it
has not seen is the absolute gradient of the right person's score by the pixels (Simonyan et al. 2014). The
true regions are used to add it up. It has no notion of shape or albedo: the most that it can say is where.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, nn

from igc.analysis import halves
from igc.data import FACE_PARTS, LABELS, SyntheticFaces

REGIONS = [*(LABELS[number] for number in FACE_PARTS), "elsewhere"]


def network(people: int, size: int, width: int = 16) -> nn.Sequential:
    """Four strided convolutions, a mean over the picture, and a score for each person."""
    layers, channels = [], 3
    for step in range(4):
        wide = width * 2**step
        layers += [nn.Conv2d(channels, wide, 3, 2, 1), nn.GroupNorm(4, wide), nn.ReLU()]
        channels = wide
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels * (size // 16) ** 2, people)
    )


def train(images: Tensor, who: Tensor, seed: int, epochs: int = 16) -> nn.Sequential:
    """Fitted by Adam on images (N, 3, S, S) and people 0.. (N,)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = network(int(who.max()) + 1, images.shape[-1])
        optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.01)
        for _ in range(epochs):
            for batch in torch.randperm(len(images)).split(32):
                optimiser.zero_grad()
                F.cross_entropy(net(images[batch]), who[batch]).backward()
                optimiser.step()
    return net.eval()


def saliency(
    planted: str, seed: int, people: int = 64, each: int = 8, size: int = 64
) -> tuple[ndarray, float]:
    """Each region's mean gradient a pixel over that of the whole picture, by person (regions, people), and
    the network's rank-1 on photographs that it was not trained on."""
    faces = SyntheticFaces("test", people * each, size, seed, per_identity=each, planted=planted)
    batch = faces.batch(range(len(faces)))
    identity = batch["identity"].numpy()
    who = torch.from_numpy(np.unique(identity, return_inverse=True)[1])
    split = halves(identity)
    net = train(batch["image"][split.gallery] - 0.5, who[split.gallery], seed)
    images = (batch["image"][split.probes] - 0.5).requires_grad_()
    scores = net(images)
    scores.gather(1, who[split.probes][:, None]).sum().backward()
    strength = images.grad.abs().mean(dim=1)
    truth = batch["labels"][split.probes]
    masks = torch.stack(
        [truth == number for number in FACE_PARTS] + [~torch.isin(truth, torch.tensor(FACE_PARTS))]
    )
    mean = (strength * masks).sum(dim=(2, 3)) / masks.sum(dim=(2, 3)).clamp(min=1)
    mean = mean / strength.mean(dim=(1, 2))
    by_person = torch.stack([mean[:, who[split.probes] == p].mean(dim=1) for p in range(people)], dim=1)
    right = (scores.argmax(dim=1) == who[split.probes]).float().mean()
    return by_person.numpy(), float(right)
