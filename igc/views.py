"""Free views of faces that the model has explained: turned, tilted, zoomed, relit, with parts left out.

The figures and the editor share these. All of it is ours. Angles are in degrees: people read them.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from igc.capsules import skirt
from igc.geometry import depth_to_points, points_to_pixels, transform
from igc.model import IGCNet
from igc.outputs import Output, Parts, View
from igc.raster import interpolate, rasterize
from igc.shading import light_direction

STRENGTHS = (0.35, 0.75)
"""Ambient and diffuse weight of a light that is chosen, not inferred."""


def view(
    model: IGCNet, out: Output, yaw: float = 0, pitch: float = 0, roll: float = 0, zoom: float = 1,
    light_x: float | None = None, light_y: float | None = None,
    parts: Iterable[int] | None = None, size: int | None = None,
) -> View:  # fmt: skip
    """The faces of `out` turned to `yaw`, `pitch` and `roll`, on white, on `size` pixels (the model's own).

    Angles are in degrees with the signs of `geometry.rotation_matrix`; at 0 the face looks at the
    camera, and the middle of a face stays where it is. `zoom` is a longer lens, not a smaller distance
    (`geometry.zoomed`): 2 shows the middle of the picture twice as large. `light_x` and `light_y` put the
    light that many degrees to the right of and below where the face looks to; it is a canonical light, which
    turns with the face. Without either the face keeps its own. Parts that are not among `parts` (numbers from
    0) leave holes. ValueError where zoom is not above 0, IndexError where there is no such part.
    """
    shown = out if parts is None else show_only(out, parts)
    light = out.light if light_x is None and light_y is None else lit_from(out, light_x or 0, light_y or 0)
    return model.view(shown, turn(model, out, yaw, pitch, roll), light, zoom, size)


def turn(model: IGCNet, out: Output, yaw: float, pitch: float = 0, roll: float = 0) -> Tensor:
    """The pose (B, 6) with these angles (degrees) in which the middle of each face stays where it is."""
    face = (out.parts.visibility[:, -1] < 0.5)[..., None]
    points = model.points(out.depth, out.shift) * face
    middle = points.sum(dim=(1, 2)) / face.sum(dim=(1, 2)).clamp(min=1)
    pose = torch.zeros_like(out.pose)
    pose[:, :3] = torch.deg2rad(pose.new_tensor((pitch, yaw, roll)))
    pose[:, 3:] = middle - transform(middle[:, None], pose)[:, 0]
    return pose


def lit_from(out: Output, right: float, down: float) -> Tensor:
    """Lights (B, 5) of the usual strengths, one for each face of `out`, that stand `right` and `down`
    degrees from where the face looks to (`shading.light_direction`)."""
    light = torch.cat((torch.tensor(STRENGTHS), light_direction(right, down)))
    return light.to(out.light).expand(len(out.light), -1)


def show_only(out: Output, parts: Iterable[int]) -> Output:
    """`out` with all parts but those numbered in `parts` (from 0) made background: they leave holes."""
    visible = out.parts.visibility
    kept = visible.new_zeros(visible.shape[1] - 1)
    kept[list(parts)] = 1
    shown = visible[:, :-1] * kept[:, None, None]
    visibility = torch.cat((shown, 1 - shown.sum(dim=1, keepdim=True)), dim=1)
    soft = torch.cat((out.soft_visibility[:, :-1] * kept[:, None, None], out.soft_visibility[:, -1:]), dim=1)
    return out._replace(parts=out.parts._replace(visibility=visibility), soft_visibility=soft)


def seen_parts(model: IGCNet, out: Output) -> Tensor:
    """(B, M, S, S) bool: the canonical points at which each part is seen, where the surface is shown or
    exported as a solid. Without a background the outermost ring of points is left out: it stands for all that
    lies beyond the frame (`capsules.skirt`)."""
    seen = out.parts.visibility[:, :-1] > 0.5
    if model.config.background == "none":
        seen = F.pad(seen[..., 1:-1, 1:-1], (1, 1, 1, 1))
    return seen


def from_front(model: IGCNet, out: Output, maps: Tensor) -> tuple[Tensor, Tensor]:
    """The canonical surface of `out` as a camera sees it that looks straight ahead: points (B, S, S, 3) on
    its rays, and what `maps` (B, C, S, S) of the canonical frame show there, (B, C, S, S).

    Where the points of a face are moved, its maps do not lie on rays. The outermost points go on outwards, so
    that no ray misses the surface."""
    size, fov = model.config.size, model.canonical_fov
    points, maps = (
        F.pad(each, (1, 1, 1, 1), mode="replicate")
        for each in (model.points(out.depth, out.shift).movedim(-1, 1), maps)
    )
    pixels = points_to_pixels(points.movedim(1, -1), size, fov)
    fragments = rasterize(skirt(pixels, 2 * size), size)
    return depth_to_points(fragments.depth, fov), interpolate(fragments, maps)


def one_face(out: Output, item: int) -> Output:
    """Face number `item` of `out` alone, a batch of one. IndexError where there is no such face."""
    parts = Parts(*(maps[[item]] for maps in out.parts))
    return Output(parts, *(None if maps is None else maps[[item]] for maps in out[1:]))
