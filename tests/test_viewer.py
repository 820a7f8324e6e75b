"""The viewer: one script for pages and for notebooks, and the widget."""

import json
import re
import sys

import pytest
import torch

from benchmarks.landing import landing
from igc import viewer
from igc.viewer.__main__ import main

FACE = {"says": "A face.", "names": ["part 1"]}


def test_a_page_gets_the_script_as_it_is_but_for_what_only_a_module_may_say():
    assert viewer.module().rstrip().endswith("export default { render };")
    body = viewer.script()
    assert "export" not in body.replace("exported", "") and body.count("\n") > 100
    assert viewer.module().rsplit("export default", 1)[0] in body
    assert body.startswith('"use strict";\n(() => {') and body.endswith("})();\n")


def test_the_script_and_the_style_load_nothing():
    for text in (viewer.script(), viewer.style()):
        assert not re.search(r"https?:|import\s*[({'\"]|fetch\(|url\(|eval\(", text)


def test_the_script_and_python_begin_with_the_same_state():
    told = re.search(r"const BEGIN = (\{.*?\});", viewer.module())[1]
    assert json.loads(re.sub(r"(\w+):", r'"\1":', told)) == viewer.STATE


def test_the_command_writes_both_files(tmp_path):
    main([str(tmp_path / "assets")])
    assert (tmp_path / "assets" / "viewer.js").read_text() == viewer.script()
    assert (tmp_path / "assets" / "viewer.css").read_text() == viewer.style()


def test_a_notebook_gets_a_widget_and_a_page_gets_html(monkeypatch):
    pytest.importorskip("anywidget")
    view = viewer.FaceView(FACE, b"", yaw=10)
    bundle = view._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert bundle["text/plain"] == "3D view" and bundle["text/html"] == view.html()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    viewer._widget_class.cache_clear()
    assert set(view._repr_mimebundle_()) == {"text/html", "text/plain"}


def test_the_widget_has_the_state_as_traits_and_the_same_script():
    pytest.importorskip("anywidget")
    viewer._widget_class.cache_clear()
    shown = viewer.FaceView(FACE, b"", yaw=10, hidden=[2], colour="clay").widget()
    assert {name: getattr(shown, name) for name in viewer.STATE} == viewer.STATE | {
        "yaw": 10, "hidden": [2], "colour": "clay",
    }  # fmt: skip
    assert shown._esm == viewer.module() and shown._css == viewer.style() and shown.face == FACE
    assert all(shown.trait_metadata(name, "sync") for name in ("face", *viewer.STATE))
    with pytest.raises(Exception, match="apart"):
        shown.apart = 2.0
    names = re.search(r"const names = \[(.*?)\];", viewer.module())[1]
    assert set(json.loads(f"[{names}]")) | {"motion"} == set(viewer.STATE)


def test_the_front_page_starts_with_a_picture_and_a_moving_face(explained, root):
    model, _ = explained
    made = landing(model, torch.rand(3, 32, 32))
    kept = (root / "book" / "_assets" / "landing.html").read_text()
    for page in (made, kept):
        assert len(page) < 150_000 and "http" not in page
        assert '"motion":"show"' in page and page.count('class="igc-view"') == 1 and page.count("<img") == 2
        assert page.count('alt="') == 2 and "\n\n" not in page.strip(), "Markdown would end it there"
