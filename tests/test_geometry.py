"""Camera, rigid motion and normals, against scipy and against surfaces that are known analytically."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck

from igc import geometry

FOV = math.radians(10)


def random_pose(count=5):
    return torch.cat((torch.randn(count, 3), 0.1 * torch.randn(count, 3)), dim=1).double()


def number(low, high):
    return st.floats(low, high, allow_subnormal=False)


turns = st.tuples(number(-3.1, 3.1), number(-1.55, 1.55), number(-3.1, 3.1))
poses = st.tuples(*[number(-4, 4)] * 3, *[number(-0.5, 0.5)] * 3)
property_test = settings(max_examples=60, deadline=None)


def test_pixel_centres_are_at_half_and_run_right_and_down():
    centres = geometry.pixel_centres(4)
    assert centres.shape == (4, 4, 2)
    assert centres[0, 0].tolist() == [0.5, 0.5]
    assert centres[1, 3].tolist() == [3.5, 1.5], "row 1, column 3 is x = 3.5, y = 1.5"


@pytest.mark.parametrize("fov", [5, 10, 60, 110])
def test_the_field_of_view_spans_the_image(fov):
    fov = math.radians(fov)
    edge = torch.tensor([math.tan(fov / 2), -math.tan(fov / 2), 1.0], dtype=torch.float64)
    pixel = geometry.points_to_pixels(2.5 * edge, 64, fov)
    torch.testing.assert_close(pixel, torch.tensor([64.0, 0.0, 2.5], dtype=torch.float64))


def test_the_optical_axis_meets_the_middle_of_the_image():
    middle = geometry.points_to_pixels(torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 3.0]]), 64, FOV)
    assert middle.tolist() == [[32.0, 32.0, 1.0], [32.0, 32.0, 3.0]]


@pytest.mark.parametrize(("size", "fov"), [(4, 10), (16, 60), (33, 100)])
def test_lifting_and_projecting_return_the_pixel_centres(size, fov):
    depth = 0.5 + torch.rand(2, 3, size, size, dtype=torch.float64)
    points = geometry.depth_to_points(depth, math.radians(fov))
    assert points.shape == (2, 3, size, size, 3)
    torch.testing.assert_close(points[..., 2], depth)
    pixels = geometry.points_to_pixels(points, size, math.radians(fov))
    centres = geometry.pixel_centres(size, dtype=torch.float64).expand(2, 3, -1, -1, -1)
    torch.testing.assert_close(pixels[..., :2], centres)
    torch.testing.assert_close(pixels[..., 2], depth)


def test_depth_is_a_z_coordinate_not_a_length_along_the_ray():
    points = geometry.depth_to_points(torch.full((8, 8), 2.0), math.radians(90))
    assert torch.equal(points[..., 2], torch.full((8, 8), 2.0))
    assert points[0, 0].norm() > 2.5


def test_rotations_equal_those_of_scipy():
    angles = torch.randn(50, 3, dtype=torch.float64)
    ours = geometry.rotation_matrix(angles).numpy()
    extrinsic = Rotation.from_euler("xyz", angles.numpy()).as_matrix()
    intrinsic = Rotation.from_euler("ZYX", angles.numpy()[:, ::-1]).as_matrix()
    np.testing.assert_allclose(ours, extrinsic, atol=1e-12)
    np.testing.assert_allclose(ours, intrinsic, atol=1e-12)


def test_rotations_keep_the_shape_of_a_batch_and_do_nothing_at_zero():
    assert geometry.rotation_matrix(torch.zeros(2, 4, 3)).shape == (2, 4, 3, 3)
    assert torch.equal(geometry.rotation_matrix(torch.zeros(3)), torch.eye(3))


@pytest.mark.parametrize(
    ("angles", "vector", "axis", "sign", "said"),
    [
        ((0, 0.3, 0), (0, 0, -1), 0, -1, "positive yaw moves the near side to the left"),
        ((0.3, 0, 0), (0, 0, -1), 1, 1, "positive pitch moves the near side down"),
        ((0, 0, 0.3), (1, 0, 0), 1, 1, "positive roll turns the image clockwise"),
        ((0, 0, 0.3), (0, -1, 0), 0, 1, "positive roll moves the top to the right"),
    ],
)
def test_angles_have_the_signs_that_are_documented(angles, vector, axis, sign, said):
    turned = geometry.rotation_matrix(torch.tensor(angles)) @ torch.tensor(vector).float()
    assert sign * turned[axis] > 0.2, said


def test_rotate_turns_each_item_by_its_own_angles():
    vectors, angles = torch.randn(3, 4, 5, 3).double(), torch.randn(3, 3).double()
    turned = geometry.rotate(vectors, angles)
    for i in range(3):
        wanted = Rotation.from_euler("xyz", angles[i].numpy()).apply(vectors[i].reshape(-1, 3).numpy())
        np.testing.assert_allclose(turned[i].reshape(-1, 3).numpy(), wanted, atol=1e-12)


def test_transform_turns_about_the_centre_and_then_shifts():
    points, pose = torch.randn(5, 7, 3).double(), random_pose()
    moved = geometry.transform(points, pose)
    centre = np.array([0.0, 0.0, 1.0])
    for i in range(5):
        turn = Rotation.from_euler("xyz", pose[i, :3].numpy())
        wanted = turn.apply(points[i].numpy() - centre) + centre + pose[i, 3:].numpy()
        np.testing.assert_allclose(moved[i].numpy(), wanted, atol=1e-12)


def test_the_centre_stays_under_a_turn_and_follows_a_shift():
    pose = random_pose(4)
    centre = torch.tensor([[0.0, 0.0, 1.0]]).double().expand(4, 1, 3)
    torch.testing.assert_close(geometry.transform(centre, pose)[:, 0], centre[:, 0] + pose[:, 3:])


def test_inverse_transform_undoes_transform():
    points, pose = torch.randn(5, 6, 7, 3).double(), random_pose()
    torch.testing.assert_close(geometry.inverse_transform(geometry.transform(points, pose), pose), points)
    torch.testing.assert_close(geometry.transform(geometry.inverse_transform(points, pose), pose), points)


def test_a_turn_about_another_point_is_a_pose_about_the_centre():
    points, pose, offset = torch.randn(5, 7, 3).double(), random_pose(), torch.randn(3).double()
    moved = geometry.transform(points, geometry.turned_about(pose, offset))
    centre = np.array([0.0, 0.0, 1.0]) + offset.numpy()
    for i in range(5):
        turn = Rotation.from_euler("xyz", pose[i, :3].numpy())
        wanted = turn.apply(points[i].numpy() - centre) + centre + pose[i, 3:].numpy()
        np.testing.assert_allclose(moved[i].numpy(), wanted, atol=1e-12)


def test_normals_of_a_flat_depth_map_look_at_the_camera():
    normal = geometry.depth_to_normals(torch.full((2, 8, 8), 1.3), FOV)
    assert normal.shape == (2, 3, 8, 8)
    wanted = torch.tensor([0.0, 0.0, -1.0])[:, None, None].expand(2, 3, 8, 8)
    torch.testing.assert_close(normal, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("slope", [(0.5, 0.0), (0.0, -0.7), (0.6, 0.4)])
def test_normals_of_a_tilted_plane(slope):
    """The plane z = 1 + a x + b y has the normal (a, b, -1), up to its length."""
    a, b = slope
    ray = geometry.depth_to_points(torch.ones(12, 12).double(), FOV)
    depth = 1 / (1 - a * ray[..., 0] - b * ray[..., 1])
    normal = geometry.depth_to_normals(depth, FOV)
    wanted = torch.tensor([a, b, -1.0], dtype=torch.float64) / math.sqrt(a * a + b * b + 1)
    torch.testing.assert_close(normal, wanted[:, None, None].expand(3, 12, 12), atol=1e-9, rtol=0)


def test_normals_of_a_sphere():
    radius, centre = 0.5, torch.tensor([0.02, -0.01, 1.5]).double()
    ray = geometry.depth_to_points(torch.ones(64, 64).double(), FOV)
    along, square = (ray * centre).sum(-1), ray.square().sum(-1)
    depth = (along - (along**2 - square * (centre @ centre - radius**2)).sqrt()) / square
    normal = geometry.depth_to_normals(depth, FOV)
    wanted = ((ray * depth[..., None] - centre) / radius).movedim(-1, 0)
    inner = (slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(normal[inner], wanted[inner], atol=1e-5, rtol=0)
    torch.testing.assert_close(normal, wanted, atol=4e-3, rtol=0)
    assert (normal[2] < 0).all()


def test_normals_are_unit_vectors_towards_the_camera_on_rough_depth():
    normal = geometry.depth_to_normals(1 + 0.05 * torch.rand(3, 16, 16), FOV)
    torch.testing.assert_close(normal.norm(dim=1), torch.ones(3, 16, 16))
    assert (normal[:, 2] < 0).all()


@property_test
@given(turns)
def test_angles_give_a_matrix_that_gives_the_angles(angles):
    angles = torch.tensor(angles, dtype=torch.float64)
    found = geometry.matrix_to_angles(geometry.rotation_matrix(angles))
    torch.testing.assert_close(found, angles, atol=1e-9, rtol=0)


@property_test
@given(st.tuples(*[number(-7, 7)] * 3), st.sampled_from((torch.float64, torch.float32)))
@example((0.3, math.pi / 2, -1.1), torch.float64)
@example((0.3, -math.pi / 2, 2.0), torch.float32)
@example((-2.0, math.pi / 2 - 1e-7, 0.4), torch.float32)
@example((1.0, math.pi / 2 + 1e-9, 0.4), torch.float64)
@example((3.0, 2.5, -3.0), torch.float64)
def test_any_rotation_gives_angles_that_give_it_back_even_in_gimbal_lock(angles, dtype):
    matrix = geometry.rotation_matrix(torch.tensor(angles, dtype=dtype))
    found = geometry.matrix_to_angles(matrix)
    accuracy = 1e-12 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(geometry.rotation_matrix(found), matrix, atol=accuracy, rtol=0)
    assert found[1].abs() <= math.pi / 2 + 1e-6, "of the two triples the one with the smaller yaw"


def test_angles_of_matrices_keep_the_shape_of_a_batch_and_are_those_of_scipy():
    turned = Rotation.random(20, random_state=3)
    matrix = torch.tensor(turned.as_matrix()).reshape(4, 5, 3, 3)
    found = geometry.matrix_to_angles(matrix)
    np.testing.assert_allclose(found.reshape(-1, 3), turned.as_euler("xyz"), atol=1e-12)


def test_in_exact_gimbal_lock_the_roll_is_zero():
    quarter = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    torch.testing.assert_close(geometry.matrix_to_angles(quarter), torch.tensor([0.0, math.pi / 2, 0.0]))


@property_test
@given(poses, st.tuples(*[number(-2, 2)] * 3))
def test_any_pose_can_be_undone(pose, point):
    pose = torch.tensor([pose], dtype=torch.float64)
    point = torch.tensor([[point]], dtype=torch.float64)
    there = geometry.transform(point, pose)
    torch.testing.assert_close(geometry.inverse_transform(there, pose), point, atol=1e-12, rtol=0)
    from_centre = point - torch.tensor(geometry.CENTRE)
    moved = there - torch.tensor(geometry.CENTRE) - pose[:, None, 3:]
    torch.testing.assert_close(moved.norm(), from_centre.norm(), msg="a rigid motion keeps distances")


@property_test
@given(st.integers(1, 9), number(0.02, 3.0), number(0.01, 100), number(0.2, 5), st.integers(0, 2**31))
def test_depth_to_points_to_pixels_gives_the_depth_back(size, fov, scale, zoom, seed):
    noise = torch.rand(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    depth = scale * (0.5 + noise)
    pixels = geometry.points_to_pixels(geometry.depth_to_points(depth, fov), size, fov)
    centres = geometry.pixel_centres(size, dtype=torch.float64)
    torch.testing.assert_close(pixels, torch.cat((centres, depth[..., None]), dim=-1), atol=1e-10, rtol=1e-10)
    zoomed = geometry.points_to_pixels(geometry.depth_to_points(depth, fov), size, geometry.zoomed(fov, zoom))
    about_the_middle = zoom * (centres - size / 2) + size / 2
    torch.testing.assert_close(zoomed[..., :2], about_the_middle, atol=1e-8, rtol=1e-8)


def test_normal_maps_turn_into_the_view_and_back():
    normal = torch.nn.functional.normalize(torch.randn(5, 3, 4, 6).double(), dim=1)
    pose = random_pose()
    seen = geometry.rotate_normals(normal, pose)
    wanted = torch.einsum("bij,bjhw->bihw", geometry.rotation_matrix(pose[:, :3]), normal)
    torch.testing.assert_close(seen, wanted)
    torch.testing.assert_close(geometry.rotate_normals(seen, pose, back=True), normal)


def test_turned_normals_are_the_normals_of_the_turned_surface():
    depth = 1 + 0.05 * torch.rand(2, 9, 9, dtype=torch.float64)
    pose = 0.2 * random_pose(2)
    seen = geometry.rotate_normals(geometry.depth_to_normals(depth, FOV), pose)
    moved = geometry.transform(geometry.depth_to_points(depth, FOV), pose)
    torch.testing.assert_close(seen, geometry.points_to_normals(moved).movedim(-1, 1))


def test_one_pose_serves_all_items():
    points, pose = torch.randn(4, 6, 3).double(), random_pose(1)
    torch.testing.assert_close(
        geometry.transform(points, pose), geometry.transform(points, pose.expand(4, 6))
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: geometry.focal_length(64, 0.0), "field of view"),
        (lambda: geometry.focal_length(64, 10.0), "between 0 and pi radians, not at 10.0"),
        (lambda: geometry.focal_length(64, math.nan), "field of view"),
        (lambda: geometry.zoomed(0.2, 0.0), "zoom must be above 0"),
        (lambda: geometry.zoomed(0.2, math.nan), "zoom must be above 0"),
        (lambda: geometry.depth_to_points(torch.ones(2, 4, 5), 0.2), r"\(\.\.\., S, S\), not \(2, 4, 5\)"),
        (lambda: geometry.depth_to_points(torch.ones(4), 0.2), "depth map"),
        (lambda: geometry.matrix_to_angles(torch.eye(4)), r"\(4, 4\)"),
        (lambda: geometry.rotate(torch.ones(2, 3), torch.ones(3, 3)), r"\(2, 3\) and \(3, 3\)"),
        (lambda: geometry.transform(torch.ones(2, 5, 3), torch.ones(2, 5)), r"\(B, 6\)"),
        (lambda: geometry.inverse_transform(torch.ones(2, 5, 3), torch.ones(3, 6)), r"\(B, 6\)"),
        (lambda: geometry.transform(torch.ones(2, 5, 4), torch.ones(2, 6)), r"\(2, 5, 4\)"),
    ],
)
def test_arguments_without_sense_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.parametrize(
    "function",
    [
        lambda depth, pose: geometry.depth_to_points(depth, 0.5),
        lambda depth, pose: geometry.depth_to_normals(depth, 0.5),
        lambda depth, pose: geometry.transform(geometry.depth_to_points(depth, 0.5), pose),
        lambda depth, pose: geometry.inverse_transform(geometry.depth_to_points(depth, 0.5), pose),
        lambda depth, pose: geometry.points_to_pixels(
            geometry.transform(geometry.depth_to_points(depth, 0.5), 0.2 * pose), 5, 0.5
        ),
        lambda depth, pose: geometry.rotation_matrix(pose[:, :3]),
        lambda depth, pose: geometry.turned_about(pose, pose[0, :3]),
        lambda depth, pose: geometry.matrix_to_angles(geometry.rotation_matrix(0.4 * pose[:, :3])),
        lambda depth, pose: geometry.rotate_normals(geometry.depth_to_normals(depth, 0.5), pose),
    ],
    ids=["points", "normals", "transform", "inverse", "project", "rotation", "pivot", "angles", "turned"],
)
def test_gradients(function):
    depth = (1 + 0.2 * torch.rand(2, 5, 5)).double().requires_grad_()
    pose = random_pose(2).requires_grad_()
    assert gradcheck(lambda d, p: function(d, p) + 0 * (d.sum() + p.sum()), (depth, pose))
