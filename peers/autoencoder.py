"""A 2D auto-encoder: no parts, no depth; what it knows of a face is its code."""

import torch.nn.functional as F
from torch import Tensor, nn

from igc.networks import Encoder
from peers.base import Peer, chunked, train_loop


class AutoEncoder(Peer):
    name = "2D auto-encoder"
    source = (
        "G. Hinton, R. Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 2006"
    )
    deviations = (
        "Convolutional, with our own encoder's layers, and trained as a whole by Adam; the published one is "
        "fully connected and trained layer by layer.",
    )
    settings = ({"code": 384, "lr": 1e-3}, {"code": 384, "lr": 5e-4}, {"code": 384, "lr": 2e-3})
    """`code`: length of the code (at least as many numbers as our components have); `lr`: learning rate."""

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        super().__init__(size, parts, seed, **setting)
        self.model = Network(size, self.setting["code"])

    def fit(self, dataset, minutes: float, report=None) -> None:
        def loss(images: Tensor) -> Tensor:
            return (self.model(images) - images).abs().mean()

        train_loop(
            self.model, dataset, loss, minutes, 16, self.setting["lr"], self.seed, report, flip=self.flip
        )

    def features(self, images: Tensor) -> Tensor:
        return chunked(self.model.encode, images)

    def pictures(self, images: Tensor) -> Tensor:
        return chunked(self.model, images)

    def validation_loss(self, images: Tensor) -> float:
        return float((self.pictures(images) - images).abs().mean())


class Network(nn.Module):
    """Images (B, 3, S, S) to a code (B, C) and back."""

    def __init__(self, size: int, code: int, width: int = 32):
        super().__init__()
        self.small = size // 8
        self.encoder = Encoder(size, width, 8 * width)
        self.to_code = nn.Linear(8 * width, code)
        self.from_code = nn.Linear(code, 4 * width * self.small**2)
        self.decoder = nn.Sequential(
            _up(4 * width, 2 * width),
            _up(2 * width, width),
            _up(width, width),
            nn.Conv2d(width, 3, 3, padding=1),
        )

    def encode(self, images: Tensor) -> Tensor:
        return self.to_code(self.encoder(images)[1])

    def forward(self, images: Tensor) -> Tensor:
        maps = F.leaky_relu(self.from_code(self.encode(images)), 0.1)
        return self.decoder(maps.unflatten(1, (-1, self.small, self.small))).sigmoid()


def _up(inputs: int, outputs: int) -> nn.Sequential:
    """Doubles the resolution."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.GroupNorm(max(1, outputs // 8), outputs),
        nn.LeakyReLU(0.1),
    )
