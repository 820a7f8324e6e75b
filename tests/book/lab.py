"""Chapter 02 in JupyterLab, as a reader would use it: `python tests/book/lab.py`.

Starts JupyterLab over a copy of the chapters, opens the notebook in a headless Chromium, runs all cells, and
moves a slider of the 3D view and one of the editor. Prints what goes wrong; the exit status is then 1.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.book.audit import LocalBrowser

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = "02_capsules.ipynb"
PANEL = f"""[...(window.jupyterapp?.shell.widgets("main") ?? [])]
    .find((panel) => panel.context?.path === "{NOTEBOOK}")"""
RUN = f"""jupyterapp.shell.activateById({PANEL}.id);
    jupyterapp.commands.execute("notebook:run-all-cells").finally(() => {{ window.ran = true; }}); 0"""
FAULTS = f"""[...{PANEL}.content.model.cells].filter((cell) => cell.type === "code").flatMap((cell) =>
    cell.outputs.toJSON().filter((output) => output.output_type === "error")
    .map((output) => output.ename + ": " + output.evalue))"""
SLIDERS = {  # by what the source of the cell has in it: the picture, and the slider that it follows
    "views3d.face_view(": (".jp-mod-active .igc-stage canvas", ".jp-mod-active .igc-slider input"),
    "editor(network": (
        ".jp-mod-active .widget-image:nth-child(2)",
        ".jp-mod-active .widget-hslider .noUi-base",
    ),
}


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """The address, token included, of chapter 02 in a JupyterLab that knows no settings of the user's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    kinds = ("JUPYTER_CONFIG", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES", "JUPYTER_RUNTIME")
    settings = {f"{kind}_DIR": str(folder / kind.lower()) for kind in kinds}
    command = [
        sys.executable, "-m", "jupyterlab", str(folder / "book"), "--no-browser", "--ip=127.0.0.1",
        f"--port={port}", f"--IdentityProvider.token={token}", "--expose-app-in-browser", "--allow-root",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait(lambda: answers(f"http://127.0.0.1:{port}/api?token={token}"), "JupyterLab does not start")
        yield f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK}?token={token}"
    finally:
        server.terminate()
        server.wait(60)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait(condition: Callable[[], object], failed: str, seconds: float = 600) -> None:
    """Until `condition` holds. TimeoutError, which says what `failed`, if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{failed} (waited {seconds:g} s)")
        time.sleep(0.5)


def run_all(page: LocalBrowser, address: str) -> list[str]:
    """Opens the notebook and runs it; the errors of its cells."""
    page.ask("Emulation.setFocusEmulationEnabled", enabled=True)
    page.visit(address, 1440)
    idle = f"{PANEL}?.sessionContext?.session?.kernel?.status === 'idle'"
    wait(lambda: page.run(idle), "the notebook's kernel does not start")
    page.run(RUN)
    wait(lambda: page.run("Boolean(window.ran)"), "the cells do not end", 1800)
    return page.run(FAULTS)


def show(page: LocalBrowser, source: str, selector: str) -> None:
    """Scrolls to a cell, then to an element in it."""
    page.run(f"""(() => {{
        const notebook = {PANEL}.content, has = (cell) => cell.model.sharedModel.source.includes("{source}");
        notebook.activeCellIndex = notebook.widgets.findIndex(has);
        notebook.scrollToItem(notebook.activeCellIndex);
    }})()""")
    wait(lambda: page.run(f"Boolean(document.querySelector('{selector}'))"), f"{source}) shows nothing", 120)
    page.run(f"document.querySelector('{selector}').scrollIntoView({{block: 'center'}})")


def follows(page: LocalBrowser, source: str, picture: str, slider: str) -> bool:
    """Whether the pixels of a picture change when its slider is clicked a fifth of the way along."""
    show(page, source, slider)
    seen = [b"", page.picture(picture)]

    def still() -> bool:
        seen.append(page.picture(picture))
        return seen[-1] == seen[-2]

    wait(still, f"{source}) does not come to rest", 120)
    box = f"document.querySelector('{slider}').getBoundingClientRect()"
    x, y = page.run(f"(({{x, y, width, height}}) => [x + 0.2 * width, y + height / 2])({box})")
    for kind in ("mousePressed", "mouseReleased"):
        page.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
    try:
        wait(lambda: page.picture(picture) != seen[-1], "nothing changes", 120)
    except TimeoutError:
        return False
    return True


def faults() -> list[str]:
    """What goes wrong when chapter 02 is run in JupyterLab and its sliders are moved."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        shutil.copy(ROOT / "_toc.yml", folder)  # where it lies is the root that chapters write below
        (folder / "chromium").mkdir()
        with lab(folder) as address:
            page = LocalBrowser(folder / "chromium")
            try:
                found = run_all(page, address)
                deaf = [source for source, pair in SLIDERS.items() if not follows(page, source, *pair)]
                found += [f"{source}): the picture does not follow its slider" for source in deaf]
                thrown = [event for event in page.events if event.get("method") == "Runtime.exceptionThrown"]
                return found + [f"the page: {event['params']['exceptionDetails']}" for event in thrown]
            finally:
                page.close()


if __name__ == "__main__":
    problems = faults()
    print(*problems or ["chapter 02 runs in JupyterLab, and its pictures follow their sliders"], sep="\n")
    sys.exit(bool(problems))
