"""The 3D view in a real browser, without a network: it draws a face, follows every control, and fits."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from igc import viewer, views3d
from tests.book.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
SLIDER = "document.querySelectorAll('.igc-view')[{view}].querySelectorAll('input[type=range]')[{number}]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    pytest.importorskip("websocket")
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(explained, tmp_path_factory):
    """A page with two views, far from one another."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "viewer.js").write_text(viewer.script())
    (folder / "viewer.css").write_text(viewer.style())
    first, second = (views3d.face_view(*explained, i).html() for i in range(2))
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>views</title>'
        '<link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="viewer.css"><script src="viewer.js"></script>'
    )
    (folder / "page.html").write_text(f'{head}{first}<div style="height:3000px"></div>{second}</html>')
    return folder / "page.html"


def pixels(browser, selector="canvas"):
    with Image.open(io.BytesIO(browser.picture(selector))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def changes(browser, before, script):
    """Runs a script; how much that changes the canvas, and what it shows then."""
    browser.run(script)
    after = pixels(browser)
    return np.abs(after - before).mean(), after


def slide(number, value, view=0):
    slider = SLIDER.format(view=view, number=number)
    return f"{slider}.value = {value}; {slider}.dispatchEvent(new Event('input', {{bubbles: true}}))"


def key(browser, name):
    for kind in ("rawKeyDown", "keyUp"):
        code = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39}[name]
        browser.ask("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_every_control_changes_the_picture_and_the_page_fits(browser, page, width, dark):
    browser.open(page, width, dark=dark)
    browser.until("document.querySelector('canvas')")
    shown = pixels(browser)
    assert (np.abs(shown - shown[0, 0]).sum(axis=-1) > 30).mean() > 0.1, "a face is there"
    for number, value in enumerate((40, 80, 60, -50)):
        change, shown = changes(browser, shown, slide(number, value))
        assert change > 0.3, f"slider {number}"
    for box in ("input[type=radio]:not(:checked)", "input[type=checkbox]"):
        change, shown = changes(browser, shown, f"document.querySelector('{box}').click()")
        assert change > 0.3, box
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("document.querySelector('.igc-stage').getBoundingClientRect().right <= innerWidth")
    assert browser.errors() == []


def test_the_keyboard_turns_it_and_moves_its_sliders(browser, page):
    browser.open(page, 820)
    browser.until("document.querySelector('canvas')")
    shown = pixels(browser)
    for name, focus in (("ArrowLeft", "canvas"), ("ArrowUp", "canvas"), ("ArrowRight", "input[type=range]")):
        browser.run(f"document.querySelector('{focus}').focus()")
        for _ in range(3):
            key(browser, name)
        change, shown = changes(browser, shown, "0")
        assert change > 0.05, name
    assert browser.run(SLIDER.format(view=0, number=0) + ".value") == "18", (
        "15 by the canvas, 3 by the slider"
    )
    unnamed = (
        "[...document.querySelectorAll('input')].filter((i) => !i.closest('label').innerText.trim()).length"
    )
    assert browser.run(unnamed) == 0 and browser.errors() == []
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_it_moves_until_it_is_touched_and_not_at_all_for_those_who_ask(browser, page):
    browser.open(page, 820, calm=False)
    browser.until("document.querySelector('canvas')")
    yaw = SLIDER.format(view=0, number=0) + ".value"
    browser.until(f"Math.abs({yaw}) > 3")
    for kind, x in (("mousePressed", 400), ("mouseMoved", 410), ("mouseReleased", 410)):
        browser.ask("Input.dispatchMouseEvent", type=kind, x=x, y=200, button="left", buttons=1, clickCount=1)
    before, stopped = browser.run(yaw), pixels(browser)
    assert np.array_equal(stopped, pixels(browser)) and browser.run(yaw) == before
    assert not browser.run("document.querySelector('fieldset:last-child input').checked")
    browser.open(page, 820, calm=True)
    browser.until("document.querySelector('canvas')")
    assert np.array_equal(pixels(browser), pixels(browser)) and browser.run(yaw) == "0"


def test_only_views_near_the_window_hold_a_graphics_context(browser, page):
    browser.open(page, 820)
    browser.until("document.querySelectorAll('canvas').length === 1")
    assert browser.run("document.querySelectorAll('.igc-view img').length") == 1, "the far one is a still"
    browser.run("scrollTo(0, document.body.scrollHeight)")
    browser.until("document.querySelectorAll('.igc-view')[1].querySelector('canvas')")
    browser.until("document.querySelectorAll('.igc-view')[0].querySelector('img')")
    browser.run("scrollTo(0, 0)")
    browser.until("document.querySelectorAll('.igc-view')[0].querySelector('canvas')")
    assert pixels(browser).std() > 5 and browser.errors() == []


def test_without_webgl_the_still_picture_stays(browser, page):
    script = "HTMLCanvasElement.prototype.getContext = () => null"
    added = browser.ask("Page.addScriptToEvaluateOnNewDocument", source=script)
    browser.open(page, 820)
    browser.until("document.querySelector('.igc-controls').hidden")
    browser.ask("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
    assert browser.run("document.querySelectorAll('canvas').length") == 0
    assert (
        browser.run("document.querySelector('.igc-view img').naturalWidth") == 540 and browser.errors() == []
    )


def test_as_an_anywidget_it_follows_the_kernel_and_tells_it(browser, page, explained):
    """The module, with a model in place of Jupyter's."""
    shown = views3d.face_view(*explained, 0, motion="")
    module = base64.b64encode(viewer.module().encode()).decode()
    browser.open(page, 820)
    browser.run(
        f"""import("data:text/javascript;base64,{module}").then((made) => {{
            const told = {json.dumps(shown.begin | {"face": shown.face})}, heard = {{}};
            window.model = {{
                told, get: (name) => told[name], set: (name, value) => {{ told[name] = value; }},
                save_changes: () => {{ model.saved = true; }}, on: (name, call) => {{ heard[name] = call; }},
                off: (name) => {{ delete heard[name]; }}, heard,
            }};
            document.body.replaceChildren();
            window.end = made.default.render({{ model, el: document.body }});
        }})"""
    )
    browser.until("document.querySelector('canvas')")
    before = pixels(browser)
    change, after = changes(browser, before, "model.told.yaw = 35; model.heard['change:yaw']()")
    assert change > 0.3 and browser.run(SLIDER.format(view=0, number=0) + ".value") == "35"
    change, _ = changes(browser, after, slide(1, 70))
    assert change > 0.3 and browser.run("model.saved && model.told.apart") == pytest.approx(0.7)
    browser.run("document.querySelector('input[type=checkbox]').click()")
    assert browser.run("model.told.hidden.join()") == "0"
    browser.run("end()")
    assert browser.run("Object.keys(model.heard).length + document.querySelectorAll('canvas').length") == 0
    assert browser.errors() == []
