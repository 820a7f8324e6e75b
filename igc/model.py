"""IGCNet, the Inverse Graphics Capsule Network, as a row of small steps:

encode -> decompose -> decode -> assemble -> shade -> pose -> render.

Everything up to `shade` lives in the canonical frame, the face seen from the front; `pose` moves it to
where the photograph was taken from.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc import geometry, pretrained, shading
from igc.background import Background, Plain
from igc.capsules import (
    Assembly,
    Decomposition,
    assemble,
    ball,
    behind_nearest,
    blend,
    bowl,
    close,
    in_picture,
    initial_support,
    middle,
    skirt,
)
from igc.config import MARGIN, ModelConfig
from igc.gauge import Centred, Pivot, Upright
from igc.mixture import Mixture
from igc.networks import Encoder, PartDecoder, upsample
from igc.outputs import Decoded, Output, Parts, View
from igc.places import places, shift_of_points
from igc.raster import interpolate, rasterize
from igc.raster.outlines import blend_outlines

TINTS = 2
"""Width of the grid of colours that a part draws by itself. It is too coarse for edges, so that a colour that
varies by itself takes a part of its own; fine detail is drawn by all parts together (ours)."""

GRID = 32
"""The widest grid of points that parts are found on."""

PACE = 3.0
"""How fast the mean face's surface learns, in units of the learning rate (ours)."""

BACK = 0.6
"""Where the back of a head starts, in units of the depth range; a head starts by turning about its middle,
which lies half as far behind the face (ours)."""

DOUBT = (-0.5, 1.0)
"""Logarithms of how much smaller and larger a place's expected error may be than the picture's (ours)."""

OUTLINE = 7.0
"""What a departure of the outline counts, where one of the surface by its range counts 1 (ours)."""


class IGCNet(nn.Module):
    """The network. `config` fixes its size; see `Output` for what `model(images)` returns."""

    format = pretrained.FORMAT

    def __init__(self, config: ModelConfig | None = None):
        super().__init__()
        self.config = config = config or ModelConfig()
        features, hidden = 8 * config.width, 8 * config.width
        self.encoder = Encoder(config.size, config.width, features)
        self.to_shape = nn.Linear(features, config.channels)
        self.to_albedo = nn.Linear(features, config.channels)
        self.to_view = nn.Linear(features, config.channels)
        self.decomposition = Decomposition(config.channels, config.parts, config.shared_attention)
        parts, fine, open_end = config.parts, config.size // 2, config.background == "none"
        self.fov = math.radians(config.fov)
        """Of the picture, in radians."""
        margin = MARGIN if open_end else 1.0
        self.canonical_fov = geometry.zoomed(self.fov, 1 / margin)
        """Of the canonical frame."""
        coarse = min(fine, GRID)
        inside = in_picture(coarse, margin) if open_end else initial_support(coarse) > 0
        self.layout = Mixture(parts, inside, config.cues)
        self.common_depth = nn.ParameterList(
            [torch.zeros(n, n) for n in (4, 8, 16)]
            + [(bowl(fine, margin) if open_end else ball(fine)) / PACE]
        )
        """The mean face's surface but for its relief: the sum of maps from coarse to fine, so that steps of
        one size find what is wide as fast as what is narrow."""
        self.log_relief = nn.Parameter(torch.zeros(()))
        self.start_relief = float(middle(PACE * self.common_depth[-1].detach()).std())
        self.depth_decoder = PartDecoder(config.channels, hidden, (parts, fine, fine))
        self.albedo_decoder = PartDecoder(config.channels, hidden, (parts, 3, TINTS, TINTS))
        self.common_tint = nn.Parameter(torch.zeros(parts, 3, TINTS, TINTS))
        self.detail_decoder = PartDecoder(config.channels, hidden, (parts, 3, fine, fine))
        self.common_detail = nn.Parameter(torch.zeros(3, fine, fine))
        self.place_decoder = PartDecoder(config.channels, 32, (parts, 3))
        nn.init.zeros_(self.place_decoder.output.weight)
        if not open_end:
            self.support_decoder = PartDecoder(config.channels, hidden, (parts, fine // 2, fine // 2))
            self.common_support = nn.Parameter(initial_support(fine // 2))
        if self.closed:
            self.back = nn.Parameter(torch.full((8, 8), BACK))
        self.background = Plain() if open_end else Background(config.size)
        self.vote = nn.Linear(config.channels, 6 + 4, bias=False)
        nn.init.normal_(self.vote.weight, std=0.02)
        self.centred, self.upright = Centred(), Upright()
        self.pivot = Pivot(0.5 * config.depth_range * math.tanh(BACK) if self.closed else 0.0)
        self.to_confidence = nn.Conv2d(2 * config.width, 2, 3, padding=1)
        self.usual_error = nn.Parameter(torch.zeros(2, config.size // 4, config.size // 4))
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
        normal = self.normals(whole)
        background = self.background(images)
        seen = self.render(whole, normal, light, pose, background, normals=normals)
        return Output(
            Parts(decoded.depth, decoded.albedo, poses, lights, whole.visibility, shape_code, albedo_code),
            whole.depth, whole.albedo, normal, light, pose, self.expected_error(features),
            seen.image, seen.depth, seen.normal, seen.parts, seen.alpha,
            background, whole.soft, features, decoded.support, decoded.own_support,
            whole.shift, decoded.departure, decoded.place,
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
        size, fine, config = self.config.size, self.config.size // 2, self.config
        logits, share = self.layout(size), self.layout(fine).softmax(dim=0)
        departure = blend(share, self._run(self.depth_decoder, shape_code))
        surface = self.mean_surface() + departure
        if config.symmetric_shape:
            surface = 0.5 * (surface + surface.flip(-1))
        surface = surface - middle(surface).mean(dim=(-1, -2), keepdim=True)
        depth = 1 + config.depth_range * upsample(surface, size).tanh()
        detail = self.common_detail + blend(share[:, None], self._run(self.detail_decoder, albedo_code))
        tint = self.common_tint + self._run(self.albedo_decoder, albedo_code)
        place = places(self._run(self.place_decoder, shape_code))
        return Decoded(
            depth + behind_nearest(logits) / config.sharpness,
            (upsample(tint, size) + upsample(detail, size)).sigmoid(),
            *self.outline(shape_code),
            shift_of_points(place, share, size, self.canonical_fov),
            departure,
            place,
        )

    def mean_surface(self) -> Tensor:
        """The mean face's surface (h, h), in units of the depth range. How deep it is over the middle of the
        frame is the relief's to say: single points move faster than poses are learned, and would explain all
        motion by a face that is too deep and hardly turns."""
        surface = PACE * sum(upsample(level, self.config.size // 2) for level in self.common_depth)
        if self.config.symmetric_shape:
            surface = 0.5 * (surface + surface.flip(-1))
        return self.relief() * self.start_relief / middle(surface).std().clamp(min=1e-6) * surface

    def outline(self, shape_code: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The support (B, 1, S, S), and how far it departs from the one that all faces share, (B, 1, S/4,
        S/4); None where there is no background."""
        if self.config.background == "none":
            return None, None
        own = self._run(self.support_decoder, shape_code).mean(dim=1, keepdim=True)
        support = self.common_support + OUTLINE * own
        if self.config.symmetric_shape:
            support = 0.5 * (support + support.flip(-1))
        return upsample(support, self.config.size), own

    def expected_error(self, features: Tensor) -> Tensor:
        """Scale of the residual (B, 2, S, S), straight and mirrored: above 0.01. In no place it is much
        smaller or larger than over the whole picture, or a network would hear of smooth skin alone, and give
        up eyes and noses."""
        local = 4 * upsample(self.to_confidence(features.detach()) + self.usual_error, self.config.size)
        whole = local.mean(dim=(2, 3), keepdim=True)
        return 0.01 + 0.15 * (whole + (local - whole).clamp(*DOUBT)).clamp(-4, 2.5).exp()

    def points(self, depth: Tensor, shift: Tensor) -> Tensor:
        """Canonical points (B, S, S, 3) of a depth map (B, S, S) whose points are moved by `shift`."""
        points = geometry.depth_to_points(depth, self.canonical_fov)
        return points + F.pad(shift.movedim(1, -1), (0, 1))

    def normals(self, whole: Assembly) -> Tensor:
        """(B, 3, S, S), canonical."""
        return geometry.points_to_normals(self.points(whole.depth, whole.shift)).movedim(-1, -3)

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
        raw = self.raw_votes(view_code)
        turns, shine = self.upright(self.centred(raw[..., :6])), raw[..., 6:]
        poses, pose = self.posed(turns), self.posed(turns.mean(dim=1))
        strengths, sideways = shine[..., :2].sigmoid(), shine[..., 2:].tanh()
        direction = torch.cat((sideways, -torch.ones_like(sideways[..., :1])), dim=-1)
        lights = torch.cat((strengths, F.normalize(direction, dim=-1)), dim=-1)
        light = lights.mean(dim=1)
        light = torch.cat((light[:, :2], F.normalize(light[:, 2:], dim=1)), dim=1)
        return poses, lights, pose, light

    def posed(self, votes: Tensor) -> Tensor:
        """Poses (..., 6) about (0, 0, 1) from centred votes (..., 6) for a turn about the pivot."""
        nods, roll = votes[..., :2] / self.relief(), votes[..., 2:3]
        turn = math.radians(self.config.rotation_range) * torch.cat((nods, roll), dim=-1).tanh()
        shift = self.config.translation_range * (0.2 * votes[..., 3:]).tanh()
        return self.pivot(torch.cat((turn, shift), dim=-1))

    def relief(self) -> Tensor:
        """How many times as deep as at the start the mean face is, while it turns as much less: along this
        valley pictures hardly change (the bas-relief ambiguity), so it is a direction to learn along of its
        own."""
        return self.log_relief.exp()

    def raw_votes(self, view_code: Tensor) -> Tensor:
        """View codes (B, M, C) to the parts' votes for pose and light before their ranges, (B, M, 10)."""
        raw = self.vote(view_code)
        if self.config.shared_attention:
            raw = raw * self.config.parts  # a part has so much less than all channels to vote with
        return raw if self.config.pose_votes else raw.mean(dim=1, keepdim=True).expand_as(raw)

    @torch.no_grad()
    def centre(self, images: Tensor) -> None:
        """Counts poses from the votes for these images (N, 3, S, S)."""
        views = torch.cat([self.encode(chunk)[3] for chunk in images.split(64)])
        votes = self.raw_votes(self.decomposition(views))[..., :6]
        self.centred.measure(votes)
        self.upright.measure(votes - self.centred.mean)

    def assemble(self, decoded: Decoded) -> Assembly:
        """Part maps to the object capsule."""
        return assemble(decoded.depth, decoded.albedo, decoded.support, decoded.shift, self.config.sharpness)

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

    @property
    def closed(self) -> bool:
        """Whether sides join the outline to the back of a head: with an outline, and if asked for."""
        return self.config.closed and self.config.background == "border"

    def cover(self, whole: Assembly) -> Tensor:
        """How much of each canonical pixel's colour each part draws, (B, M, S, S)."""
        return whole.cover() if self.closed else whole.visibility[:, :-1]

    def surface(self, whole: Assembly) -> Tensor:
        """The canonical points (B, S, S, 3) that are drawn, with the sides of a closed head."""
        points = self.points(whole.depth, whole.shift)
        if not self.closed:
            return points
        back = 0.5 * (self.back + self.back.flip(-1)) if self.config.symmetric_shape else self.back
        size = self.config.size
        return close(points, whole.face(), 1 + self.config.depth_range * upsample(back, size).tanh())

    def draw(
        self, whole: Assembly, attributes: Tensor, pose: Tensor, size: int, zoom: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Canonical maps (B, C, S, S) as they are seen from `pose` on `size` pixels, `zoom` times as large:
        (B, C, size, size), and depth (B, size, size). Only triangles that touch the face are drawn.
        """
        drawn = whole.visibility[:, -1] < 0.5
        points = geometry.transform(self.surface(whole), pose)
        pixels = geometry.points_to_pixels(points, size, geometry.zoomed(self.fov, zoom))
        if self.config.background == "none":
            pixels = skirt(pixels, 2 * size)
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
        pretrained.save(path, self.state_dict(), self.format, self.described())

    def described(self) -> dict:
        """The settings, as a checkpoint has them."""
        return self.config.to_dict()

    @classmethod
    def from_pretrained(cls, path_or_name: str | Path) -> "IGCNet":
        """Loads a folder that `save_pretrained` wrote, or a model shipped with the package by its name.

        Only safetensors and JSON are read; nothing is unpickled. UserError if it is not a checkpoint.
        """
        return pretrained.load(path_or_name, cls).eval()
