"""The built book: whole, without tracebacks, and with nothing in it that is loaded from a network.

Set BOOK_HTML to the folder of the built pages, as `make book` does.
"""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

HTML = Path(os.environ.get("BOOK_HTML", ""))
CHAPTERS = sorted(path.stem for path in Path("book").glob("*.py"))

pytestmark = pytest.mark.skipif("BOOK_HTML" not in os.environ, reason="BOOK_HTML names no built book")


@pytest.fixture(scope="module")
def pages() -> dict[Path, BeautifulSoup]:
    """All pages by their paths; there is one for each source."""
    found = {path.resolve(): BeautifulSoup(path.read_text(), "html.parser") for path in HTML.rglob("*.html")}
    found = {path: page for path, page in found.items() if "_static" not in path.parts}
    assert {path.stem for path in found} >= {"index", *CHAPTERS}
    return found


def loaded(page: BeautifulSoup) -> list[str]:
    """The addresses that a browser fetches by itself when it opens a page."""
    sources = [tag["src"] for tag in page.find_all(src=True)]
    links = page.find_all("link", href=True)
    return sources + [tag["href"] for tag in links if not {"next", "prev", "canonical"} & set(tag["rel"])]


def missing(path: Path, page: BeautifulSoup, pages: dict, address: str) -> bool:
    """Whether `address`, seen on the page at `path`, names a file or an anchor that is not there."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or address.startswith(("data:", "mailto:", "javascript:")):
        return False
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.exists():
        return True
    anchor = unquote(parts.fragment)
    return bool(anchor and target in pages and not pages[target].find(id=anchor))


def test_no_page_shows_the_parameters_that_papermill_put_in(pages):
    assert not [path.name for path, page in pages.items() if "# Parameters" in page.get_text()]


def test_nothing_is_loaded_from_a_network(pages):
    remote = re.compile(r"^(https?:)?//")
    found = {(path.name, a) for path, page in pages.items() for a in loaded(page) if remote.match(a)}
    assert found == set()


def test_styles_and_inline_scripts_fetch_nothing_from_a_network(pages):
    fetch = re.compile(r"""(?:@import\s+|url\(\s*|fetch\(\s*|import\(\s*)["']?(?:https?:)?//[^"')]+""")
    styles = {str(path): path.read_text() for path in HTML.rglob("*.css")}
    inline = {path.name: str(tag) for path, page in pages.items() for tag in page(["script", "style"])}
    assert [(name, found) for name, text in (styles | inline).items() for found in fetch.findall(text)] == []


def test_every_link_image_and_script_leads_somewhere(pages):
    broken = set()
    for path, page in pages.items():
        links = [tag["href"] for tag in page.find_all("a", href=True)]
        broken |= {(path.name, a) for a in links + loaded(page) if missing(path, page, pages, a)}
    assert broken == set()


def test_no_page_shows_a_traceback_or_a_bare_figure(pages):
    signs = ("Traceback (most recent call last)", "Figure({", "<Figure size", "FigureWidget(")
    found = {(path.name, sign) for path, page in pages.items() for sign in signs if sign in page.get_text()}
    assert found == set()


def test_every_chapter_shows_results(pages):
    for path, page in pages.items():
        if path.stem in CHAPTERS:
            assert page.select(".cell_output"), f"{path.name} was not executed"
            assert page.select(".cell_output img"), f"{path.name} has no figure"


def test_3d_views_are_there_with_their_script_and_a_still_picture(pages):
    views = {path: page for path, page in pages.items() if page.select(".igc-view")}
    assert {path.stem for path in views} >= {"index", "01_data", "02_capsules", "03_train"}
    for path, page in views.items():
        assert page.find("script", src=re.compile(r"viewer\.js")), path.name
        assert page.find("link", href=re.compile(r"viewer\.css")), path.name
        for view in page.select(".igc-view"):
            assert view.img["alt"] and view.find("script", type="application/json"), path.name
            assert len(str(view)) < 60_000, path.name


def test_the_book_and_its_pages_are_light(pages):
    assert sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file()) < 30e6
    for path, page in pages.items():
        own = {(path.parent / unquote(tag["src"])).resolve() for tag in page.find_all("img", src=True)
               if not tag["src"].startswith("data:")}  # fmt: skip
        weight = path.stat().st_size + sum(image.stat().st_size for image in own)
        assert weight < 3e6, f"{path.name}: {weight / 1e6:.1f} MB"


def test_mathematics_is_set_by_a_local_script(pages):
    pages_with_mathematics = [page for page in pages.values() if page.select(".math")]
    assert pages_with_mathematics
    for page in pages_with_mathematics:
        assert page.find("script", src=re.compile(r"^[^:]*mathjax/"))
