"""The network that is told the truth of canonical depth."""

import pytest
import torch

from benchmarks import supervised
from igc.data import FACE_PARTS
from igc.own_shape import own_shape


def faces(count):
    """A bump in the middle of the canonical face, as high as the picture is bright."""
    axis = (torch.arange(32) + 0.5) / 16 - 1
    bump = torch.exp(-3 * (axis[:, None] ** 2 + axis**2))
    brightness = torch.rand(count, 1, 1)
    labels = torch.zeros(count, 32, 32, dtype=torch.int64)
    labels[:, 4:28, 4:28] = 3
    depth = torch.where(labels > 0, 1 - 0.02 * bump * (1 + brightness), 0.0)
    image = brightness[:, None].expand(-1, 3, 32, 32)
    return {"image": image, "canonical_depth": depth, "canonical_labels": labels}


def score(model, fit, test):
    found = [supervised.told_depth(model, data["image"]) for data in (fit, test)]
    return own_shape(found[0], fit, found[1], test, FACE_PARTS)


def test_it_learns_what_can_be_seen_and_starts_from_the_mean(capsys):
    known, fit, test = faces(256), faces(32), faces(32)
    mean, unit = supervised.mean_depth(known["canonical_depth"])
    torch.testing.assert_close(mean[4:28, 4:28], known["canonical_depth"][:, 4:28, 4:28].mean(dim=0))
    assert mean[0, 0] == 1 and 0.001 < unit < 0.02
    before = supervised.Told(mean, unit, width=8).eval()
    assert score(before, fit, test) == pytest.approx(0, abs=1e-3)
    assert score(supervised.train(known, 3, seed=0), fit, test) > 0.75
    assert capsys.readouterr().out.count("epoch") == 3
