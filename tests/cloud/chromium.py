"""Chromium without a screen, steered through its DevTools pipe: standard library only.

Messages are JSON texts that end in a zero byte, on descriptors 3 and 4 of the browser
(`--remote-debugging-pipe`; the protocol is https://chromedevtools.github.io/devtools-protocol/).
"""

import base64
import itertools
import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SECONDS = 60.0


class Chromium:
    """One browser with one page. A context manager."""

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        arguments = [
            program,
            "--headless=new",
            "--no-sandbox",  # tests run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--remote-debugging-pipe",
            "--window-size=1000,760",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        # The shell puts the pipe where the browser looks for it.
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "chromium", *arguments],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(profile.parent)},
        )
        os.close(to_browser)
        os.close(from_browser)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._complaints: list[tuple[str, str]] = []
        self._session = ""

    def __enter__(self) -> Self:
        page = next(
            target
            for target in self._call("Target.getTargets")["targetInfos"]
            if target["type"] == "page"
        )
        attached = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def open(self, url: str) -> None:
        """Go to *url*; return when the page is there."""
        self._call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def fill(self, selector: str, text: str) -> None:
        """Type *text* into a field."""
        self.wait_for(f"document.querySelector({json.dumps(selector)})")
        self._evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", text=text)

    def submit(self, selector: str) -> None:
        """Send a form as its button does."""
        self._evaluate(f"document.querySelector({json.dumps(selector)}).requestSubmit()")

    def wait_for_text(self, text: str) -> str:
        """Return the address of the page once it shows *text*."""
        self.wait_for(f"document.body && document.body.innerText.includes({json.dumps(text)})")
        return str(self._evaluate("location.href"))

    def wait_for(self, condition: str) -> None:
        """Return when the JavaScript expression *condition* is true."""
        deadline = time.monotonic() + SECONDS
        while not self._evaluate(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"it never came: {condition}"
            time.sleep(0.05)

    def complaints(self, place: str) -> list[str]:
        """Return what the browser's console has complained about at addresses below *place*."""
        self._evaluate("1")
        return [text for url, text in self._complaints if url.startswith(place)]

    def prefer_dark(self) -> None:
        """Show pages as somebody with a dark desktop sees them."""
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def _evaluate(self, expression: str) -> Any:
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def _call(self, method: str, **parameters: object) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._message()
            if found.get("method") == "Log.entryAdded":
                entry = found["params"]["entry"]
                self._complaints.append((entry.get("url", ""), entry["text"]))
            if found.get("id") == number:
                assert "error" not in found, f"{method}: {found['error']}"
                return found["result"]

    def _message(self) -> Any:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], SECONDS)
            assert ready, "the browser says nothing"
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser has ended"
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)
