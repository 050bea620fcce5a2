"""A headless Chromium, controlled over its DevTools pipe without a driver or a port.

Protocol: https://chromedevtools.github.io/devtools-protocol/; over the pipe each message is JSON and ends in
a zero byte.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,1000", "--remote-debugging-pipe"),
)


class Page:
    """One tab. `requests` holds the URLs that it requested, `errors` the errors that it logged."""

    def __init__(self, write_to: int, read_from: int) -> None:
        self._write_to = write_to
        self._read_from = read_from
        self._received = b""
        self._sent = 0
        self._session = ""
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command. Returns its result."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write_to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 30
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def open(self, url: str) -> None:
        """Navigate to a page."""
        self.send("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """Returns the value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str, *, seconds: float = 20) -> Any:
        """Returns the value of an expression once it is truthy."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"not within {seconds} s: {expression}"
            time.sleep(0.05)
        return value

    def click(self, selector: str, *, until: str) -> None:
        """Click on the first element that matches, once there is one, until an expression is true.

        A page that is being drawn may lose a click, so the click is repeated every few seconds.
        """
        self.wait_for(f"document.querySelector({selector!r}) !== null")
        deadline = time.monotonic() + 30
        while True:
            self.evaluate(f"document.querySelector({selector!r})?.click()")
            try:
                self.wait_for(until, seconds=5)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def type(self, selector: str, text: str) -> None:
        """Type into a field, once there is one."""
        self.wait_for(f"document.querySelector({selector!r}) !== null")
        self.evaluate(f"document.querySelector({selector!r}).focus()")
        self.send("Input.insertText", text=text)

    def text(self, selector: str) -> str:
        """Returns the text of the first element that matches, once there is one."""
        self.wait_for(f"document.querySelector({selector!r}) !== null")
        return str(self.evaluate(f"document.querySelector({selector!r}).innerText"))

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the window."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._read_from], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._read_from, 1 << 20)
            assert chunk, "the browser has ended"
            self._received += chunk
        message, _, self._received = self._received.partition(b"\0")
        received: dict[str, Any] = json.loads(message)
        return received

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(parameters["exceptionDetails"]))


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Starts a browser with its files in `profile`, and yields its tab. Ends the browser at exit."""
    assert CHROMIUM is not None
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()

    def take_pipes() -> None:
        """Chromium reads from descriptor 3 and writes to 4."""
        kept_in, kept_out = os.dup2(their_in, 10), os.dup2(their_out, 11)
        os.dup2(kept_in, 3)
        os.dup2(kept_out, 4)

    process = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        close_fds=False,
        preexec_fn=take_pipes,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_in)
    os.close(their_out)
    try:
        yield Page(our_out, our_in)
    finally:
        os.close(our_out)  # closing the pipe ends Chromium
        os.close(our_in)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
