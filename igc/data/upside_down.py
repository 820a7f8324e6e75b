"""Faces upside down, with all their truth: for showing that nothing learned knows up from down."""

import torch
from torch import Tensor

AROUND = (-1.0, -1.0, 1.0)
"""What half a turn about the optical axis does to x, y and z: Q = diag of this."""
POSE = (-1.0, -1.0, 1.0, -1.0, -1.0, 1.0)
"""And what it does to a pose. The motion becomes Q R Q about (0, 0, 1), and Q Rz Ry Rx Q is
Rz(roll) Ry(-yaw) Rx(-pitch): Q turns about z as roll does, and turns the axes of yaw and pitch around."""


def upside_down(item: dict[str, Tensor]) -> dict[str, Tensor]:
    """An item of `SyntheticFaces`, or only its image, turned by 180 degrees about the picture's middle.

    The view and the canonical frame are both turned: maps lie the other way round, x and y of normals,
    landmarks, translation and light change their signs. The landmarks keep their order: 36 to 41 are the
    same eye of the same person, now on the image's right.
    """
    size, around = item["image"].shape[-1], torch.tensor(AROUND)
    turned = dict(item)
    for name, value in item.items():
        if name == "image" or name.endswith(("depth", "labels", "albedo", "normal")):
            turned[name] = value.flip(-1, -2)
        if name.endswith("normal"):
            turned[name] = turned[name] * around[:, None, None]
    if "pose" in item:
        turned["landmarks"] = size - item["landmarks"]
        turned["landmarks_3d"] = item["landmarks_3d"] * around
        turned["pose"] = item["pose"] * torch.tensor(POSE)
        turned["light"] = torch.cat((item["light"][:2], item["light"][2:] * around))
    return turned
