"""What a model must beat does what its name says."""

import math

import pytest
import torch

from igc import floors, metrics
from igc.data import FACE_PARTS, SyntheticFaces

FOV = math.radians(10)


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces("validation", 12, 32).batch(range(12))


def face_of(data):
    return torch.isin(data["labels"], torch.tensor(FACE_PARTS))


def boxes():
    face = torch.zeros(3, 24, 24, dtype=torch.bool)
    face[0, 3:21, 5:17] = True
    face[1, 0:6, 10] = True
    face[1, 5, 3:12] = True
    return face  # the last is empty


@pytest.mark.parametrize("labels", [floors.bands, floors.grid_2x3])
def test_labels_cover_the_box_and_nothing_else(labels):
    found = labels(boxes())
    assert (found[0, 3:21, 5:17] > 0).all() and (found[0] > 0).sum() == 18 * 12
    assert (found[1, 0:6, 3:12] > 0).all() and (found[1] > 0).sum() == 6 * 9
    assert (found[2] == 0).all()
    assert found[0].unique().tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert (boxes() <= (found > 0)).all()


def test_bands_are_even_and_in_order_from_the_top():
    found = floors.bands(boxes())[0, 3:21, 5:17]
    assert torch.equal(found, torch.arange(6).repeat_interleave(3)[:, None].expand(18, 12) + 1)
    assert floors.bands(boxes(), 3)[0].max() == 3


def test_the_grid_has_three_rows_of_two():
    found = floors.grid_2x3(boxes())[0, 3:21, 5:17]
    wanted = torch.tensor([[1, 2], [3, 4], [5, 6]]).repeat_interleave(6, 0).repeat_interleave(6, 1)
    assert torch.equal(found, wanted)


def test_k_means_labels_face_pixels_and_finds_colours(faces):
    face = face_of(faces)
    found = floors.k_means(faces, faces, face, face)
    assert ((found > 0) == face).all() and found.max() == 6
    again = floors.k_means(faces, faces, face, face)
    assert torch.equal(found, again)


def test_the_commonest_label_wins():
    truth = torch.tensor([[[2, 0]], [[2, 3]], [[1, 3]]])
    assert floors.commonest_label(truth, 4).tolist() == 4 * [[[2, 3]]]


def test_where_the_parts_start_is_symmetric_and_the_same_in_all_images():
    labels = floors.where_parts_start(32, 3)
    assert labels.shape == (3, 32, 32) and labels.unique().tolist() == [1, 2, 3, 4, 5, 6]
    assert torch.equal(labels[0], labels[2]) and torch.equal(labels, labels.flip(-1))
    areas = labels[0].flatten().bincount()[1:]
    assert areas.max() < 1.3 * areas.min(), "told of equal areas and of nothing else"
    torch.manual_seed(7)
    assert torch.equal(floors.where_parts_start(32, 3), labels), "the same whatever was drawn before"
    after = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(3)), "and it draws nothing itself"


def test_the_side_of_a_flat_plane_is_the_spread_of_the_truth(faces):
    depth, normal = floors.flat_plane(faces)
    face = face_of(faces)
    scores = metrics.depth_scores(depth, normal, faces, face)
    spread = torch.stack([d[f].double().log().std(correction=0) for d, f in zip(faces["depth"], face)]).mean()
    assert scores["side"] == pytest.approx(100 * float(spread), rel=1e-4)
    assert scores["relief_ratio"] == 0 and 10 < scores["mad"] < 60


def test_the_mean_depth_is_the_mean_where_there_is_a_surface():
    fit = {"depth": torch.tensor([[[1.0, 0.0], [0.0, 1.2]], [[1.1, 0.9], [0.0, 1.0]]])}
    depth, normal = floors.mean_depth(fit, {"depth": torch.ones(3, 2, 2)}, FOV)
    wanted = torch.tensor([[1.05, 0.9], [1.1, 1.1]]).expand(3, 2, 2)
    torch.testing.assert_close(depth, wanted)
    assert normal.shape == (3, 3, 2, 2)


def test_the_mean_depth_beats_the_flat_plane(faces):
    face = face_of(faces)
    plane = metrics.depth_scores(*floors.flat_plane(faces), faces, face)
    mean = metrics.depth_scores(*floors.mean_depth(faces, faces, FOV), faces, face)
    assert mean["side"] < plane["side"]


def test_the_posed_mean_of_identical_faces_is_nearly_exact():
    one = SyntheticFaces("validation", 8, 64, yaw=20)
    item = {name: value[3:4] for name, value in one.batch(range(8)).items()}
    fit = {"canonical_depth": item["canonical_depth"].expand(5, -1, -1)}
    depth, normal = floors.posed_mean_face(fit, item, FOV)
    face = face_of(item)
    scores = metrics.depth_scores(depth, normal, item, face)
    plane = metrics.depth_scores(*floors.flat_plane(item), item, face)
    assert (depth - item["depth"])[face].abs().median() < 5e-4, "most of it; some is hidden from the front"
    assert scores["side"] < 0.3 * plane["side"]
    assert scores["relief_ratio"] == pytest.approx(1, abs=0.06) and scores["mad"] < 6


def test_the_posed_mean_of_one_face_at_zero_pose_is_that_face():
    item = SyntheticFaces("validation", 4, 64).batch([2])
    front = {name: item[f"canonical_{name}"] for name in ("depth", "normal", "labels")}
    front["pose"] = torch.zeros(1, 6)
    depth, normal = floors.posed_mean_face(item, front, FOV)
    face = face_of(front)
    torch.testing.assert_close(depth[face], front["depth"][face], atol=1e-5, rtol=0)
    assert metrics.depth_scores(depth, normal, front, face)["side"] < 0.01


def test_the_posed_mean_follows_the_pose(faces):
    turned = dict(faces)
    turned["pose"] = faces["pose"].clone()
    turned["pose"][:, 1] += 0.4
    before, after = (floors.posed_mean_face(faces, data, FOV)[0] for data in (faces, turned))
    assert before.shape == (12, 32, 32) and (before - after).abs().max() > 0.01
