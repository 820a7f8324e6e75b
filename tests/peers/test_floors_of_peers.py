"""Bands, grid, k-means and factors of features: what needs no gradient."""

import pytest
import torch
from toys import Discs, learns

from igc import IGCNet, ModelConfig, UserError
from peers.base import Loaded, foreground
from peers.dff import DFF, DFFUntrained
from peers.grid_bands import Bands, Grid
from peers.k_means import KMeansParts


def square():
    """A white square on grey; rows and columns 8 to 23."""
    image = torch.full((1, 3, 32, 32), 0.4)
    image[:, :, 8:24, 8:24] = 1.0
    return image


def test_bands_and_grid_divide_the_foreground_and_nothing_else():
    image = square()
    mask = foreground(image)
    for kind in (Bands, Grid):
        found = kind(32).labels(image)
        assert torch.equal(found > 0, mask) and found.dtype == torch.int64
        assert set(found[mask].tolist()) == {1, 2, 3, 4, 5, 6}
    bands, grid = Bands(32).labels(image)[0], Grid(32).labels(image)[0]
    assert (bands[10:22, 12] == bands[10:22, 20]).all() and (bands[10:22, 12].diff() >= 0).all()
    assert grid[9, 10] == 1 and grid[9, 21] == 2 and grid[22, 10] == 5 and grid[22, 21] == 6


def test_as_many_bands_as_parts():
    assert Bands(32, parts=3).labels(square()).max() == 3


def test_a_picture_without_foreground_has_no_parts():
    images = torch.full((2, 3, 32, 32), 0.4)
    for kind in (Bands, Grid):
        assert not kind(32).labels(images).any()
    peer = KMeansParts(32, 3)
    peer.fit(Discs(8), 0.1)
    assert not peer.labels(images).any()
    with pytest.raises(UserError, match="k-means found no foreground"):
        peer.fit(Loaded.of((images * 255).to(torch.uint8)), 0.1)
    with pytest.raises(UserError, match="DFF, untrained found no foreground"):
        DFFUntrained(32, 3).fit(Loaded.of((images * 255).to(torch.uint8)), 0.1)


def test_k_means_finds_the_discs():
    peer = KMeansParts(32, 3)
    assert learns(peer, 0.9)
    assert peer.parameters == 0 and peer.depth(square()) is None
    assert 0 <= peer.validation_loss(Discs(16, seed=2).images) < 0.4


def test_k_means_gives_the_same_labels_again():
    one, two = KMeansParts(32, 3, seed=1), KMeansParts(32, 3, seed=1)
    for peer in (one, two):
        peer.fit(Discs(16), 0.1)
    images = Discs(4, seed=2).images
    assert torch.equal(one.labels(images), two.labels(images))


def test_factors_of_untrained_features_find_the_discs():
    peer = DFFUntrained(32, 3, layer=1)
    assert learns(peer)
    assert peer.parameters == 0


def test_factors_of_a_given_model_find_the_discs():
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(size=32)).eval()
    peer = DFF(32, 3, model=model, layer=1)
    assert learns(peer)
    assert peer.encoder is model


@pytest.mark.parametrize("layer, size", [(1, 16), (2, 8), (3, 4), (4, 2)])
def test_activations_are_not_negative_and_of_the_layer_s_size(layer, size):
    maps = DFFUntrained(32, layer=layer).activations(torch.rand(3, 3, 32, 32))
    assert maps.shape[0] == 3 and maps.shape[-2:] == (size, size)
    assert (maps >= 0).all() and (maps > 0).any()


def test_the_first_two_layers_are_the_encoder_s_local_features():
    peer, images = DFFUntrained(32, layer=2), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        wanted = peer.encoder.encoder(images)[0].relu()
    torch.testing.assert_close(peer.activations(images), wanted)


def test_a_model_of_another_size_is_refused():
    with pytest.raises(UserError, match="takes 64 pixels, not 32"):
        DFF(32)
    assert DFF(64).encoder.config.size == 64
