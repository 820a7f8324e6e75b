"""What the capsules say of a face, part by part and cue by cue, as numbers that an analysis can take.

A face is 2 x M components: of each of M parts the shape and the albedo.

- "code": the share of the shape or albedo embedding that the decomposition deals out to the part. The
  encoder sees the whole image, so a code may hold what its part never shows, and it lacks what the model did
  not learn.
- "drawn": what becomes of that code where the part is seen: depth or colour, at a quarter of the image's
  size, in the canonical frame (ours).
- "observed": what the photograph itself shows where the capsule's depth and pose say that the part is, dealt
  out to shape and albedo: see `observed`. It keeps what the model's own depth and albedo miss (ours).
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import Tensor

from igc.analysis.observed import Atlas, fit_atlas, joined_looks, look
from igc.errors import UserError
from igc.model import IGCNet

CUES = ("shape", "albedo")
KINDS = ("code", "drawn", "observed")
LIGHT = (-1, "light")
"""The name of the light, where it stands among the components."""
SEEN = 0.1
"""A part is described where it is seen in at least this share of the images."""

Component = tuple[int, str]
"""Part 0..M-1 and cue; or `LIGHT`."""


class Description(NamedTuple):
    """N faces as numbers."""

    parts: dict[Component, ndarray]
    """features by (part, cue): each (N, features of the component)"""
    pose: ndarray
    """(N, 6) as the model sees it: pitch, yaw, roll in radians, translation"""
    light: ndarray
    """(N, 5) as the model sees it: ambient, diffuse, direction; canonical"""
    atlas: Atlas | None = None
    """of "observed" features: what they stand for"""


def describe(
    model: IGCNet, images: Tensor, kind: str = "code", chunk: int = 64, fit: ndarray | None = None
) -> Description:
    """Components, pose and light of images (N, 3, S, S) in [0, 1].

    `kind`: "code", "drawn" or "observed". `fit`: indices of the images that the axes of "observed" features
    are fitted on, without labels; all, unless told. UserError for another kind, ValueError for images of
    another size.
    """
    return describe_as(model, images, (kind,), chunk, fit)[kind]


@torch.no_grad()
def describe_as(
    model: IGCNet, images: Tensor, kinds: tuple[str, ...], chunk: int = 64, fit: ndarray | None = None
) -> dict[str, Description]:
    """`describe` for several kinds at once, which look at every image once."""
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"features {kind!r} are unknown: choose one of {', '.join(KINDS)}.")
    model.eval()
    device = next(model.parameters()).device
    kept, looks = [], []
    for part in images.split(chunk):
        out = model(part.to(device))
        said = {"pose": out.pose, "light": out.light}
        if "code" in kinds:
            said |= {f"code {cue}": code for cue, code in _code(out.parts).items()}
        if "drawn" in kinds:
            said |= {f"drawn {cue}": code for cue, code in _drawn(out.parts).items()}
        if "observed" in kinds:
            looks.append(look(model, part.to(device), out))
        kept.append({name: value.cpu() for name, value in said.items()})
    found = {name: torch.cat([row[name] for row in kept]).numpy() for name in kept[0]}
    pose, light = found["pose"], found["light"]
    told = {kind: Description(_cut(model, found, kind), pose, light) for kind in kinds if kind != "observed"}
    if looks:
        atlas, parts = fit_atlas(joined_looks(looks), light, fit)
        told["observed"] = Description(parts, pose, light, atlas)
    return told


def _cut(model: IGCNet, found: dict[str, ndarray], kind: str) -> dict[Component, ndarray]:
    """Of every component its own channels, or the pixels where its part is seen."""
    if kind == "code":
        use = {cue: model.decomposition.attention().bool().cpu().numpy() for cue in CUES}
    else:
        seen = found["drawn seen"].mean(axis=0).reshape(model.config.parts, -1) > SEEN
        use = {"shape": seen, "albedo": np.tile(seen, (1, 3))}
    numbers = range(model.config.parts)
    return {(m, cue): found[f"{kind} {cue}"][:, m, use[cue][m]] for m in numbers for cue in CUES}


def components(model: IGCNet, images: Tensor, chunk: int = 64) -> dict[Component, ndarray]:
    """Features by (part, cue) for images (N, 3, S, S): each (N, number of the part's channels)."""
    return describe(model, images, "code", chunk).parts


def joined(parts: dict[Component, ndarray], cue: str | None = None) -> ndarray:
    """The features of all components, or of those of one cue, side by side: (N, F)."""
    return np.concatenate([value for (_, kind), value in parts.items() if cue in (None, kind)], axis=1)


def turns(pose: ndarray, light: ndarray) -> ndarray:
    """Circumstances that an analysis can allow for: the angles of the pose, and the light: (N, 8)."""
    return np.concatenate([pose[:, :3], light], axis=1)


def allow_for(features: ndarray, circumstances: ndarray, fit: ndarray) -> ndarray:
    """`features` (N, F) without what `circumstances` (N, C) predict of them.

    The prediction is a ridge regression on the circumstances, their squares and products, fitted on the
    rows `fit` only. So a component that merely repeats the light cannot be credited with what the light
    tells (ours). What the model gets wrong about the light is left in, and where each person always stands
    in one light, as many lights are known as there are people to fit on: take a hundred or more.
    """
    if not features.shape[1]:
        return features
    powers = PolynomialFeatures(2, include_bias=False)
    line = make_pipeline(StandardScaler(), powers, StandardScaler(), Ridge(alpha=1.0))
    known = line.fit(circumstances[fit], features[fit]).predict(circumstances)
    return features - known.reshape(features.shape)  # a single column is predicted as a row


def _code(parts) -> dict[str, Tensor]:
    return {"shape": parts.shape_code, "albedo": parts.albedo_code}


def _drawn(parts) -> dict[str, Tensor]:
    """Depth (B, M, s s), albedo (B, M, 3 s s) and where the part is seen (B, M, s, s), s = S / 4."""
    depth, colour = F.avg_pool2d(parts.depth, 4), F.avg_pool2d(parts.albedo.flatten(1, 2), 4)
    return {
        "shape": depth.flatten(2),
        "albedo": colour.reshape(*depth.shape[:2], -1),
        "seen": F.avg_pool2d(parts.visibility[:, :-1], 4),
    }
