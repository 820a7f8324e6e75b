"""The networks' shapes, and the enlargement of their maps."""

import pytest
import torch
import torch.nn.functional as F

from igc.networks import Encoder, PartDecoder, interpolation_matrix, upsample


@pytest.mark.parametrize("size", [32, 48])
def test_an_encoder_gives_local_features_and_a_vector(size):
    local, vector = Encoder(size, 8, 20)(torch.rand(2, 3, size, size))
    assert local.shape == (2, 16, size // 4, size // 4) and vector.shape == (2, 20)


@pytest.mark.parametrize("shape", [(3,), (5, 5), (3, 2, 2)])
def test_a_decoder_draws_maps_of_any_shape_for_every_part(shape):
    decoder, capsules = PartDecoder(12, 16, (4, *shape)), torch.randn(2, 4, 12)
    drawn = decoder(capsules)
    assert drawn.shape == (2, 4, *shape)
    alone = decoder(capsules * torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None])
    torch.testing.assert_close(alone[:, 1], drawn[:, 1])
    assert not torch.allclose(alone[:, 2], drawn[:, 2]), "parts say different things by their bias alone"


@pytest.mark.parametrize(("small", "large"), [(4, 16), (8, 8), (2, 32)])
def test_maps_are_enlarged_as_torch_does(small, large):
    maps = torch.randn(2, 3, small, small)
    wanted = F.interpolate(maps, size=(large, large), mode="bicubic")
    torch.testing.assert_close(upsample(maps, large), wanted, atol=1e-5, rtol=0)


def test_a_matrix_made_under_inference_mode_serves_a_later_training_step():
    interpolation_matrix.cache_clear()
    with torch.inference_mode():
        upsample(torch.rand(1, 5, 5), 20)
    maps = torch.rand(1, 5, 5, requires_grad=True)
    upsample(maps, 20).sum().backward()
    assert interpolation_matrix.cache_info().hits == 1
    torch.testing.assert_close(maps.grad.sum(), torch.tensor(400.0))
