"""Where parts lie on the face, against cases whose answer is known."""

import numpy as np
import pytest
import torch

from igc.layout import following, layout_agreement, relative_heights

EACH = 4


def faces(people, noise=0):
    """Canonical labels in which the features 2, 3, 4 are lines at a person's own heights."""
    rows = torch.tensor([10, 26, 42]) + torch.randint(-5, 6, (people, 3))
    rows = rows.repeat_interleave(EACH, dim=0) + torch.randint(-noise, noise + 1, (people * EACH, 3))
    labels = torch.zeros(people * EACH, 64, 64, dtype=torch.int64)
    for i, heights in enumerate(rows):
        for label, row in zip((2, 3, 4), heights):
            labels[i, row, 20:40] = label
    return {"canonical_labels": labels, "identity": torch.arange(people).repeat_interleave(EACH)}


def score(change, parts, fit=None, test=None):
    fit, test = fit or faces(60), test or faces(50)
    return following(change(fit["canonical_labels"]), fit, change(test["canonical_labels"]), test, parts)


def test_parts_that_are_the_features_follow_them():
    number = torch.tensor([0, 0, 3, 1, 2])
    assert score(lambda labels: number[labels], 3) == pytest.approx(1)


def test_parts_that_lie_in_one_place_do_not_follow():
    assert score(lambda labels: labels[:1].expand_as(labels), 4) == 0


def test_the_parts_of_others_do_not_follow():
    assert abs(score(lambda labels: labels.roll(EACH, dims=0), 4)) < 0.35


def test_a_face_that_is_lower_as_a_whole_does_not_follow():
    """Heights are relative to the person's other parts: a shift of all says nothing."""

    def shifted(labels):
        shift = torch.randint(-5, 6, (len(labels),))
        return torch.stack([labels[0].roll(int(s), dims=0) for s in shift])

    assert abs(score(shifted, 4)) < 0.05

    def lower(labels):
        return labels.roll(7, dims=1)

    assert score(lambda labels: lower(torch.tensor([0, 0, 1, 2, 3])[labels]), 3) == pytest.approx(1)


def test_one_part_does_not_follow():
    assert score(lambda labels: (labels > 0).long(), 1) == 0


def test_the_part_of_a_feature_is_chosen_on_the_validation_people():
    """Parts that change their numbers from the validation to the test people are the wrong ones there."""
    fit, test = faces(60), faces(50)
    other = torch.tensor([0, 0, 3, 4, 2])[test["canonical_labels"]]
    assert following(fit["canonical_labels"], fit, other, test, 4) < 0.5
    assert following(fit["canonical_labels"], fit, test["canonical_labels"], test, 4) > 0.99


def test_pictures_of_a_person_are_averaged():
    test = faces(50, noise=2)
    truth = faces(50, noise=0)["canonical_labels"]
    heights = relative_heights(test["canonical_labels"], test["identity"], (2, 3, 4))
    assert heights.shape == (50, 3)
    np.testing.assert_allclose(heights.sum(axis=1), 0, atol=1e-9)
    assert len(relative_heights(truth, torch.zeros(200), (2, 3, 4))) == 1


def test_heights_are_rows_of_pixel_centres_less_their_mean():
    labels = torch.zeros(3, 8, 8, dtype=torch.int64)
    labels[0, 1:3], labels[0, 6] = 1, 2  # 2.0 and 6.5
    labels[1, 3], labels[1, 4] = 1, 2  # 3.5 and 4.5; the same person
    labels[2, 5] = 1  # 5.5, and nothing of 2, whose mean is 5.5
    heights = relative_heights(labels, torch.tensor([7, 7, 9]), (1, 2, 3))
    wanted = np.array([[2.75, 5.5], [5.5, 5.5]])
    np.testing.assert_allclose(heights[:, :2], wanted - wanted.mean(axis=1, keepdims=True))
    assert (heights[:, 2] == 0).all(), "what nobody has says nothing"


def test_agreement_is_with_the_commonest_part_where_both_have_one():
    fit = torch.tensor([[[1, 2, 0]], [[1, 3, 0]], [[2, 3, 1]]])  # commonest: 1, 3, 0
    found = torch.tensor([[[1, 3, 2]], [[2, 0, 2]]])
    assert layout_agreement(fit, found) == pytest.approx(2 / 3)
    assert layout_agreement(fit[:1], fit[:1]) == 1
    assert layout_agreement(torch.zeros_like(fit), fit) == 0
