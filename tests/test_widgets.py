"""The editor: what its sliders do, with a kernel and in a page without one."""

import base64
import io
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from igc import IGCNet, ModelConfig, views, widgets
from igc.editing import blend
from igc.figures import picture

M = 3


@pytest.fixture(scope="module")
def several():
    torch.manual_seed(0)
    model = IGCNet(ModelConfig(size=32, width=8, channels=12, parts=M)).eval()
    torch.nn.init.normal_(model.albedo_decoder.output.weight, std=0.2)
    images = torch.rand(3, 3, 32, 32) * torch.tensor([0.2, 0.6, 1])[:, None, None, None]
    with torch.no_grad():
        return model, images, model(images)


def drawn(model, face, **asked):
    with torch.no_grad():
        return picture(views.view(model, face, **asked).image[0])


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")) / 255


def test_the_editor_redraws_what_is_asked_for(several):
    pytest.importorskip("ipywidgets")
    model, images, out = several
    box = widgets.editor_widgets(model, images, out, 1)
    (received, edited, gave), controls = box.children[0].children, box.children[1].children
    names = ["receives", "gives", "part", "cue", "share, %", "yaw"]
    assert [control.description for control in controls] == names
    assert [control.value for control in controls] == [1, 0, None, "both", 100, 0]
    side = {"size": 2 * widgets.CELL}

    def shows(*asked, yaw=0):
        with torch.no_grad():
            face = blend(model, out, *asked)
        np.testing.assert_allclose(pixels(edited.value), drawn(model, face, yaw=yaw, **side), atol=0.003)
        for image, photo in zip((images[i] for i in asked[:2]), (received, gave)):
            assert abs(pixels(photo.value).mean() - image.mean().item()) < 0.01

    shows(1, 0, 1)
    for control, value in zip(controls, (2, 0, 1, "albedo", 60, 30), strict=True):
        control.value = value
    shows(2, 0, 0.6, 1, "albedo", yaw=30)


def test_the_editor_is_widgets_and_html(several, monkeypatch):
    shown = widgets.editor(*several, 1)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"} and bundle["text/plain"] == "editor"
    assert "http" not in bundle["text/html"] and "<script" not in bundle["text/html"]
    assert len(bundle["text/html"]) < 400_000
    words = re.findall(r'data-words="([^"]+)"', bundle["text/html"])
    assert words == ["face 1|face 3", "all|part 1|part 2|part 3", "both|shape|albedo"]


def test_every_place_of_the_editors_sliders_shows_its_edit(several):
    """The window's place, computed from the variables as a browser does, is the cell with that edit."""
    model, images, out = several
    page = widgets.editor_page(model, images, out, 1)
    pattern = (
        r"background-size:(\d+)00% (\d+)00%;"
        r"background-position:(calc\([^%]*%[^)]*\)|0) (calc\([^%]*%[^)]*\)|0);"
        r"background-image:url\(data:image/webp;base64,([^)]+)\)"
    )
    windows = re.findall(pattern, page)
    sheets = [pixels(base64.b64decode(data)) for *_, data in windows]
    assert len(sheets) == 3
    names = {"giver": [0, 2], "part": [None, 0, 1, 2], "cue": list(widgets.TAKEN), "share": widgets.SHARES}

    def cell(number, **variables):
        wide, high, *place = windows[number][:4]
        share = []
        for axis in place:
            term = re.fullmatch(r"calc\(\((.*)\) \* 100% / (\d+)\)|0", axis)
            known = re.sub(r"var\(--(\w+)\)", lambda found: str(variables[found[1]]), term[1] or "0")
            share.append(eval(known) / int(term[2] or 1))
        column, row = share[0] * (int(wide) - 1), share[1] * (int(high) - 1)
        assert column == pytest.approx(round(column)) and row == pytest.approx(round(row))
        height, width = sheets[number].shape[0] // int(high), sheets[number].shape[1] // int(wide)
        row, column = round(row) * height, round(column) * width
        return sheets[number][row : row + height, column : column + width]

    for giver, part, cue, share in ((0, 0, 0, 100), (1, 2, 2, 75), (1, 3, 1, 25), (0, 1, 2, 0)):
        asked = {"giver": giver, "part": part, "cue": cue, "share": share}
        with torch.no_grad():
            face = blend(
                model, out, 1, names["giver"][giver], share / 100, names["part"][part],
                widgets.TAKEN[names["cue"][cue]],
            )  # fmt: skip
        wanted = drawn(model, face, zoom=0.9, size=widgets.CELL)
        assert np.abs(cell(1, **asked) - wanted).mean() < 0.02
        assert abs(cell(2, **asked).mean() - images[names["giver"][giver]].mean()) < 0.02
        assert abs(cell(0, **asked).mean() - images[1].mean()) < 0.02


def test_an_editor_needs_two_faces_and_a_receiver_among_them(several):
    model, images, out = several
    with pytest.raises(ValueError, match="two faces or more"):
        widgets.editor(model, images[:1], views.one_face(out, 0))
    with pytest.raises(ValueError, match="3 faces and 2 photographs"):
        widgets.editor(model, images[:2], out)
    with pytest.raises(IndexError, match="there are 3 faces, numbered from 0; 3 is none"):
        widgets.editor(model, images, out, 3)
