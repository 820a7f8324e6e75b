"""Editing faces part by part, which explicit capsules make possible: a part of one face given to another,
whole or only its shape or only its albedo, and faces in between two faces.

A part is edited by its codes, and the face is then decoded, assembled and drawn anew. What comes back is an
`Output` like any other: it can be turned, relit, exported and edited again. Parts and faces are counted from
0. All of it is ours.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from igc.model import IGCNet
from igc.outputs import Output
from igc.views import one_face

CUES = ("shape", "albedo")
"""What of a part can be edited."""


def rebuild(model: IGCNet, out: Output, shape_code: Tensor, albedo_code: Tensor) -> Output:
    """The faces of `out` with other codes (B, M, C) of their parts: decoded, assembled and drawn anew.

    Pose, light, background and the parts' votes stay those of `out`. So do `confidence` and `features`, which
    tell about the photograph and not about the edited face. ValueError where codes have another shape.
    """
    wanted = out.parts.shape_code.shape
    for code in (shape_code, albedo_code):
        if code.shape != wanted:
            raise ValueError(f"the codes must have shape {tuple(wanted)}, not {tuple(code.shape)}")
    decoded = model.decode(shape_code, albedo_code)
    whole = model.assemble(decoded)
    normal = model.normals(whole)
    seen = model.render(whole, normal, out.light, out.pose, out.background)
    drawn = decoded._asdict()
    parts = out.parts._replace(
        depth=drawn.pop("depth"), albedo=drawn.pop("albedo"), visibility=whole.visibility,
        shape_code=shape_code, albedo_code=albedo_code,
    )  # fmt: skip
    return out._replace(
        parts=parts, depth=whole.depth, albedo=whole.albedo, normal=normal, soft_visibility=whole.soft,
        image=seen.image, view_depth=seen.depth, view_normal=seen.normal, view_parts=seen.parts,
        view_alpha=seen.alpha, **drawn,
    )  # fmt: skip


def exchange(
    model: IGCNet, out: Output, receiver: int, giver: int, parts: Iterable[int] | int,
    cues: Iterable[str] | str = CUES,
) -> Output:  # fmt: skip
    """Face number `receiver` of `out` with `parts` of face number `giver`, a batch of one.

    Of each part it takes the shape, the albedo, or both (`cues`). Pose, light and background stay the
    receiver's. IndexError where there is no such face or part, ValueError where there is no such cue.
    """
    return blend(model, out, receiver, giver, 1, parts, cues)


def blend(
    model: IGCNet, out: Output, first: int, second: int, share: float,
    parts: Iterable[int] | int | None = None, cues: Iterable[str] | str = CUES,
) -> Output:  # fmt: skip
    """A face between numbers `first` and `second` of `out`, a batch of one; linear in the codes.

    At a `share` of 0 it is the first, at 1 its `parts` (all, unless told) have the codes of the second for
    the `cues`. Pose, light and background stay those of the first. ValueError where `share` is outside of
    [0, 1] or there is no such cue, IndexError where there is no such face or part.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, not {share}")
    count, number = out.parts.shape_code.shape[:2]
    chosen = [parts] if isinstance(parts, int) else list(range(number) if parts is None else parts)
    taken = [cues] if isinstance(cues, str) else list(cues)
    _check("faces", [first, second], count)
    _check("parts", chosen, number)
    for cue in taken:
        if cue not in CUES:
            raise ValueError(f"there is no cue {cue!r}: choose from {', '.join(CUES)}")
    codes = []
    for cue, values in zip(CUES, (out.parts.shape_code, out.parts.albedo_code), strict=True):
        code = values[[first]]
        if cue in taken:
            code[:, chosen] = torch.lerp(code[:, chosen], values[[second]][:, chosen], float(share))
        codes.append(code)
    return rebuild(model, one_face(out, first), *codes)


def _check(kind: str, numbers: list[int], count: int) -> None:
    """IndexError unless every number is that of one of `count` faces or parts."""
    for number in numbers:
        if not 0 <= number < count:
            raise IndexError(f"there are {count} {kind}, numbered from 0 to {count - 1}; {number} is none")
