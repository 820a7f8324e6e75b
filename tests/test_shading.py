"""Lambert's law."""

import torch
from torch.autograd import gradcheck

from igc.shading import lambert


def light(ambient, diffuse, direction):
    unit = torch.nn.functional.normalize(torch.tensor(direction).double(), dim=0)
    return torch.cat((torch.tensor([ambient, diffuse]).double(), unit))[None]


def surface(direction, size=4):
    unit = torch.nn.functional.normalize(torch.tensor(direction).double(), dim=0)
    return unit[None, :, None, None].expand(1, 3, size, size)


def test_a_surface_that_faces_the_light_gets_all_of_it():
    shading = lambert(surface((0.0, 0.0, -1.0)), light(0.3, 0.6, (0.0, 0.0, -1.0)))
    assert shading.shape == (1, 1, 4, 4)
    torch.testing.assert_close(shading, torch.full((1, 1, 4, 4), 0.9).double())


def test_the_cosine_counts_and_the_far_side_gets_the_ambient_light_only():
    slanted = lambert(surface((1.0, 0.0, -1.0)), light(0.2, 0.8, (0.0, 0.0, -1.0)))
    torch.testing.assert_close(slanted, torch.full((1, 1, 4, 4), 0.2 + 0.8 * 0.5**0.5).double())
    behind = lambert(surface((0.0, 0.0, -1.0)), light(0.2, 0.8, (0.0, 0.0, 1.0)))
    torch.testing.assert_close(behind, torch.full((1, 1, 4, 4), 0.2).double())


def test_light_from_the_left_brightens_what_looks_left():
    normals = torch.cat((surface((-1.0, 0.0, -1.0)), surface((1.0, 0.0, -1.0))))
    shading = lambert(normals, light(0.2, 0.8, (-1.0, 0.0, -1.0)).expand(2, -1))
    assert shading[0].min() > shading[1].max() + 0.5


def test_every_image_has_its_own_light():
    lights = torch.cat((light(0.1, 0.5, (0.0, 0.0, -1.0)), light(0.7, 0.1, (0.0, 0.0, -1.0))))
    shading = lambert(surface((0.0, 0.0, -1.0)).expand(2, -1, -1, -1), lights)
    torch.testing.assert_close(shading[:, 0, 0, 0], torch.tensor([0.6, 0.8]).double())


def test_gradients():
    normal = torch.nn.functional.normalize(torch.randn(2, 3, 3, 3).double(), dim=1).requires_grad_()
    assert gradcheck(lambert, (normal, torch.randn(2, 5).double().requires_grad_()))
