"""Models of checkpoint format 6, so that weights which were trained before parts were found can still be
read.

There the parts' depths held surface and borders at once, fine detail was each part's own, and nothing was
moved. Such a model explains and is edited like any other; training starts from newer weights.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc.capsules import Assembly, straight_through
from igc.config import ModelConfig
from igc.model import IGCNet
from igc.networks import PartDecoder, upsample
from igc.outputs import Decoded

OWN = 0.3
"""Share of the parts' own mean depths beside what they had in common."""


class FormerNet(IGCNet):
    """An IGCNet as it was in format 6; `config` is its description, `start` left out."""

    format = 6

    def described(self) -> dict:
        return {name: value for name, value in self.config.to_dict().items() if name != "background"}

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        new = "layout", "place_decoder", "common_detail", "common_tint", "common_support", "usual_error"
        for name in (*new, "log_relief", "common_depth", "pivot"):
            delattr(self, name)
        parts, size = config.parts, config.size
        self.depth_decoder = _decoder(config, (parts, size // 2, size // 2))
        self.support_decoder = _decoder(config, (parts, size // 4, size // 4))
        self.albedo_decoder = _decoder(config, (parts, 3, size // 8, size // 8))
        self.detail_decoder = _decoder(config, (parts, 3, size // 2, size // 2))
        self.common_depth = nn.Parameter(torch.zeros(size // 2, size // 2))
        self.register_buffer("mean_angles", torch.zeros(4))

    def decode(self, shape_code: Tensor, albedo_code: Tensor) -> Decoded:
        size = self.config.size
        mean = self.common_depth + OWN * self.depth_decoder.template
        nearness = (-self.config.sharpness * self.config.depth_range * mean.tanh()).softmax(dim=0)
        departure = (nearness * self._run(self.depth_decoder, shape_code)).sum(dim=1, keepdim=True)
        smooth = self.albedo_decoder.template + self._run(self.albedo_decoder, albedo_code)
        detail = self.detail_decoder.template + self._run(self.detail_decoder, albedo_code)
        own_support = self._run(self.support_decoder, shape_code).mean(dim=1, keepdim=True)
        surface, support = mean + departure, self.support_decoder.template.mean(dim=0) + own_support
        if self.config.symmetric_shape:
            surface, support = (0.5 * (each + each.flip(-1)) for each in (surface, support))
        depth = 1 + self.config.depth_range * upsample(surface, size).tanh()
        colour = (upsample(smooth, size) + upsample(detail, size)).sigmoid()
        shift, place = depth.new_zeros(len(depth), 2, size, size), depth.new_zeros(*shape_code.shape[:2], 3)
        return Decoded(depth, colour, upsample(support, size), own_support, shift, departure, place)

    def assemble(self, decoded: Decoded) -> Assembly:
        """There the winner's albedo was the object's."""
        whole = super().assemble(decoded)
        winner = straight_through((-self.config.sharpness * decoded.depth).softmax(dim=1), dim=1)
        return whole._replace(albedo=(winner[:, :, None] * decoded.albedo).sum(dim=1))

    def expected_error(self, features: Tensor) -> Tensor:
        error = upsample(self.to_confidence(features.detach()), self.config.size)
        return F.softplus(error) + 0.05

    def posed(self, votes: Tensor) -> Tensor:
        turn = math.radians(self.config.rotation_range) * votes[..., :3].tanh()
        return torch.cat((turn, self.config.translation_range * (0.2 * votes[..., 3:]).tanh()), dim=-1)

    def votes(self, view_code: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        poses, lights, _, light = super().votes(view_code)
        return poses, lights, poses.mean(dim=1), light


def _decoder(config: ModelConfig, shape: tuple[int, ...]) -> PartDecoder:
    """A decoder whose parts have templates of their own."""
    decoder = PartDecoder(config.channels, 8 * config.width, shape)
    decoder.template = nn.Parameter(torch.zeros(shape))
    return decoder


def load(described: dict, tensors: dict[str, Tensor]) -> FormerNet:
    """The model that a `config.json` of format 6 and its weights describe."""
    if not isinstance(described, dict) or "background" in described:
        raise ValueError("its settings are not those of format 6")
    settings = {name: value for name, value in described.items() if name != "start"}
    model = FormerNet(ModelConfig.from_dict(settings))
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    new = {name for name in missing if not name.startswith(("centred.", "upright."))}
    if new or unexpected:
        raise RuntimeError(f"its tensors are not those of format 6: {sorted(new) or unexpected}")
    return model
