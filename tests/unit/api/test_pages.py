"""Pages for people: inert whatever a job says."""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from inert_texts import TEXTS
from page_structure import parse

from evalsvc.api.pages import policy_of
from evalsvc.api.reports import Reports
from evalsvc.core.states import JobState
from evalsvc.reports.inert import visible

pytestmark = pytest.mark.anyio

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


class Shape(HTMLParser):
    """The elements and attributes of a page, without its texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.sources: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def decided(make_record: Any, text: str) -> dict[str, Any]:
    gate = {"name": "target_improvement", "verdict": "FAIL", "reason": text, "required": True, "waived": None}
    made: dict[str, Any] = make_record("ITERATE", reasons=[text], warnings=[text], gates=[gate])
    return made


async def test_no_element_comes_from_a_job(house: Any, make_record: Any) -> None:
    pages: list[list[str]] = []
    for texts in ([f"harmless {k}" for k in range(len(TEXTS))], TEXTS):
        for k, said in enumerate(texts):
            house.service.add(f"n{k}", name=said, reason=said, state=JobState.FAILED)
        gates = [{**decided(make_record, said)["gates"][0], "name": said, "waived": said} for said in texts]
        record = make_record("ITERATE", reasons=texts, warnings=texts, gates=gates)
        house.service.add("j", name="".join(texts), reason="\n".join(texts), state=JobState.DONE, record=record)
        lists = [f"/?after=n{k}" for k in range(49, len(texts), 50)]
        async with house.client() as client:
            answers = [await client.get(path, headers=BROWSER) for path in ("/", "/jobs/j", *lists)]
        pages.append([answer.text for answer in answers])
    for plain, hostile in zip(*pages, strict=True):
        assert parse(plain).elements == parse(hostile).elements
        assert parse(hostile).strange == []
        assert not {c for c in hostile if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}} - set("\n\t\u200c\u200d")
    shown = "".join("".join(parse(page).text) for page in pages[1])
    assert [said for said in TEXTS if visible(said) not in shown] == []


async def test_pages_hold_nothing_inline_and_load_nothing_foreign(house: Any, make_record: Any) -> None:
    house.service.add("j", state=JobState.DONE, record=decided(make_record, "x"))
    async with house.client() as client:
        texts = [(await client.get(path, headers=BROWSER)).text for path in ("/", "/jobs/j", "/jobs/none")]
        script = (await client.get("/static/app.js")).text
    for text in texts:
        shape = Shape(text)
        attributes = {name for _, names in shape.elements for name in names}
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert all(source.startswith("/") and not source.startswith("//") for source in shape.sources)
        assert "<style" not in text
    for dangerous in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert dangerous not in script


async def test_the_jobs_page(house: Any, make_record: Any) -> None:
    async with house.client() as client:
        assert "evalsvc submit" in (await client.get("/", headers=BROWSER)).text
        for k in range(51):
            house.service.add(f"j{k}")
        house.service.add("run", state=JobState.RUNNING)
        house.service.add("done", state=JobState.DONE, record=make_record("HOLD"))
        page = (await client.get("/", headers=BROWSER)).text
        assert "3 of 8" in page
        assert "HOLD" in page
        assert 'href="/?after=j3"' in page
        rest = (await client.get("/?after=j3", headers=BROWSER)).text
    assert "job j2<" in rest
    assert "job j3<" not in rest
    assert "Older" not in rest


async def test_a_job_page_is_live_until_the_job_has_ended(house: Any, make_record: Any) -> None:
    house.service.add("j", state=JobState.RUNNING)
    async with house.client() as client:
        assert 'data-live="yes"' in (await client.get("/jobs/j", headers=BROWSER)).text
        house.service.rows["j"] = replace(house.service.rows["j"], state=JobState.DONE, record=make_record())
        page = (await client.get("/jobs/j", headers=BROWSER)).text
        assert 'data-live="no"' in page
        assert 'href="/jobs/j/report"' in page
        house.service.rows["j"] = replace(
            house.service.rows["j"], record=make_record(job={"simulated": True}, warnings=["much was cut off"])
        )
        page = (await client.get("/jobs/j", headers=BROWSER)).text
    assert "Simulated." in page
    assert "much was cut off" in page


async def test_the_report_may_do_nothing(build: Any, problem: Any, make_record: Any, tmp_path: Path) -> None:
    page = "<html><style>p { color: red }</style><p>\\xe9</p></html>"
    command = (sys.executable, "-c", f"import sys; sys.stdout.buffer.write('{page}'.encode())")
    house = await build(reports=Reports(tmp_path / "e.db", {"html": "html"}, command=command))
    house.service.add("q")
    house.service.add("d", state=JobState.DONE, record=make_record())
    async with house.client() as client:
        assert problem(await client.get("/jobs/q/report"), 409)["code"] == "not_decided"
        answer = await client.get("/jobs/d/report")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "frame-ancestors 'none'" in policy
    assert policy == policy_of("<style>p { color: red }</style>")
    assert policy != policy_of("<style>p { color: blue }</style>")


async def test_browsers_get_errors_as_pages_and_programs_as_json(house: Any, problem: Any) -> None:
    async with house.client() as client:
        page = await client.get("/jobs/none", headers=BROWSER)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "no job none" in page.text
        problem(await client.get("/jobs/none"), 404)
        problem(await client.get("/api/v1/jobs/none", headers=BROWSER), 404)


async def test_who_is_not_signed_in_is_asked_to(house: Any) -> None:
    token = await house.token("viewer")
    house.service.add("j", name="secret name")
    async with house.client() as client:
        page = await client.get("/jobs/j", headers=BROWSER)
        assert page.status_code == 401
        assert 'id="sign-in"' in page.text
        assert "secret name" not in page.text
        await client.post("/api/v1/session", json={"token": token})
        page = await client.get("/jobs/j", headers=BROWSER)
    assert "secret name" in page.text
    assert 'id="sign-out"' in page.text
    assert token not in page.text
