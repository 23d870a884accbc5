"""A real Chromium, spoken to through a pipe in its own language (the Chrome DevTools Protocol)."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
#: The browser reads commands from its descriptor 3 and answers on 4.
_AT_3_AND_4 = """
import fcntl, os, sys
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, at in zip(high, (3, 4)):
    os.dup2(number, at)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_PATIENCE_S = 60.0
_ENABLED = ("Page", "Runtime", "Log", "Network")


class Chrome:
    """One page in one browser. ``told`` is what its console, its policy and its scripts complained of.

    Args:
        program: the browser.
        profile: a folder of its own.
    """

    def __init__(self, program: str, profile: Path) -> None:
        theirs, self._out = os.pipe()
        self._in, given = os.pipe()
        start = [sys.executable, "-c", _AT_3_AND_4, str(theirs), str(given)]
        command = [*start, program, *_FLAGS, f"--user-data-dir={profile}"]
        with (profile.with_suffix(".log")).open("wb") as log:
            self._process = subprocess.Popen(command, pass_fds=(theirs, given), stdout=log, stderr=log)
        os.close(theirs)
        os.close(given)
        self.told: list[str] = []
        self._count, self._waiting, self._events = 0, b"", list[dict[str, Any]]()
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in _ENABLED:
            self._ask(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, sort: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, url: str) -> None:
        """Go to a page, and wait until all of it is there."""
        self._events.clear()
        self._ask("Page.navigate", url=url)
        self.loaded()

    def loaded(self) -> None:
        """Wait until the page that is on its way is there."""
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._hear()
        self._events.clear()

    def run(self, script: str) -> Any:
        """What an expression gives."""
        found = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression holds on the page, whichever page that is by then."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self._holds(script):
            assert time.monotonic() < deadline, f"{script}: {self.run('document.body.innerText')}"
            time.sleep(0.01)

    def _holds(self, script: str) -> bool:
        """False too where another page comes while it is asked."""
        found = self._answer("Runtime.evaluate", expression=script, returnByValue=True)
        return bool(found.get("result", {}).get("result", {}).get("value") is True)

    def look(self, *, width: int, dark: bool) -> bytes:
        """The whole page as a PNG."""
        self.resize(width=width, dark=dark)
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": width, "height": max(200, size["height"]), "scale": 1}
        shot = self._ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def resize(self, *, width: int, dark: bool) -> None:
        """As a window of that width shows it."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        heard = self._answer(method, **params)
        assert "error" not in heard, heard
        return dict(heard["result"])

    def _answer(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        asked = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._count:
                return heard

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            assert select.select([self._in], [], [], _PATIENCE_S)[0], "the browser says nothing"
            piece = os.read(self._in, 2**20)
            assert piece, "the browser has ended"
            self._waiting += piece
        raw, _, self._waiting = self._waiting.partition(b"\0")
        heard: dict[str, Any] = json.loads(raw)
        if "method" in heard:
            self._events.append(heard)
            self.told += _complaints(heard["method"], heard["params"])
        return heard


def _complaints(method: str, params: dict[str, Any]) -> Sequence[str]:
    read: dict[str, Callable[[], str]] = {
        "Runtime.consoleAPICalled": lambda: str(params["args"]),
        "Runtime.exceptionThrown": lambda: str(params["exceptionDetails"]),
        "Log.entryAdded": lambda: f"{params['entry']['source']}: {params['entry']['text']}",
    }
    advice = method == "Log.entryAdded" and params["entry"]["level"] == "verbose"
    return [read[method]()] if method in read and not advice else []
