"""The daemon's pages in a real browser: signed in, a job followed while it runs, its decision and its report."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from chrome import Chrome
from daemons import Daemon

NAME = '</script><img src=x onerror="document.title=1">{{7*7}}'
HOSTILE = f"{NAME}\u202egnp"
ROWS = [
    {"id": f"c{i}", "input": f"q{i} {HOSTILE}", "expected": "yes", "category": f"<i>{'ab'[i % 2]}</i>"}
    for i in range(60)
]
HELD = 20
WIDTHS = (1200, 380)


@pytest.fixture
def chrome(chromium: str, tmp_path: Path) -> Iterator[Chrome]:
    with Chrome(chromium, tmp_path / "profile") as browser:
        yield browser


def seen(chrome: Chrome, name: str) -> None:
    """Nothing is cut off at any width; pictures go to the folder of EVALSVC_SCREENSHOTS, where one is named."""
    folder = os.environ.get("EVALSVC_SCREENSHOTS")
    for width in WIDTHS:
        chrome.resize(width=width, dark=False)
        assert chrome.run("document.documentElement.scrollWidth") <= width, (name, width)
        for dark in (False, True) if folder else ():
            picture = Path(folder or "", f"{name}-{width}-{'dark' if dark else 'light'}.png")
            picture.write_bytes(chrome.look(width=width, dark=dark))


def test_from_signing_in_to_the_report(
    chrome: Chrome, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    free, count = threading.Event(), iter(range(10**6))

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        if next(count) >= HELD:
            free.wait(120)
        return 200, chat("yes" if body["model"] == "cand" else f"no {HOSTILE}")

    job = write_job(ROWS, url=upstream(answer).url, endpoint="max_in_flight = 8")
    job.write_text(job.read_text().replace('"a job"', json.dumps(NAME)))
    daemon = Daemon(tmp_path)
    try:
        token, where = _filed(daemon, job)
        chrome.open(daemon.url)
        assert "Sign in" in chrome.run("document.title")
        seen(chrome, "sign-in")
        chrome.run(
            f"document.getElementById('token').value = '{token}x'; document.querySelector('form button').click()"
        )
        chrome.until("document.getElementById('refused').textContent.includes('not known')")
        chrome.run(f"document.getElementById('token').value = '{token}'; document.querySelector('form button').click()")
        chrome.until("document.querySelector('h1').textContent === 'Jobs'")
        assert [line for line in chrome.told if "401" not in line] == []
        chrome.told.clear()
        seen(chrome, "queue")

        chrome.run("document.querySelector('tbody a').click()")
        chrome.until(f"location.pathname === '/jobs/{where}' && document.readyState === 'complete'")
        chrome.run("window.sameDocument = true")
        chrome.until("document.getElementById('state').textContent === 'running'")
        chrome.until("/^[1-9][0-9]* of 120/.test(document.getElementById('counts').textContent)")
        assert chrome.run("window.sameDocument") is True  # it was told, it did not ask again
        seen(chrome, "running")
        free.set()
        chrome.until("document.querySelector('.decision') !== null")
        assert chrome.run("document.getElementById('state').textContent") == "done"
        assert chrome.run("document.querySelectorAll('#gates tr').length") == 7
        assert chrome.run("document.querySelector('h1').textContent") == NAME
        assert chrome.run("document.querySelectorAll('img').length") == 0
        seen(chrome, "decided")

        chrome.run("[...document.querySelectorAll('a')].find(a => a.textContent === 'Report').click()")
        chrome.until("location.pathname.endsWith('/report') && document.readyState === 'complete'")
        assert chrome.run("document.querySelectorAll('script, img, iframe').length") == 0
        assert chrome.run("getComputedStyle(document.body).margin") == "0px"  # its style is let through
        assert HOSTILE.replace("\u202e", "⟨U+202E⟩") in chrome.run("document.body.textContent")
        seen(chrome, "report")
        assert chrome.told == []

        chrome.open(daemon.url)
        chrome.run("document.getElementById('sign-out').click()")
        chrome.until("document.getElementById('sign-in') !== null")
    finally:
        free.set()
        daemon.stop(signal.SIGKILL)


def _filed(daemon: Daemon, job: Path) -> tuple[str, str]:
    """A viewer's token, and the id of the job."""
    with httpx2.Client(base_url=f"{daemon.url}/api/v1", timeout=60, trust_env=False) as http:
        admin = http.post("/tokens", json={"name": "a", "role": "admin"}).json()["token"]
        http.headers["Authorization"] = f"Bearer {admin}"
        viewer = http.post("/tokens", json={"name": "v", "role": "viewer"}).json()["token"]
        parts = {"job": ("j", job.read_bytes()), "cases.jsonl": ("x", (job.parent / "cases.jsonl").read_bytes())}
        return viewer, str(http.post("/jobs", files=parts).json()["id"])
