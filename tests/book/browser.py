"""A headless Chromium, spoken to over its DevTools protocol, with every network name unknown to it."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0",
    "--remote-allow-origins=*", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """One page. `home` is an empty folder, `flags` are Chromium's. Needs websocket-client."""

    def __init__(self, home: Path, *flags: str):
        import websocket

        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={home}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        told = home / "DevToolsActivePort"
        _wait(lambda: told.exists() and len(told.read_text().split()) > 1, "Chromium does not start")
        with urllib.request.urlopen(f"http://127.0.0.1:{told.read_text().split()[0]}/json") as answer:
            page = next(target for target in json.load(answer) if target["type"] == "page")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=60)
        self.number, self.events = 0, []
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters) -> dict:
        """A command of the protocol, and its answer."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def run(self, script: str):
        """The value of a JavaScript expression."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, path: Path, width: int, height: int = 900, dark: bool = False, calm: bool = True) -> None:
        """Opens a file in a window of this size; `calm` readers asked for no motion."""
        theme, motion = "dark" if dark else "light", "reduce" if calm else "no-preference"
        features = {"prefers-color-scheme": theme, "prefers-reduced-motion": motion}
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.ask(
            "Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in features.items()]
        )
        self.events.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self.until("document.readyState === 'complete'")

    def until(self, condition: str) -> None:
        """Waits until a JavaScript expression is true."""
        _wait(lambda: self.run(f"Boolean({condition})"), condition)

    def picture(self, selector: str) -> bytes:
        """A PNG of an element, two frames from now."""
        place = self.run(f"""new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {{
            const b = document.querySelector("{selector}").getBoundingClientRect();
            done({{x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1}});
        }})))""")
        answer = self.ask("Page.captureScreenshot", format="png", clip=place)
        return base64.b64decode(answer["data"])

    def errors(self) -> list[str]:
        """What went wrong on the page since it was opened."""
        found = []
        for event in self.events:
            told = event.get("params", {})
            entry = told.get("entry", {})
            if event.get("method") == "Runtime.exceptionThrown" or entry.get("level") == "error":
                found.append(json.dumps(told))
            if event.get("method") == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
                found.append(json.dumps(told["args"]))
        return found

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)


def _wait(condition, what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)
