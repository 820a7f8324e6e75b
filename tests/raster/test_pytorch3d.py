"""Our rasteriser against PyTorch3D's, where that is installed: coverage, depth and gradients."""

import pytest
import torch

from igc.raster import grid, interpolate, pytorch3d, rasterize
from tests.raster.test_properties import posed

pytestmark = pytest.mark.skipif(not pytorch3d.available(), reason="PyTorch3D is not installed")


def random_grids(size, count):
    """Smooth and rough random depth maps at random poses, yaw to +-80 degrees (float32)."""
    generator = torch.Generator().manual_seed(size)
    coarse = torch.rand(count, 1, 8, 8, generator=generator)
    depth = 0.95 + 0.1 * torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")[:, 0]
    depth = depth + 0.002 * torch.rand(count, size, size, generator=generator)
    angles = (2 * torch.rand(count, 3, generator=generator) - 1) * torch.tensor([20.0, 80.0, 20.0])
    return torch.cat([posed(d[None], a.tolist()) for d, a in zip(depth, angles)])


def distance_to_edges(vertices, places):
    """Of centres (N, 2) in pixels to the nearest edge of any triangle of one grid (H, W, 3), in float64."""
    height, width = vertices.shape[:2]
    corners = grid.triangle_corners(torch.arange(2 * (height - 1) * (width - 1)), width)
    a = vertices.double().reshape(-1, 3)[corners][..., :2].reshape(-1, 2)
    b = vertices.double().reshape(-1, 3)[corners].roll(-1, 1)[..., :2].reshape(-1, 2)
    run, to = b - a, places[:, None].double() - a
    share = ((to * run).sum(-1) / run.square().sum(-1).clamp(min=1e-30)).clamp(0, 1)
    return (to - share[..., None] * run).norm(dim=-1).amin(1)


def relative(ours, theirs):
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize(("size", "count"), [(32, 200), (64, 200), (128, 20)])
def test_both_agree(size, count):
    vertices = random_grids(size, count).requires_grad_()
    other = vertices.detach().clone().requires_grad_()
    attributes = torch.rand(count, 2, size, size, requires_grad=True)
    same_attributes = attributes.detach().clone().requires_grad_()
    ours = rasterize(vertices, size)
    theirs = rasterize(other, size, backend="pytorch3d")
    differs = ours.coverage != theirs.coverage
    for item in differs.flatten(1).any(1).nonzero().flatten().tolist():
        row, column = differs[item].nonzero().T
        places = torch.stack((column, row), dim=-1) + 0.5
        distance = distance_to_edges(vertices[item].detach(), places) * 2 / size
        assert float(distance.max()) < 1e-6, f"{float(distance.max())} of the half width"
    both = ours.triangle == theirs.triangle
    changed = (ours.coverage & theirs.coverage & ~both).sum()
    print(f"{size} px: coverage differs on {int(differs.sum())} of {differs.numel()} pixels, "
          f"another triangle on {int(changed)}")  # fmt: skip
    seen = ours.coverage & theirs.coverage
    assert float((ours.depth - theirs.depth).detach()[both & seen].abs().max()) < 1e-5
    weight = torch.randn(ours.depth.shape, generator=torch.Generator().manual_seed(0)) * both
    images = interpolate(ours, attributes), interpolate(theirs, same_attributes)
    for fragments, image in zip((ours, theirs), images):
        ((fragments.depth + image.sum(1)) * weight).sum().backward()
    assert relative(attributes.grad, same_attributes.grad) < 1e-4
    errors = [relative(a, b) for a, b in zip(vertices.grad, other.grad)]
    print(f"gradient: median {sorted(errors)[count // 2]:.1e}, largest {max(errors):.1e}")
    assert max(errors) < 1e-4


def test_a_mask_and_the_other_diagonal_are_understood():
    vertices = random_grids(32, 4)
    mask = torch.rand(4, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.6
    for diagonal in grid.DIAGONALS:
        ours = rasterize(vertices, 32, mask, diagonal=diagonal)
        theirs = rasterize(vertices, 32, mask, backend="pytorch3d", diagonal=diagonal)
        assert (ours.triangle != theirs.triangle).float().mean() < 1e-3


def test_double_precision_is_refused():
    with pytest.raises(ValueError, match="float32"):
        rasterize(random_grids(32, 1).double(), 32, backend="pytorch3d")
