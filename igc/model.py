"""IGCNet, the Inverse Graphics Capsule Network, as a row of small steps:

encode -> decompose -> decode -> assemble -> shade -> pose -> render.

Everything up to `shade` lives in the canonical frame, the face seen from the front; `pose` moves it to
where the photograph was taken from.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from igc import geometry, shading
from igc.background import Background
from igc.capsules import Assembly, Decomposition, assemble, close, initial_depth, initial_support
from igc.config import ModelConfig
from igc.errors import UserError
from igc.files import write_tensors, write_text
from igc.networks import Encoder, PartDecoder, upsample
from igc.outputs import Decoded, Output, Parts, View
from igc.raster import interpolate, rasterize
from igc.raster.outlines import blend_outlines

FORMAT = 6
"""Version of the checkpoint's layout; a checkpoint of another version is refused."""

OWN = 0.3
"""Rate at which the parts' mean depths learn what they have of their own, beside what they have in common:
first the relief, then the borders, which follow from small differences of depth (ours)."""

SHIPPED = Path(__file__).parent / "checkpoints"


class IGCNet(nn.Module):
    """The network. `config` fixes its size; see `Output` for what `model(images)` returns."""

    def __init__(self, config: ModelConfig | None = None):
        super().__init__()
        self.config = config = config or ModelConfig()
        features, hidden = 8 * config.width, 8 * config.width
        self.encoder = Encoder(config.size, config.width, features)
        self.to_shape = nn.Linear(features, config.channels)
        self.to_albedo = nn.Linear(features, config.channels)
        self.to_view = nn.Linear(features, config.channels)
        self.decomposition = Decomposition(config.channels, config.parts, config.shared_attention)
        coarse, fine = config.size // 8, config.size // 2
        start = initial_depth(config.parts, fine, config.start)
        self.common_depth = nn.Parameter(start.mean(dim=0))
        self.depth_decoder = PartDecoder(config.channels, hidden, (start - start.mean(dim=0)) / OWN)
        ellipse = initial_support(config.size // 4).expand(config.parts, -1, -1)
        self.support_decoder = PartDecoder(config.channels, hidden, ellipse)
        blank = torch.zeros(config.parts, 3, coarse, coarse)
        self.albedo_decoder = PartDecoder(config.channels, hidden, blank)
        self.detail_decoder = PartDecoder(config.channels, hidden, torch.zeros(config.parts, 3, fine, fine))
        self.vote = nn.Linear(config.channels, 6 + 4, bias=False)
        nn.init.normal_(self.vote.weight, std=0.02)
        self.to_confidence = nn.Conv2d(2 * config.width, 2, 3, padding=1)
        self.back = nn.Parameter(torch.full((8, 8), 0.4))
        self.register_buffer("mean_angles", torch.zeros(4))
        """Running means of the angles, and of yaw times roll, in training; see `losses.centred_pose`."""
        self.background = Background(config.size)
        self.fov = math.radians(config.fov)
        self.individuality = 1.0
        """How far the shape of a face may depart from the mean face; training raises it from 0 to 1."""
        self.precision = "float32"
        """Of the networks; geometry and rendering are float32 always."""

    def forward(self, images: Tensor, normals: bool = True) -> Output:
        """Explains `images` (B, 3, S, S) in [0, 1]; raises ValueError for another shape. Without `normals`,
        those of the view are not drawn: training does not look at them."""
        size = self.config.size
        if images.dim() != 4 or images.shape[1:] != (3, size, size):
            raise ValueError(f"images must have shape (B, 3, {size}, {size}), not {tuple(images.shape)}")
        features, shape, albedo, view = self.encode(images)
        shape_code, albedo_code = self.deal("shape", shape), self.deal("albedo", albedo)
        view_code = self.decomposition(view)
        decoded = self.decode(shape_code, albedo_code)
        poses, lights, pose, light = self.votes(view_code)
        whole = self.assemble(decoded)
        normal = geometry.depth_to_normals(whole.depth, self.fov)
        background = self.background(images)
        seen = self.render(whole, normal, light, pose, background, normals=normals)
        confidence = F.softplus(upsample(self.to_confidence(features.detach()), size)) + 0.05
        return Output(
            Parts(decoded.depth, decoded.albedo, poses, lights, whole.visibility, shape_code, albedo_code),
            whole.depth, whole.albedo, normal, light, pose, confidence,
            seen.image, seen.depth, seen.normal, seen.parts, seen.alpha,
            background, whole.soft, features, decoded.support,
            decoded.departure, decoded.detail, decoded.own_support,
        )  # fmt: skip

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images to local features (B, F, S/4, S/4) and the shape, albedo and view embeddings (B, C)."""
        features, vector = self._run(self.encoder, images)
        return features, self.to_shape(vector), self.to_albedo(vector), self.to_view(vector)

    def deal(self, cue: str, embedding: Tensor) -> Tensor:
        """An embedding (B, C) dealt out to the parts (B, M, C); whole to each of them if it is no cue."""
        if self.config.cues in ("both", cue):
            return self.decomposition(embedding)
        return embedding[:, None].expand(-1, self.config.parts, -1)

    def decode(self, shape_code: Tensor, albedo_code: Tensor) -> Decoded:
        """Capsule codes (B, M, C) to the maps of the parts."""
        size = self.config.size
        departure = self.shared_departure(self.individuality * self._run(self.depth_decoder, shape_code))
        surface = self.mean_depth() + departure
        smooth = self.albedo_decoder.template + self._run(self.albedo_decoder, albedo_code)
        detail = self.detail_decoder.template + self._run(self.detail_decoder, albedo_code)
        own_support = self._run(self.support_decoder, shape_code).mean(dim=1, keepdim=True)
        own_support = self.individuality * own_support
        support = self.support_decoder.template.mean(dim=0) + own_support
        if self.config.symmetric_shape:
            surface, support = (0.5 * (each + each.flip(-1)) for each in (surface, support))
        depth = 1 + self.config.depth_range * upsample(surface, size).tanh()
        colour = (upsample(smooth, size) + upsample(detail, size)).sigmoid()
        return Decoded(depth, colour, upsample(support, size), departure, detail, own_support)

    def mean_depth(self) -> Tensor:
        """The surfaces of the parts of the mean face (M, h, h), in units of the depth range around 1."""
        return self.common_depth + OWN * self.depth_decoder.template

    def shared_departure(self, departure: Tensor) -> Tensor:
        """How the surface of each face departs from the mean face, (B, 1, h, h), out of what the parts' codes
        say of it, (B, M, h, h): each part speaks where it lies in the mean face. As all parts move together,
        their borders stay where they are, and a part is the same thing in every face (ours)."""
        nearness = -self.config.sharpness * self.config.depth_range * self.mean_depth().tanh()
        return (nearness.softmax(dim=0) * departure).sum(dim=1, keepdim=True)

    def _run(self, network: nn.Module, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """One of the networks, in the chosen precision; what it gives is float32."""
        if self.precision == "float32":
            return network(inputs)
        with torch.autocast(inputs.device.type, torch.bfloat16):
            given = network(inputs)
        return given.float() if isinstance(given, Tensor) else tuple(each.float() for each in given)

    def votes(self, view_code: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """View codes (B, M, C) to the parts' votes for the pose (B, M, 6) and the light (B, M, 5), and what
        the object takes from them: their means, (B, 6) and (B, 5)."""
        raw = self.vote(view_code)
        if self.config.shared_attention:
            raw = raw * self.config.parts  # a part has so much less than all channels to vote with
        if not self.config.pose_votes:
            raw = raw.mean(dim=1, keepdim=True).expand_as(raw)
        turn = math.radians(self.config.rotation_range) * raw[..., :3].tanh()
        shift = self.config.translation_range * (0.2 * raw[..., 3:6]).tanh()
        poses = torch.cat((turn, shift), dim=-1)
        strengths, sideways = raw[..., 6:8].sigmoid(), raw[..., 8:10].tanh()
        direction = torch.cat((sideways, -torch.ones_like(sideways[..., :1])), dim=-1)
        lights = torch.cat((strengths, F.normalize(direction, dim=-1)), dim=-1)
        light = lights.mean(dim=1)
        light = torch.cat((light[:, :2], F.normalize(light[:, 2:], dim=1)), dim=1)
        return poses, lights, poses.mean(dim=1), light

    def assemble(self, decoded: Decoded) -> Assembly:
        """Part maps to the object capsule."""
        return assemble(decoded.depth, decoded.albedo, decoded.support, self.config.sharpness)

    def render(
        self,
        whole: Assembly,
        normal: Tensor,
        light: Tensor,
        pose: Tensor,
        background: Tensor,
        zoom: float = 1.0,
        normals: bool = True,
    ) -> View:
        """Lights the object capsule, moves it by `pose` (B, 6) and draws it over `background`, which may be
        of any size (B, 3, T, T); so is the drawing then. Without `normals`, those of the view are left
        out."""
        cover = self.cover(whole)
        attributes = [self.shade(whole, normal, light, cover), cover]
        if normals:
            attributes.append(geometry.rotate_normals(normal, pose))
        seen, depth = self.draw(whole, torch.cat(attributes, dim=1), pose, background.shape[-1], zoom)
        image, parts, turned = seen.tensor_split((3, 3 + self.config.parts), dim=1)
        alpha = parts.sum(dim=1, keepdim=True)
        inside = (alpha > 0.5) & (depth > 0)[:, None]
        return View(
            image + (1 - alpha) * background,
            depth * inside[:, 0],
            F.normalize(turned, dim=1) * inside if normals else None,
            parts,
            alpha,
        )

    def shade(self, whole: Assembly, normal: Tensor, light: Tensor, cover: Tensor | None = None) -> Tensor:
        """The lit canonical face (B, 3, S, S). On a closed head it goes on beyond the outline, and elsewhere
        it is 0 there. `cover`: see the function of that name, if it is known already."""
        cover = self.cover(whole) if cover is None else cover
        return whole.albedo * shading.lambert(normal, light) * cover.sum(dim=1, keepdim=True)

    def cover(self, whole: Assembly) -> Tensor:
        """How much of each canonical pixel's colour each part draws, (B, M, S, S)."""
        return whole.cover() if self.config.closed else whole.visibility[:, :-1]

    def surface(self, depth: Tensor, face: Tensor) -> Tensor:
        """The canonical points (B, S, S, 3) that are drawn, with the sides of a closed head."""
        points = geometry.depth_to_points(depth, self.fov)
        if not self.config.closed:
            return points
        back = 0.5 * (self.back + self.back.flip(-1)) if self.config.symmetric_shape else self.back
        return close(points, face, 1 + self.config.depth_range * upsample(back, depth.shape[-1]).tanh())

    def draw(
        self, whole: Assembly, attributes: Tensor, pose: Tensor, size: int, zoom: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Canonical maps (B, C, S, S) as they are seen from `pose` on `size` pixels, `zoom` times as large:
        (B, C, size, size), and depth (B, size, size). Only triangles that touch the face are drawn.
        """
        drawn = whole.visibility[:, -1] < 0.5
        points = geometry.transform(self.surface(whole.depth, whole.face()), pose)
        pixels = geometry.points_to_pixels(points, size, geometry.zoomed(self.fov, zoom))
        fragments = rasterize(pixels, size, drawn)
        seen = interpolate(fragments, attributes)
        if self.config.outlines:
            seen = blend_outlines(seen, fragments, pixels, drawn)
        return seen, fragments.depth

    def mirrored(self, out: Output) -> Tensor:
        """The images (B, 3, S, S) that the mirrored canonical face gives under the same pose and light."""
        flipped = out.whole().flipped()
        normal = out.normal.flip(-1) * out.normal.new_tensor([-1.0, 1.0, 1.0])[:, None, None]
        cover = self.cover(flipped)
        lit, face = self.shade(flipped, normal, out.light, cover), cover.sum(dim=1, keepdim=True)
        seen, _ = self.draw(flipped, torch.cat((lit, face), dim=1), out.pose, self.config.size)
        return seen[:, :3] + (1 - seen[:, 3:]) * out.background

    def view(
        self, out: Output, pose: Tensor | None = None, light: Tensor | None = None,
        zoom: float = 1.0, size: int | None = None,
    ) -> View:  # fmt: skip
        """Draws the faces of `out` from another pose (B, 6), in another light (B, 5), larger or smaller (see
        `geometry.zoomed`), on an image of another size, on white. What is not given stays the faces' own."""
        whole = out.whole()
        pose, light = out.pose if pose is None else pose, out.light if light is None else light
        size = size or self.config.size
        white = out.image.new_ones(len(out.image), 3, size, size)
        return self.render(whole, out.normal, light, pose, white, zoom)

    def save_pretrained(self, path: str | Path) -> None:
        """Writes `model.safetensors` and `config.json` into the folder `path`."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / "model.safetensors", self.state_dict(), {"format": str(FORMAT)})
        described = {"format": FORMAT, "model": self.config.to_dict()}
        write_text(folder / "config.json", json.dumps(described, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, path_or_name: str | Path) -> "IGCNet":
        """Loads a folder that `save_pretrained` wrote, or a model shipped with the package by its name.

        Only safetensors and JSON are read; nothing is unpickled. UserError if it is not a checkpoint.
        """
        folder = Path(path_or_name)
        if not folder.exists() and (SHIPPED / str(path_or_name)).is_dir():
            folder = SHIPPED / str(path_or_name)
        weights, description = folder / "model.safetensors", folder / "config.json"
        for needed in (weights, description):
            if not needed.is_file():
                shipped = ", ".join(sorted(p.name for p in SHIPPED.glob("*") if p.is_dir()))
                raise UserError(
                    f"{path_or_name} is not a model: {needed.name} is missing; name a folder that "
                    f"training wrote or a shipped model ({shipped})."
                )
        try:
            described = json.loads(description.read_text(encoding="utf-8"))
            if not isinstance(described, dict) or described.get("format") != FORMAT:
                raise UserError(
                    f"{description} is not a checkpoint of format {FORMAT}: train the model again."
                )
            model = cls(ModelConfig.from_dict(described["model"]))
            model.load_state_dict(load_file(weights))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            if isinstance(error, UserError) and str(description) in str(error):
                raise
            why = " ".join(str(error).split())[:200]
            raise UserError(
                f"{folder} cannot be read as a checkpoint ({why}): train the model again."
            ) from error
        return model.eval()
