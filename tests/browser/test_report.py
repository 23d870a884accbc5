"""The report in a real browser: hostile answers stay text, nothing is fetched, nothing runs."""

from __future__ import annotations

import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

HOSTILE = (
    '</pre><script>document.title="owned"</script><img src="http://127.0.0.1:9/x" onerror="document.title=1"><b>bold'
)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_hostile_answer_stays_text(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, chromium: str, tmp_path: Path
) -> None:
    server = upstream(lambda body: (200, chat("42" if body["model"] == "base" else HOSTILE)))
    rows = [{"id": f"c{i}", "input": f"q{i} {HOSTILE}", "expected": "42", "category": "<i>x</i>"} for i in range(5)]
    ran = evalsvc("run", write_job(rows, url=server.url), "--out", tmp_path / "out")
    assert ran.code in (3, 4), ran.err
    page = (tmp_path / "out" / "report.html").as_uri()
    command = [chromium, *_FLAGS, *_QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    seen = Elements()
    seen.feed(dom)
    assert not seen.tags & {"script", "img", "iframe", "link", "object"}
    assert not {name for name in seen.attributes if name.startswith("on")} | seen.attributes & {"src", "srcset"}
    assert 'document.title="owned"' in seen.text
    assert "owned" not in dom[dom.index("<title>") : dom.index("</title>")]
