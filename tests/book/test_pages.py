"""The pages of a built book, and a chapter in JupyterLab, in a real browser.

Set BOOK_HTML to the folder of the built pages to have these looked at.
"""

import os

import pytest

from tests.book import audit, lab
from tests.book.browser import CHROMIUM

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

HEAD = '<!doctype html><html lang="en"><head><title>a page</title><link rel="icon" href="data:,"></head>'
GOOD = f"""{HEAD}<body><main><article><h1>A page</h1><p>Words.</p>
<img src="dot.svg" alt="a dot"></article></main></body></html>"""
BAD = f"""{HEAD}<body><main><article><h1>A page</h1><p style="color: #ccc">Pale words.</p><input type="range">
<img src="dot.svg" alt="dot.svg"><img src="lost.png" alt="lost">
<table><td style="min-width: 600px">wide</table>
<div class="cell">code<div class="cell_output"></div></div></article></main>
<script>console.error("it went wrong"); fetch("http://example.org/").catch(() => 0);</script></body></html>"""
DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """What the audit prints of a page, and its exit status."""
    pytest.importorskip("websocket")

    def report(capsys, **pages):
        folder = tmp_path_factory.mktemp("html")
        (folder / "dot.svg").write_text(DOT)
        for name, text in pages.items():
            (folder / f"{name}.html").write_text(text)
        status = audit.main([str(folder)])
        return status, capsys.readouterr().out

    return report


def test_a_good_page_passes(reported, capsys, monkeypatch):
    monkeypatch.setattr(audit, "LIMITS", dict.fromkeys(audit.LIMITS, 1e9))
    monkeypatch.setattr(audit, "WINDOWS", ((1440, False), (390, True)))
    onward = '<meta http-equiv="Refresh" content="0; url=good.html">'
    status, told = reported(capsys, good=GOOD, onward=onward)
    assert status == 0 and "0 faults" in told and "onward" not in told, told


def test_every_fault_of_a_bad_page_is_told(reported, capsys, monkeypatch):
    monkeypatch.setattr(audit, "WINDOWS", ((390, True),))
    monkeypatch.setattr(audit, "LIMITS", {"text": 1e9, "figure": 1e9, "weight": 10})
    status, told = reported(capsys, bad=BAD)
    assert status == 1
    for sign in (
        "scrolls sideways: by 2", "empty output: code", "no alternative text", "not loaded: ",
        "it went wrong", "lost.png", "ERR_NAME_NOT_RESOLVED", "more than 10", "(390 dark)",
    ):  # fmt: skip
        assert sign in told, (sign, told)
    if audit.axe():
        assert "color-contrast" in told and "label input" in told, told


def test_without_axe_the_audit_says_what_it_left_out(reported, capsys, monkeypatch):
    monkeypatch.setattr(audit, "find_spec", lambda name: None)
    monkeypatch.setattr(audit, "WINDOWS", ((820, False),))
    _, told = reported(capsys, good=GOOD)
    assert told.startswith(audit.NO_AXE)


@pytest.mark.slow
@pytest.mark.skipif("BOOK_HTML" not in os.environ, reason="BOOK_HTML names no built book")
def test_the_built_book_passes(capsys):
    assert audit.main([os.environ["BOOK_HTML"]]) == 0, capsys.readouterr().out


@pytest.mark.slow
def test_a_chapter_runs_in_jupyterlab_and_its_pictures_follow_their_sliders():
    pytest.importorskip("websocket")
    pytest.importorskip("jupyterlab")
    assert lab.faults() == []
