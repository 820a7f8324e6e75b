"""What a reader meets on the pages of the built book: `python tests/book/audit.py _build/html`.

Opens every page in a headless Chromium that reaches this machine alone, at three widths and in both themes,
and prints a line for each page and each fault: errors of scripts, scrolling sideways, outputs without
content, pictures without words, pages that are slow or heavy, and what axe-core calls serious or critical.
The exit status is 1 if there is a fault.
"""

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.book import browser

WINDOWS = tuple(product((1440, 820, 390), (False, True)))  # how wide, and whether dark
LIMITS = {"text": 1.0, "figure": 2.0, "weight": 3e6}  # seconds until the first is seen; bytes
NO_AXE = "axe-core is not installed (pip install axe-core-python), so accessibility was not checked."

FIRST_FIGURE = """document.addEventListener("load", ({target}) => {
    if (target.localName === "img" && target.closest("article")) window.firstFigure ??= performance.now();
}, true)"""

# A picture inside a link or a heading with words of its own may go without. What is not in the folder _static
# is the page's own; all pages share the rest.
FACTS = """(() => {
    const all = (selector, fault) => [...document.querySelectorAll(selector)].filter(fault);
    const name = (e) => [e.localName, ...e.classList].join(".");
    const source = (e) => e.src.slice(-60), own = (e) => !e.name.includes("/_static/");
    const blank = (e) => !e.innerText.trim() && !e.querySelector("img, canvas, svg");
    const page = [document.documentElement, ...document.querySelectorAll(".bd-article-container")];
    const over = Math.max(...page.map((e) => e.scrollWidth - e.clientWidth));
    const loads = ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind));
    return {
        "scrolls sideways": over <= 1 ? [] : ["by " + over + " px: " + all("article *", (e) =>
            e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(name)],
        "empty output": all(".cell_output", blank).map((e) => e.closest(".cell").innerText.slice(0, 60)),
        "no alternative text": all("img", (e) => (!e.alt.trim() && !e.closest("a")?.textContent.trim())
            || /\\.(png|svg|jpe?g|webp)$/.test(e.alt)).map(source),
        "not loaded": all("img", (e) => e.loading !== "lazy" && !e.naturalWidth).map(source),
        text: (performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 1e6) / 1000,
        figure: (window.firstFigure ?? 0) / 1000,
        weight: loads.filter(own).reduce((sum, e) => sum + e.transferSize, 0),
    };
})()"""

AXE = """axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .flatMap(({id, nodes}) => nodes.map((node) => {
        const {message} = [...node.any, ...node.all, ...node.none][0];
        return id + " " + node.target.join(" ") + ": " + message;
    })))"""


class LocalBrowser(browser.Browser):
    """A Chromium to which this machine is the whole network."""

    def __init__(self, home: Path):
        super().__init__(home, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")

    def visit(self, address: str, width: int, dark: bool = False) -> None:
        """Opens an address in a window of this width, for a reader who asked for no motion."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        wishes = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in wishes.items()])
        self.events.clear()
        self.ask("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which a folder is served for as long as the context lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def pages(html: Path) -> list[str]:
    """The pages of a book, without those that only lead on to another one."""
    found = [path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]
    leads_on = 'http-equiv="refresh"'
    return [p.relative_to(html).as_posix() for p in found if leads_on not in p.read_text("utf-8").lower()]


def axe() -> str:
    """The script of axe-core, as the package axe-core-python brings it; empty without that package."""
    found = find_spec("axe_core_python")
    return Path(found.origin).with_name("axe.min.js").read_text("utf-8") if found else ""


def opened(chromium: LocalBrowser, address: str, width: int, dark: bool, script: str) -> tuple[dict, dict]:
    """(what is at fault, by its kind; figures as in LIMITS) of a page in one window."""
    chromium.visit(address, width, dark)
    facts = chromium.run(FACTS)
    figures = {name: facts.pop(name) for name in LIMITS}
    if script:
        chromium.run(script + "; 0")
        facts["accessibility"] = chromium.run(AXE)
    return facts | {"error": chromium.errors()}, figures


def audit(chromium: LocalBrowser, address: str, script: str) -> tuple[list[str], dict]:
    """(faults, figures) of a page. The best figures count: what else the machine does only adds to them."""
    faults, figures = {}, []
    for width, dark in WINDOWS:
        found, measured = opened(chromium, address, width, dark, script)
        figures.append(measured)
        for fault in {f"{kind}: {thing}" for kind, things in found.items() for thing in things}:
            faults.setdefault(fault, []).append(f"{width} {'dark' if dark else 'light'}")
    best = {name: min(measured[name] for measured in figures) for name in LIMITS}
    over = [
        f"{name} {best[name]:.3g}, more than {most:g}" for name, most in LIMITS.items() if best[name] > most
    ]
    return over + [f"{fault} ({', '.join(where)})" for fault, where in faults.items()], best


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("html", type=Path, help="the folder of the built pages")
    parser.add_argument("--only", default="", help="pages whose path contains this, such as 02_")
    options = parser.parse_args(arguments)
    count, script = 0, axe()
    if not script:
        print(NO_AXE)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, served(options.html) as root:
        chromium = LocalBrowser(Path(home))
        try:
            chromium.ask("Network.enable")
            chromium.ask("Network.setCacheDisabled", cacheDisabled=True)
            chromium.ask("Page.addScriptToEvaluateOnNewDocument", source=FIRST_FIGURE)
            for page in (page for page in pages(options.html) if options.only in page):
                faults, best = audit(chromium, f"{root}/{page}", script)
                print(page, *(f"{name} {best[name]:.3g}" for name in LIMITS), flush=True)
                print("".join(f"    {fault}\n" for fault in faults), end="", flush=True)
                count += len(faults)
        finally:
            chromium.close()
    print(f"{count} faults")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
