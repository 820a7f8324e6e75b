"""Unsup3D: depth, albedo, light and pose of one symmetric object from photographs alone.

Wu, Rupprecht and Vedaldi, "Unsupervised Learning of Probably Symmetric Deformable 3D Objects from Images in
the Wild", CVPR 2020. The layer sizes are those of the paper's supplement at `width` 64. Frames are ours
(`igc.geometry`); maps and losses are in the paper's units, colours from -1 to 1.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from igc import geometry, raster, shading
from igc.errors import UserError
from peers.base import Peer, chunked

FOV = math.radians(10)
TURN, SHIFT = math.radians(60), 0.1
NEAREST, FARTHEST, BORDER = 0.9, 1.1, 1.04
"""The range of depth, and the depth that the two outermost columns are given on either side."""
FLIP, PERCEPTUAL = 0.5, 1.0
"""Weights of the mirrored reconstruction and of the perceptual term."""
EPS = 1e-7


class Unsup3DNet(nn.Module):
    """The five networks and the loss. `size`: 32, 64 or another power of two of at least 32. `width`: of the
    networks of depth, albedo and confidence; 64 is the published one, with codes of 256. `rasteriser`: "grid"
    (ours) or "pytorch3d". Raises UserError for other arguments."""

    def __init__(self, size: int = 64, width: int = 64, rasteriser: str = "grid"):
        super().__init__()
        if size < 32 or size & (size - 1):
            raise UserError(f"Unsup3D takes a size of 32, 64, 128 or so, not {size}: use a power of two.")
        if width % 8 or width < 8:
            raise UserError(f"the width of Unsup3D is a multiple of 8, not {width}: use 64, as published.")
        if rasteriser not in raster.BACKENDS:
            known = ", ".join(sorted(raster.BACKENDS))
            raise UserError(f"rasteriser {rasteriser!r} is unknown: choose one of {known}.")
        self.rasteriser = rasteriser
        self.depth, self.albedo = AutoEncoder(size, width, 1), AutoEncoder(size, width, 3)
        self.light, self.view = (_encoder(size, width // 2, outputs) for outputs in (4, 6))
        self.confidence = Confidence(size, width)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Explains images (B, 3, S, S) in [0, 1]: canonical `depth` (B, S, S), `albedo` (B, 3, S, S) in
        [0, 1], `light` (B, 5), `pose` (B, 6), `image`, `mask`, `view_depth` and `view_normal`."""
        depth, albedo = self.canonical(images)
        light, pose = self.lamp(images), self.viewpoint(images)
        return {"depth": depth, "albedo": albedo, "light": light, "pose": pose} | self.render(
            depth, albedo, light, pose
        )

    def canonical(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Depth (B, S, S) and albedo (B, 3, S, S) in [0, 1]."""
        inputs = 2 * images - 1
        raw = self.depth(inputs)[:, 0]
        depth = (raw - raw.mean(dim=(1, 2), keepdim=True)).tanh()
        depth = 0.5 * (NEAREST + FARTHEST) + 0.5 * (FARTHEST - NEAREST) * depth
        rim = F.pad(torch.zeros_like(depth[..., 4:]), (2, 2), value=1.0)
        return depth * (1 - rim) + BORDER * rim, 0.5 * self.albedo(inputs).tanh() + 0.5

    def lamp(self, images: Tensor) -> Tensor:
        """Ambient and diffuse weights in [0, 1] and the canonical direction to the light: (B, 5)."""
        raw = self.light(2 * images - 1).tanh()
        towards = torch.cat((raw[:, 2:], -torch.ones_like(raw[:, :1])), dim=1)
        return torch.cat((0.5 * raw[:, :2] + 0.5, F.normalize(towards, dim=1)), dim=1)

    def viewpoint(self, images: Tensor) -> Tensor:
        """The pose (B, 6) as `geometry.transform` takes it, within 60 degrees and 0.1. Nothing moves in
        depth, as published for faces."""
        raw = self.view(2 * images - 1).tanh()
        return torch.cat((TURN * raw[:, :3], SHIFT * raw[:, 3:5], 0 * raw[:, 5:]), dim=1)

    def render(self, depth: Tensor, albedo: Tensor, light: Tensor, pose: Tensor) -> dict[str, Tensor]:
        """Lights the canonical maps and warps them into the view: `image` (B, 3, S, S), `mask` (B, 1, S, S),
        `view_depth` (B, S, S) and `view_normal` (B, 3, S, S)."""
        size = depth.shape[-1]
        normal = geometry.depth_to_normals(depth, FOV)
        lit = albedo * shading.lambert(normal, light)
        points = geometry.transform(geometry.depth_to_points(depth, FOV), pose)
        pixels = geometry.points_to_pixels(points, size, FOV)
        fragments = raster.rasterize(pixels, size, backend=self.rasteriser)
        seen = raster.interpolate(fragments, torch.cat((lit, geometry.rotate_normals(normal, pose)), dim=1))
        mask = fragments.coverage[:, None].to(depth.dtype)
        turned = F.normalize(seen[:, 3:], dim=1)
        return {"image": seen[:, :3], "mask": mask, "view_depth": fragments.depth, "view_normal": turned}

    def loss(self, images: Tensor) -> Tensor:
        """The published objective: straight and mirrored reconstructions, each weighed by its confidence, in
        colours and in features; half the weight for the mirrored one."""
        count = len(images)
        depth, albedo = self.canonical(images)
        light, pose = self.lamp(images).repeat(2, 1), self.viewpoint(images).repeat(2, 1)
        both = self.render(
            torch.cat((depth, depth.flip(-1))), torch.cat((albedo, albedo.flip(-1))), light, pose
        )
        mask = both["mask"][:count] * both["mask"][count:]
        fine, coarse = self.confidence(2 * images - 1)
        wanted, total = features(images), images.new_zeros(())
        for side, weight in ((0, 1.0), (1, FLIP)):
            image = both["image"][side * count : (side + 1) * count]
            pixels = photometric(image, images, fine[:, side : side + 1], mask)
            seen = perceptual(features(image), wanted, coarse[:, side : side + 1], mask)
            total = total + weight * (pixels + PERCEPTUAL * seen)
        return total


class AutoEncoder(nn.Module):
    """An image (B, 3, S, S) to a code (B, 4 w) and to maps (B, `outputs`, S, S) before their last tanh."""

    def __init__(self, size: int, width: int, outputs: int):
        super().__init__()
        widths, code = _widths(size, width), 4 * width
        self.encode = _funnel(widths, code, normalise=True, slope=0.2)
        up = [nn.ConvTranspose2d(code, widths[-1], 4), nn.ReLU()]
        up += [nn.Conv2d(widths[-1], widths[-1], 3, padding=1), nn.ReLU()]
        for wide, narrow in zip(widths[:0:-1], widths[-2::-1]):
            up += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1), _norm(narrow), nn.ReLU()]
            up += [nn.Conv2d(narrow, narrow, 3, padding=1), _norm(narrow), nn.ReLU()]
        up += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1), _norm(width), nn.ReLU()]
        up += [nn.Conv2d(width, width, 5, padding=2), _norm(width), nn.ReLU()]
        self.decode = nn.Sequential(*up, nn.Conv2d(width, outputs, 5, padding=2))

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


class Confidence(nn.Module):
    """An image (B, 3, S, S) to the expected residuals, straight and mirrored: of colours (B, 2, S, S) and of
    features (B, 2, S/4, S/4)."""

    def __init__(self, size: int, width: int):
        super().__init__()
        widths, code = _widths(size, width), 2 * width
        self.encode = _funnel(widths, code, normalise=True, slope=0.2)
        up = [nn.ConvTranspose2d(code, widths[-1], 4), nn.ReLU()]
        for wide, narrow in zip(widths[:1:-1], widths[-2:0:-1]):
            up += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1), _norm(narrow), nn.ReLU()]
        self.shared = nn.Sequential(*up)
        self.coarse = nn.Conv2d(widths[1], 2, 3, padding=1)
        fine = [nn.ConvTranspose2d(widths[1], width, 4, 2, 1), _norm(width), nn.ReLU()]
        fine += [nn.ConvTranspose2d(width, width, 4, 2, 1), _norm(width), nn.ReLU()]
        self.fine = nn.Sequential(*fine, nn.Conv2d(width, 2, 5, padding=2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        shared = self.shared(self.encode(images))
        return F.softplus(self.fine(shared)), F.softplus(self.coarse(shared))


def photometric(image: Tensor, target: Tensor, scale: Tensor, mask: Tensor) -> Tensor:
    """Mean negative log likelihood of colours (B, 3, S, S) in [0, 1] under Laplace's law with `scale`
    (B, 1, S, S) in the paper's units, where `mask` (B, 1, S, S) is set."""
    residual = 2 * (image - target).abs().mean(dim=1, keepdim=True)
    each = math.sqrt(2) * residual / (scale + EPS) + (scale + EPS).log()
    return (each * mask).sum() / mask.sum().clamp(min=1)


def perceptual(image: Tensor, target: Tensor, scale: Tensor, mask: Tensor) -> Tensor:
    """Mean negative log likelihood of features (B, C, s, s) under Gauss's law with `scale` (B, 1, s, s),
    where `mask` (B, 1, S, S) is set."""
    inside = F.adaptive_avg_pool2d(mask, image.shape[-1])
    square = (image - target).square().mean(dim=1, keepdim=True)
    each = square / (2 * scale.square() + EPS) + (scale + EPS).log()
    return (each * inside).sum() / inside.sum().clamp(min=1)


def features(images: Tensor) -> Tensor:
    """In place of VGG's: colours and, at two scales, edges rising and falling in both directions, pooled over
    4 x 4 pixels: (B, 3, S, S) in [0, 1] to (B, 27, S/4, S/4)."""
    inputs = 2 * images - 1
    found = [F.avg_pool2d(inputs, 4)]
    for pool in (1, 2):
        small = F.avg_pool2d(inputs, pool)
        for edge in (
            small.diff(dim=-1, append=small[..., -1:]),
            small.diff(dim=-2, append=small[..., -1:, :]),
        ):
            found += [F.avg_pool2d(F.relu(4 * sign * edge), 4 // pool) for sign in (1, -1)]
    return torch.cat(found, dim=1)


class Unsup3D(Peer):
    name = "Unsup3D"
    source = (
        "S. Wu, C. Rupprecht, A. Vedaldi: Unsupervised Learning of Probably Symmetric Deformable 3D Objects "
        "from Images in the Wild. CVPR 2020."
    )
    deviations = (
        "Our rasteriser draws the lit canonical map; the original renders its depth and samples the map.",
        "The perceptual term compares colours and oriented edges pooled to a quarter of the size, not VGG-16 "
        "features: no weights are downloaded.",
        "Adam has no weight decay and follows the schedule that all systems of the table share.",
        "Two of the three settings have narrower networks or a higher learning rate, for the short budget.",
        "Batches of 16 in place of 64, gradients clipped, and biases where the original has none.",
        "It has no parts, and no outline: its depth goes on beyond the head.",
    )
    settings = (
        {"width": 64, "lr": 1e-4, "batch_size": 16, "rasteriser": "grid"},
        {"width": 32, "lr": 3e-4, "batch_size": 16, "rasteriser": "grid"},
        {"width": 16, "lr": 1e-3, "batch_size": 16, "rasteriser": "grid"},
    )

    def __init__(self, size: int, parts: int = 6, seed: int = 0, **setting):
        """`parts` is not used: it has one."""
        super().__init__(size, parts, seed, **setting)
        self.model = Unsup3DNet(size, self.setting["width"], self.setting["rasteriser"])

    def fit(self, dataset, minutes: float, report=None) -> None:
        self.descend(dataset, minutes, report)

    def depth(self, images: Tensor) -> tuple[Tensor, Tensor]:
        def maps(part: Tensor) -> Tensor:
            out = self.model(part)
            return torch.cat((out["view_depth"][:, None], out["view_normal"]), dim=1)

        found = chunked(maps, images)
        return found[:, 0], found[:, 1:]

    def features(self, images: Tensor) -> Tensor:
        """The codes of depth and albedo (B, 8 w)."""
        both = (self.model.depth.encode, self.model.albedo.encode)
        return torch.cat([chunked(lambda x, f=f: f(2 * x - 1).flatten(1), images) for f in both], dim=1)

    def pictures(self, images: Tensor) -> Tensor:
        return chunked(lambda part: self.model(part)["image"].clamp(0, 1), images)

    def validation_loss(self, images: Tensor) -> float:
        """Mean absolute residual of the colours; where nothing is drawn it is black."""
        return float((self.pictures(images) - images).abs().mean())


def _widths(size: int, width: int) -> list[int]:
    """Widths of the convolutions that halve `size` down to 4."""
    return [width * 2**i for i in range(int(math.log2(size)) - 2)]


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // 4), channels)


def _funnel(widths: list[int], code: int, normalise: bool, slope: float) -> nn.Sequential:
    """An image to its code (B, `code`, 1, 1): all but the deepest of the halving layers are normalised."""
    layers, inputs = [], 3
    for i, outputs in enumerate(widths):
        plain = i == len(widths) - 1 or not normalise
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=plain)]
        layers += [] if plain else [_norm(outputs)]
        layers += [nn.LeakyReLU(slope)]
        inputs = outputs
    return nn.Sequential(*layers, nn.Conv2d(inputs, code, 4), nn.ReLU())


def _encoder(size: int, width: int, outputs: int) -> nn.Sequential:
    """An image to numbers (B, `outputs`) before their tanh."""
    widths = _widths(size, width)
    return nn.Sequential(
        _funnel(widths, widths[-1], normalise=False, slope=0.0),
        nn.Conv2d(widths[-1], outputs, 1),
        nn.Flatten(),
    )
