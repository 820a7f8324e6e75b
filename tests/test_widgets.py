"""The explorer: what its sliders do, with a kernel and in a page without one."""

import base64
import io
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from igc import IGCNet, ModelConfig, views, widgets
from igc.figures import picture

M = 3


@pytest.fixture(scope="module")
def explained():
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(size=32, width=8, channels=12, parts=M)).eval()
    with torch.no_grad():
        return model, model(torch.rand(2, 3, 32, 32))


@pytest.fixture(scope="module")
def page(explained):
    return widgets.explorer(*explained, 1)._repr_mimebundle_()["text/html"]


def test_a_notebook_gets_widgets_and_a_page_gets_html(explained, monkeypatch):
    pytest.importorskip("ipywidgets")
    shown = widgets.explorer(*explained)
    bundle = shown._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} == set(bundle)
    assert bundle["text/plain"] == "explorer", "not the widgets' own text, which a page would show"
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert set(shown._repr_mimebundle_()) == {"text/html", "text/plain"}


def test_widgets_redraw_the_face(explained):
    pytest.importorskip("ipywidgets")
    model, out = explained
    face = views.one_face(out, 1)
    box = widgets.widgets(model, face)
    drawn, (*sliders, ticks) = box.children[0], box.children[1].children
    assert [slider.description for slider in sliders] == ["yaw", "pitch", "zoom", "light x", "light y"]
    assert [tick.description for tick in ticks.children] == ["part 1", "part 2", "part 3"]

    def shows(**asked):
        with torch.no_grad():
            wanted = views.view(model, face, size=2 * widgets.CELL, **asked).image[0]
        with Image.open(io.BytesIO(drawn.value)) as image:
            assert image.size == (2 * widgets.CELL,) * 2
            np.testing.assert_allclose(np.asarray(image) / 255, picture(wanted), atol=0.5 / 255 + 1e-6)

    shows(light_x=0, light_y=0)
    moved = {"yaw": 40, "pitch": -20, "zoom": 1.5, "light_x": 30, "light_y": -60}
    for slider, (name, value) in zip(sliders, moved.items()):
        slider.value = value
        assert slider.description == name.replace("_", " ")
    shows(**moved)
    ticks.children[1].value = False
    shows(parts=[0, 2], **moved)


def test_the_page_needs_nothing_from_outside_and_is_small(page):
    assert "http" not in page and "<script" not in page
    assert len(page) < 300_000


def test_the_sheet_has_a_cell_for_every_stop(explained, page):
    model, out = explained
    face = views.one_face(out, 1)
    data = re.search(r"url\(data:image/jpeg;base64,([^)]+)\)", page).group(1)
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        cells = np.asarray(image.convert("RGB")) / 255
    rows, columns, side = len(widgets.LIGHTS), len(widgets.YAWS), widgets.CELL
    assert cells.shape == (rows * side, columns * side, 3)
    assert f"background-size:{columns}00% {rows}00%" in page
    for row, column in ((0, 0), (2, 9), (rows - 1, columns - 1)):
        asked = {"yaw": widgets.YAWS[column], "light_x": widgets.LIGHTS[row]}
        with torch.no_grad():
            wanted = picture(views.view(model, face, zoom=0.9, size=side, **asked).image[0])
        cell = cells[row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert np.abs(cell - wanted).mean() < 0.02


def test_the_sliders_of_the_page_have_names_and_stops(page):
    sliders = re.findall(r"<label.*?</label>", page)
    assert [re.sub(r"<.*?>", " ", slider).split() for slider in sliders] == [["yaw", "0°"], ["light", "0°"]]
    for slider, name, stops in zip(sliders, ("yaw", "light"), (widgets.YAWS, widgets.LIGHTS)):
        asked = dict(re.findall(r'(min|max|step|value)="(-?\d+)"', slider))
        assert range(int(asked["min"]), int(asked["max"]) + 1, int(asked["step"])) == stops
        assert asked["value"] == "0" and 0 in stops
        assert f"setProperty('--{name}',this.value)" in slider
        low, span = stops[0], stops[-1] - stops[0]
        assert f"calc((var(--{name}) - {low}) * 100% / {span})" in page
    assert 'role="img" aria-label=' in page
