"""Fixtures that several tests share."""

from pathlib import Path

import pytest
import torch

from igc import IGCNet, ModelConfig

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def root():
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def photographs():
    """A folder of face photographs that lies beside some checkouts and is never part of them."""
    folder = ROOT.parent / "shared" / "data" / "photo-faces"
    if not folder.is_dir():
        pytest.skip("no photographs beside this checkout")
    return folder


@pytest.fixture(scope="module", params=["border", "none"])
def moved(request):
    """A tiny model that moves the parts of every face, with a background and without, and what it makes of
    two random images."""
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(size=32, width=8, channels=12, parts=3, background=request.param)).eval()
    torch.nn.init.normal_(model.to_shape.weight, std=0.5)
    torch.nn.init.normal_(model.place_decoder.output.weight, std=0.3)
    with torch.no_grad():
        out = model(torch.rand(2, 3, 32, 32))
    assert out.shift.abs().amax() > 0.003, "half a pixel"
    return model, out


@pytest.fixture(scope="module")
def explained():
    """A tiny untrained model of three parts, and what it makes of two random images."""
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(size=32, width=8, channels=12, parts=3)).eval()
    with torch.no_grad():
        return model, model(torch.rand(2, 3, 32, 32))
