"""Which part tells people apart, where the answer was planted."""

import numpy as np
import pytest
import torch

from igc import IGCNet, ModelConfig, analysis
from igc.errors import UserError

PEOPLE, EACH, PARTS = 30, 6, 4
IDENTITY = np.repeat(np.arange(PEOPLE) + 1000, EACH)


def noise(width=5, seed=0):
    return np.random.default_rng(seed).normal(size=(len(IDENTITY), width))


def telling(width=5, seed=0):
    """Features that are a person's own, with a little noise."""
    own = np.random.default_rng(seed + 99).normal(size=(PEOPLE, width))
    return np.repeat(own, EACH, axis=0) + 0.01 * noise(width, seed)


def test_planted_features_are_recognised():
    assert analysis.recognise(telling(), IDENTITY).all()
    value, low, high = analysis.rank_one(telling(), IDENTITY)
    assert (value, low, high) == (1, 1, 1)


def test_noise_is_recognised_at_chance():
    values = [analysis.recognise(noise(seed=seed), IDENTITY).mean() for seed in range(20)]
    assert np.mean(values) == pytest.approx(1 / PEOPLE, abs=0.02)


def test_the_gallery_is_the_first_image_of_each_person_and_the_rest_are_probes():
    identity = np.array([7, 3, 7, 3, 5, 7])
    gallery, probes = analysis.split_gallery(identity)
    assert sorted(gallery) == [0, 1, 4] and probes.tolist() == [2, 3, 5]
    assert identity[gallery].tolist() == [3, 5, 7]


def test_the_order_of_the_people_does_not_matter():
    order = np.random.default_rng(0).permutation(len(IDENTITY))
    assert analysis.recognise(telling()[order], IDENTITY[order]).all()


def test_the_scale_of_a_feature_does_not_matter():
    features = telling() + 0.3 * noise()
    scaled = 5 + features * np.array([1e3, 1e-3, 1, 7, 50])
    np.testing.assert_array_equal(
        analysis.recognise(features, IDENTITY), analysis.recognise(scaled, IDENTITY)
    )


def test_a_probe_is_judged_whatever_the_other_probes_are():
    features = telling() + noise()
    gallery, probes = analysis.split_gallery(IDENTITY)
    kept = np.sort(np.concatenate((gallery, probes[::3])))
    alone = analysis.recognise(features[kept], IDENTITY[kept])
    features[np.setdiff1d(probes, probes[::3])] *= 1e3
    np.testing.assert_array_equal(alone, analysis.recognise(features, IDENTITY)[::3])


def test_a_feature_that_never_changes_is_harmless():
    constant = np.concatenate((telling(), np.ones((len(IDENTITY), 2))), axis=1)
    assert analysis.recognise(constant, IDENTITY).all()


@pytest.mark.parametrize(("identity", "said"), [(np.zeros(9), "two people"), (np.arange(9), "two images")])
def test_one_person_or_one_image_a_person_is_refused(identity, said):
    for call in (
        lambda: analysis.split_gallery(identity),
        lambda: analysis.recognise(np.ones((9, 2)), identity),
        lambda: analysis.rank_one(np.ones((9, 2)), identity),
    ):
        with pytest.raises(UserError, match=said):
            call()


def test_intervals_are_over_people():
    """Images of a person that all agree are worth one: the interval is that of 30 people."""
    per_person = (np.arange(30) % 3 == 0).astype(float)
    few = analysis.interval(per_person, np.arange(30))
    many = analysis.interval(np.repeat(per_person, 100), np.repeat(np.arange(30), 100))
    assert few == pytest.approx(many)
    assert few[0] == pytest.approx(1 / 3) and few[2] - few[1] > 0.25
    assert analysis.interval(np.ones(30), np.arange(30)) == (1, 1, 1)


def test_components_are_the_channels_that_a_part_owns():
    model, images = IGCNet(ModelConfig(size=32, width=8, channels=13, parts=PARTS)), torch.rand(5, 3, 32, 32)
    found = analysis.components(model, images, chunk=2)
    assert list(found) == [(m, cue) for m in range(PARTS) for cue in ("shape", "albedo")]
    for cue in analysis.CUES:
        assert sum(found[m, cue].shape[1] for m in range(PARTS)) == 13
    with torch.no_grad():
        codes = model(images).parts
    for m in range(PARTS):
        np.testing.assert_allclose(found[m, "shape"].sum(1), codes.shape_code[:, m].sum(1), atol=1e-4)
        np.testing.assert_allclose(found[m, "albedo"].sum(1), codes.albedo_code[:, m].sum(1), atol=1e-4)
        assert found[m, "shape"].shape == found[m, "albedo"].shape
