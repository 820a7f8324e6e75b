"""What the tests of the rasterisers share: posed grids, and every backend that can be imported here."""

import math

import numpy as np
import pytest
import torch

from igc import geometry
from igc.raster import BACKENDS, pytorch3d, rasterize

FOV = math.radians(40)


def posed_grid(size, image, yaw=0.0, pitch=0.0, roll=0.0, shift=(0.0, 0.0, 0.0), rough=0.1, batch=1):
    """Vertices (B, size, size, 3) of random depth maps at a pose (degrees), for images `image` wide."""
    depth = (1 + rough * (torch.rand(batch, size, size) - 0.5)).double()
    pose = torch.tensor([[*np.radians((pitch, yaw, roll)), *shift]]).expand(batch, 6).double()
    points = geometry.transform(geometry.depth_to_points(depth, FOV), pose)
    return geometry.points_to_pixels(points, image, FOV)


@pytest.fixture(params=sorted(BACKENDS))
def draw(request):
    """`rasterize` of one backend, in the widest type that it takes; skips where it cannot be imported."""
    if request.param == "pytorch3d":
        if not pytorch3d.available():
            pytest.skip("PyTorch3D is not installed")
        return lambda vertices, *rest, **more: rasterize(vertices.float(), *rest, backend="pytorch3d", **more)
    return lambda vertices, *rest, **more: rasterize(vertices, *rest, backend=request.param, **more)
