"""The protocol's figures, against cases whose answer is known."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from igc import geometry, metrics
from igc.raster import rasterize

FACE = (2, 3, 4, 5)


def truth_labels(count=3, size=16):
    """Labels 0, 1 (not of the face) and 2..5 in patches."""
    small = torch.randint(0, 6, (count, size // 4, size // 4))
    return small.repeat_interleave(4, 1).repeat_interleave(4, 2)


def test_perfect_labels_score_one_whatever_their_numbers():
    truth = truth_labels()
    numbers = torch.tensor([0, 0, 4, 1, 3, 2])
    for found in (truth, numbers[truth]):
        scores = metrics.part_scores(found, truth, FACE)
        assert scores == pytest.approx({"nmi": 1, "ari": 1, "iou": 1})


def test_what_is_outside_of_the_face_does_not_count():
    truth = truth_labels()
    found = torch.where(truth < 2, torch.randint(0, 9, truth.shape), truth)
    assert metrics.part_scores(found, truth, FACE)["ari"] == pytest.approx(1)


def test_random_labels_score_near_nothing():
    truth = truth_labels(8, 32)
    scores = metrics.part_scores(torch.randint(0, 7, truth.shape), truth, FACE)
    assert scores["nmi"] < 0.01 and abs(scores["ari"]) < 0.01 and scores["iou"] < 0.2


def test_one_part_everywhere_scores_nothing_but_one_region():
    truth = truth_labels(8, 32)
    scores = metrics.part_scores(torch.ones_like(truth), truth, FACE)
    face = truth[truth >= 2]
    largest = face.bincount(minlength=6).max() / len(face)
    assert scores["nmi"] == pytest.approx(0, abs=1e-9) and scores["ari"] == pytest.approx(0, abs=1e-9)
    assert scores["iou"] == pytest.approx(float(largest) / 4, rel=1e-5)


def test_predicted_background_is_one_more_label():
    truth = truth_labels()
    found = torch.where(truth == 5, 0, truth)
    assert metrics.part_scores(found, truth, FACE)["nmi"] == pytest.approx(1)


def test_part_scores_agree_with_scikit_learn():
    truth, found = truth_labels(), torch.randint(0, 4, (3, 16, 16))
    found[truth == 3] = 2
    face = truth >= 2
    scores = metrics.part_scores(found, truth, FACE)
    true, predicted = truth[face].numpy(), found[face].numpy()
    assert scores["nmi"] == pytest.approx(sklearn_metrics.normalized_mutual_info_score(true, predicted))
    assert scores["ari"] == pytest.approx(sklearn_metrics.adjusted_rand_score(true, predicted))


def test_iou_of_matched_and_unmatched_labels():
    """Three true labels and two predicted ones: 1/2 and 2/3 matched, one unmatched."""
    truth = torch.tensor([[[2, 2, 3, 3, 4, 4]]])
    found = torch.tensor([[[1, 0, 7, 7, 7, 1]]])
    assert metrics.part_scores(found, truth, FACE)["iou"] == pytest.approx((1 / 2 + 2 / 3 + 1 / 3) / 3)
    found = torch.tensor([[[1, 1, 7, 7, 7, 7]]])
    assert metrics.part_scores(found, truth, FACE)["iou"] == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_without_a_face_there_is_no_score():
    with pytest.raises(ValueError, match="face"):
        metrics.part_scores(torch.zeros(1, 4, 4).long(), torch.zeros(1, 4, 4).long(), FACE)


def test_labels_that_are_all_background_score_as_one_part_does():
    truth = truth_labels(8, 32)
    nothing, one = torch.zeros_like(truth), torch.ones_like(truth)
    assert metrics.part_scores(nothing, truth, FACE) == metrics.part_scores(one, truth, FACE)


def test_scores_are_over_the_pooled_pixels_of_all_pictures():
    """Parts whose numbers are swapped in half of the pictures are no longer the same parts."""
    truth = torch.randint(2, 4, (2, 16, 16))
    swapped = torch.stack((truth[0], 5 - truth[1]))
    assert metrics.part_scores(swapped[:1], truth[:1], FACE)["ari"] == pytest.approx(1)
    assert metrics.part_scores(swapped[1:], truth[1:], FACE)["ari"] == pytest.approx(1)
    assert metrics.part_scores(swapped, truth, FACE)["ari"] < 0.05


def test_iou_is_scikit_learn_s_jaccard_score_once_labels_are_matched():
    truth = truth_labels()
    found = torch.where(torch.rand(truth.shape) < 0.3, 2, truth)
    face = truth >= 2
    wanted = sklearn_metrics.jaccard_score(
        truth[face].numpy(), found[face].numpy(), labels=FACE, average="macro"
    )
    assert metrics.part_scores(found, truth, FACE)["iou"] == pytest.approx(wanted)


def test_centroids_are_means_of_pixel_centres():
    labels = torch.zeros(2, 8, 8, dtype=torch.int64)
    labels[0, 2:4, 5:8] = 1
    labels[1, 0, 0] = 2
    found = metrics.centroids(labels, 2)
    np.testing.assert_allclose(found[0, 0], [6.5, 3.0])
    np.testing.assert_allclose(found[1, 1], [0.5, 0.5])
    assert np.isnan(found[0, 1]).all() and np.isnan(found[1, 0]).all()


def squares(count, size=32):
    """Labels with two squares at random places, and a batch whose landmarks are affine in the places."""
    labels = torch.zeros(count, size, size, dtype=torch.int64)
    corner = torch.randint(0, size - 4, (count, 2, 2))
    corner[:, 1, 1] = corner[:, 1, 1] // 2 + (size - 4) // 2
    corner[:, 0, 1] = corner[:, 0, 1] // 3
    for i in range(count):
        for part in (0, 1):
            x, y = corner[i, part].tolist()
            labels[i, y : y + 4, x : x + 4] = part + 1
    centres = corner.float() + 2
    mix = torch.rand(68, 2, generator=torch.Generator().manual_seed(1))
    landmarks = torch.einsum("kp,npc->nkc", mix, centres) + 3
    eyes = torch.zeros(count, 68, 3)
    eyes[:, 36, 0], eyes[:, 45, 0], eyes[..., 2] = -0.05, 0.05, 1
    seen = torch.ones(count, 68, dtype=torch.bool)
    return labels, {"landmarks": landmarks, "landmarks_3d": eyes, "landmarks_visible": seen}


FOV = math.radians(10)


def test_landmarks_that_follow_the_parts_are_found():
    (labels, fit), (others, test) = squares(400), squares(50)
    assert metrics.landmark_error(fit, labels, test, others, 2, FOV) < 0.01


def test_landmarks_that_do_not_follow_the_parts_are_not_found():
    (labels, fit), (others, test) = squares(400), squares(50)
    nothing = torch.zeros_like(labels), torch.zeros_like(others)
    error = metrics.landmark_error(fit, nothing[0], test, nothing[1], 2, FOV)
    unit = 0.1 * 0.5 * 32 / math.tan(FOV / 2)
    wanted = (test["landmarks"] - fit["landmarks"].mean(dim=0)).norm(dim=-1).mean() / unit
    assert error == pytest.approx(float(wanted), rel=1e-3)


def test_the_unit_is_the_distance_of_the_eyes_in_space():
    (labels, fit), (others, test) = squares(100), squares(50)
    before = metrics.landmark_error(fit, labels, test, others, 2, FOV)
    test["landmarks_3d"] = test["landmarks_3d"][..., [2, 1, 0]]  # a face seen from the side
    test["landmarks_3d"][..., 2] += 1
    assert metrics.landmark_error(fit, labels, test, others, 2, FOV) == pytest.approx(before)
    test["landmarks_3d"] = 2 * test["landmarks_3d"]
    assert metrics.landmark_error(fit, labels, test, others, 2, FOV) == pytest.approx(before / 2)


def test_hidden_landmarks_do_not_count():
    (labels, fit), (others, test) = squares(100), squares(50)
    before = metrics.landmark_error(fit, labels, test, others, 2, FOV)
    test["landmarks_visible"][:, 7], fit["landmarks_visible"][:50, 9] = False, False
    test["landmarks"][:, 7], fit["landmarks"][:50, 9] = 1e6, -1e6
    assert metrics.landmark_error(fit, labels, test, others, 2, FOV) == pytest.approx(before, abs=0.01)


def test_an_absent_part_takes_its_mean_place():
    (labels, fit), (others, test) = squares(400), squares(50)
    others[0][others[0] == 1] = 0
    assert metrics.landmark_error(fit, labels, test, others, 2, FOV) < 0.03


def surface(count=3, size=16):
    depth = 1 + 0.1 * torch.rand(count, size, size)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, size, size), dim=1)
    normal[:, 2] = -normal[:, 2].abs()
    face = torch.rand(count, size, size) > 0.3
    return depth, normal, face, {"depth": depth.clone(), "normal": normal.clone()}


@pytest.mark.parametrize("scale", [1.0, 0.5, 3.0])
def test_side_does_not_see_the_scale_of_depth(scale):
    depth, normal, face, truth = surface()
    scores = metrics.depth_scores(scale * depth, normal, truth, face)
    assert scores["side"] == pytest.approx(0, abs=1e-4) and scores["mad"] == pytest.approx(0, abs=0.1)
    assert scores["relief_ratio"] == pytest.approx(scale, rel=1e-4)


def test_side_is_the_formula_in_per_cent():
    depth, normal, face, truth = surface()
    wrong = depth * (1 + 0.1 * torch.rand_like(depth))
    d = [(wrong[i].log() - depth[i].log())[face[i]].double() for i in range(3)]
    wanted = torch.stack([((x**2).mean() - x.mean() ** 2).sqrt() for x in d]).mean() * 100
    assert metrics.depth_scores(wrong, normal, truth, face)["side"] == pytest.approx(float(wanted), rel=1e-4)


def test_what_is_outside_of_the_face_does_not_count_for_depth():
    depth, normal, face, truth = surface()
    wrong = torch.where(face, depth, 5 * torch.rand_like(depth) + 0.1)
    assert metrics.depth_scores(wrong, normal, truth, face)["side"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("angle", [10, 45, 90])
def test_mad_of_a_known_angle(angle):
    depth, _, face, truth = surface()
    truth["normal"] = torch.tensor([0.0, 0.0, -1.0])[:, None, None].expand(3, 3, 16, 16)
    tilt = math.radians(angle)
    normal = torch.tensor([math.sin(tilt), 0.0, -math.cos(tilt)])[:, None, None].expand(3, 3, 16, 16)
    assert metrics.depth_scores(depth, normal, truth, face)["mad"] == pytest.approx(angle, abs=0.01)


def test_the_relief_ratio_of_half_the_relief():
    depth, normal, face, truth = surface()
    assert metrics.depth_scores(1 + 0.5 * (depth - 1), normal, truth, face)["relief_ratio"] == pytest.approx(
        0.5, rel=1e-3
    )


def test_what_is_missing_takes_the_largest_depth_and_a_normal_to_the_camera():
    depth, normal, face, truth = surface()
    holes = depth.clone()
    holes[:, :4] = 0
    filled = holes.clone()
    filled[:, :4] = holes.flatten(1).amax(dim=1)[:, None, None]
    towards = normal.clone()
    towards[:, :, :4] = torch.tensor([0.0, 0.0, -1.0])[:, None, None]
    broken = normal.clone()
    broken[:, :, :4] = 0
    assert metrics.depth_scores(holes, broken, truth, face) == pytest.approx(
        metrics.depth_scores(filled, towards, truth, face)
    )


def test_an_image_without_a_face_is_passed_over():
    depth, normal, face, truth = surface()
    wrong = depth * (1 + 0.1 * torch.rand_like(depth))
    face[2] = False
    two = {name: value[:2] for name, value in truth.items()}
    assert metrics.depth_scores(wrong, normal, truth, face) == pytest.approx(
        metrics.depth_scores(wrong[:2], normal[:2], two, face[:2])
    )


def test_poses_are_scored_after_one_linear_map_and_the_slope_before_it():
    truth, other = torch.randn(200, 6), torch.randn(100, 6)
    mixed = torch.tensor([[0.5, 0.1, 0.0], [0.0, 0.4, 0.2], [-0.1, 0.0, 2.0]])
    pose, unseen = truth[:, :3] @ mixed + 0.3, other[:, :3] @ mixed + 0.3
    scores = metrics.pose_scores(pose, truth, unseen, other)
    for name in ("pitch", "yaw", "roll"):
        assert scores[f"{name}_error"] < 1e-3
    half = other[:, :3] * torch.tensor([1.0, 0.5, 1.0])
    scores = metrics.pose_scores(half, other, half, other)
    assert scores["yaw_slope"] == pytest.approx(0.5, rel=1e-4)
    assert scores["yaw_correlation"] == pytest.approx(1) and scores["yaw_error"] < 1e-3


def test_errors_of_poses_are_in_degrees():
    truth = torch.randn(4000, 3)
    pose = truth + math.radians(5) * torch.where(torch.rand(4000, 3) < 0.5, -1.0, 1.0)
    scores = metrics.pose_scores(pose, truth, pose, truth)
    assert scores["yaw_error"] == pytest.approx(5, rel=0.05)
    assert (
        metrics.pose_scores(torch.zeros(50, 3), truth[:50], torch.zeros(50, 3), truth[:50])["yaw_slope"] == 0
    )


def test_correlations_of_the_light():
    truth = torch.randn(100, 5)
    found = truth.clone()
    found[:, 3] = -truth[:, 3]
    assert metrics.light_scores(found, truth) == pytest.approx({"light_x": 1, "light_y": -1}, abs=1e-6)


def test_a_constant_has_no_correlation():
    assert metrics.correlation(torch.ones(9), torch.rand(9)) == 0
    assert metrics.correlation(torch.rand(9), torch.ones(9)) == 0
    a, b = torch.rand(50), torch.rand(50)
    assert metrics.correlation(a, b) == pytest.approx(np.corrcoef(a.numpy(), b.numpy())[0, 1])


def test_outlines():
    truth, found = torch.zeros(1, 4, 4).long(), torch.zeros(1, 4, 4).long()
    truth[0, :2], found[0, 1:3] = 3, 1
    assert metrics.outline_scores(found, truth) == pytest.approx({"silhouette": 0.5, "foreground_iou": 1 / 3})
    nothing = torch.zeros_like(truth)
    assert metrics.outline_scores(nothing, nothing) == {"silhouette": 1.0, "foreground_iou": 0.0}


def test_parts_are_alive_where_they_cover_a_share_of_nearly_all_faces():
    labels = torch.ones(100, 20, 20, dtype=torch.int64)
    labels[:, 0, :10] = 2  # 2.5 per cent of every face
    labels[:, 1, :2] = 3  # 0.5 per cent
    labels[:90, 5] = 4  # absent from a tenth of the images
    labels[:96, 6] = 5  # absent from four in a hundred
    assert metrics.parts_alive(labels, 6) == 3
    assert metrics.parts_alive(torch.zeros(5, 8, 8).long(), 6) == 0


@pytest.fixture(scope="module")
def turned():
    """Two views each of three wavy surfaces, with the number that is painted on each point."""
    size, fov = 48, FOV
    grid = geometry.pixel_centres(size) / size
    canonical = (1 + 0.01 * torch.cos(6 * grid[..., 0]) * torch.cos(5 * grid[..., 1])).expand(3, -1, -1)
    paint = (grid[..., 0] * 4).floor() + 4 * (grid[..., 1] * 3).floor()
    views = []
    for yaw in (torch.tensor([0.2, -0.1, 0.3]), torch.tensor([-0.2, 0.25, 0.0])):
        pose = torch.zeros(3, 6)
        pose[:, 1] = yaw
        points = geometry.transform(geometry.depth_to_points(canonical, fov), pose)
        fragments = rasterize(geometry.points_to_pixels(points, size, fov), size)
        # What is painted is read at the canonical place of every pixel: exact, with no interpolation.
        back = geometry.inverse_transform(geometry.depth_to_points(fragments.depth, fov), pose)
        place = geometry.points_to_pixels(back, size, fov)[..., :2].floor().long().clamp(0, size - 1)
        painted = paint[place[..., 1], place[..., 0]].long() + 1
        seen = fragments.depth > 0
        views.append(
            {"depth": fragments.depth, "pose": pose, "labels": 2 * seen.long(), "paint": painted * seen}
        )
    return views


def consistency(turned, *labels):
    return metrics.turning_consistency(*turned, labels, FACE, FOV)


def test_what_is_painted_on_a_surface_keeps_its_place_when_it_turns(turned):
    first, second = (view["paint"] for view in turned)
    assert consistency(turned, first, second) > 0.85, "1 but for pixels on a boundary"
    number = torch.randperm(13)
    assert consistency(turned, number[first], number[second]) == pytest.approx(
        consistency(turned, first, second)
    )


def test_one_view_against_itself_is_perfectly_consistent(turned):
    first = turned[0]
    assert consistency((first, first), first["paint"], first["paint"]) == 1.0


def test_random_labels_are_not_consistent(turned):
    first, second = (torch.randint(0, 7, view["paint"].shape) for view in turned)
    assert abs(consistency(turned, first, second)) < 0.01


def test_what_stays_in_the_frame_and_not_on_the_surface_is_less_consistent(turned):
    columns = (torch.arange(48) // 2 + 1).expand(3, 48, 48)
    assert consistency(turned, columns, columns) < 0.7


def test_one_part_is_no_evidence_of_consistency(turned):
    one = torch.ones(3, 48, 48, dtype=torch.int64)
    assert consistency(turned, one, one) == 0
    assert consistency(turned, one, turned[1]["paint"]) <= 0
    assert consistency(turned, torch.zeros_like(one), torch.zeros_like(one)) == 0


def test_parts_that_swap_in_some_turns_are_not_consistent(turned):
    left = [(view["paint"] - 1) % 4 < 2 for view in turned]
    same = consistency(turned, left[0].long() + 1, left[1].long() + 1)
    assert same > 0.9
    some = torch.tensor([True, False, True])[:, None, None]
    mixed = torch.where(some, 2 - left[1].long(), left[1].long() + 1)
    assert consistency(turned, left[0].long() + 1, mixed) < 0.3


def test_the_order_of_the_two_views_does_not_matter(turned):
    labels = [torch.where(torch.rand(view["paint"].shape) < 0.2, 1, view["paint"]) for view in turned]
    assert consistency(turned, *labels) == pytest.approx(consistency(turned[::-1], *labels[::-1]))


def test_only_points_that_are_seen_twice_count(turned):
    first, second = ({**view} for view in turned)
    hidden = second["depth"].clone()
    hidden[:, :, :24] -= 0.05  # something stands before the left half
    labels = [view["paint"] for view in turned]
    before = consistency((first, second), *labels)
    second["depth"] = hidden
    noisy = labels[1].clone()
    noisy[:, :, :24] = torch.randint(1, 13, (3, 48, 24))
    assert consistency((first, second), labels[0], noisy) == pytest.approx(before, abs=0.05)
    second["depth"] = torch.zeros_like(hidden)
    with pytest.raises(ValueError, match="no point"):
        consistency((first, second), *labels)


def test_turning_without_a_face_has_no_score(turned):
    blank = [{**view, "labels": torch.zeros_like(view["labels"])} for view in turned]
    with pytest.raises(ValueError, match="no point"):
        consistency(blank, *(view["paint"] for view in turned))
