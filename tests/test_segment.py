"""Part coverage to labels."""

import torch

from igc import IGCNet, ModelConfig, segment

TINY = ModelConfig(size=32, width=8, channels=12, parts=3)


def test_the_largest_part_wins_where_at_least_half_is_face():
    parts = torch.tensor([[0.6, 0.0, 0.2, 0.3], [0.4, 0.0, 0.2, 0.3], [0.0, 1.0, 0.09, 0.31]])
    assert segment.masks_to_labels(parts[None, :, None]).tolist() == [[[1, 3, 0, 3]]]


def test_labels_have_the_documented_type_and_range():
    labels = segment.masks_to_labels(torch.rand(2, 5, 8, 8))
    assert labels.dtype == torch.int64 and labels.shape == (2, 8, 8)
    assert labels.min() >= 0 and labels.max() <= 5


def test_labels_of_images_are_those_of_the_output_in_any_chunks():
    model, images = IGCNet(TINY).eval(), torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        wanted = segment.masks_to_labels(model(images).view_parts)
    assert (segment.labels(model, images) == wanted).all()
    assert (segment.labels(model, images, chunk=2) == wanted).float().mean() > 0.999
    assert set(wanted.unique().tolist()) <= {0, 1, 2, 3} and len(wanted.unique()) > 1


def test_no_images_give_no_labels():
    labels = segment.labels(IGCNet(TINY), torch.zeros(0, 3, 32, 32))
    assert labels.shape == (0, 32, 32) and labels.dtype == torch.int64
