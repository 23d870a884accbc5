"""`[suites.prompt]` from the job file to what a server is asked, and the page about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from evalsvc import jobfile
from evalsvc.app.prepare import prepare
from evalsvc.app.preview import preview, preview_as_text
from evalsvc.app.simulate import known_cases
from evalsvc.errors import JobError
from evalsvc.simulator.answers import AnswerBook, last_user_text, prompt_key

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def test_the_page_shows_what_is_sent(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(block("toml"))
    (tmp_path / "capitals.csv").write_text(block("csv"))
    shown = PAGE.partition("--show 1\n...\n")[2].partition("...\n```")[0]
    assert len(shown.splitlines()) == 8
    prepared = prepare(tmp_path / "job.toml")
    requests = anyio.run(preview, prepared, 1)
    assert shown in preview_as_text(requests, color=False, width=100)
    assert prepared.counts == {"capitals": 3}  # of 5, 2 are examples
    book = AnswerBook.from_cases(known_cases(prepared.file, ()))
    assert len(book) == 3
    for case in prepared.cases("capitals"):  # the simulator knows them as they are asked
        known = book.find(prompt_key(last_user_text(case.input) or ""))
        assert known is not None
        assert known.right == case.expected


def test_what_a_server_is_asked(evalsvc: Callable[..., Any], upstream: Any, write_job: Any, chat: Any) -> None:
    server = upstream(lambda _: (200, chat("3")))
    rows = [
        {"id": "a", "input": "How many apples?", "expected": "3", "metadata": {"picture": PICTURE, "unit": "pieces"}}
    ]
    more = '[suites.prompt]\nsystem = "Be brief."\ntemplate = "{{input}} ({{unit}})"\nimage = "picture"'
    ran = evalsvc("run", write_job(rows, url=server.url, more=more), "--json")
    assert ran.record["suites"][0]["scores"]["exact_match"]["candidate"] == 1
    parts = [
        {"type": "text", "text": "How many apples? (pieces)"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert [body["messages"] for body in server.asked] == [asked, asked]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ('template = "{{expected}}"', r"job\.toml:\d+: suites\[0\]\.prompt\.template: must not hold what is expected"),
        ('template = "{{hint}}"', r'cases\.jsonl:1: hint: no "hint" here'),
        ('examples = "shots.jsonl"', r"job\.toml:\d+: suites\[0\]\.prompt\.examples: needs shots = N"),
        ('examples = "none.jsonl"\nshots = 1', r"job\.toml:\d+: suites\[0\]\.prompt\.examples: cannot read"),
        ('image = "p"\nshots = 1', r"job\.toml:\d+: suites\[0\]\.prompt\.image: not together with shots"),
        ("shots = 3", r"cases\.jsonl: holds 2 cases that can be examples"),
        ("shots = 101", r"job\.toml:\d+: suites\[0\]\.prompt\.shots"),
        ("style = 'rows'", r"job\.toml:\d+: suites\[0\]\.prompt\.style"),
        ("shot = 3", r"job\.toml:\d+: suites\[0\]\.prompt\.shot"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(write_job: Any, tmp_path: Path, prompt: str, said: str) -> None:
    (tmp_path / "shots.jsonl").write_text('{"input": "x", "expected": "y"}\n')
    rows = [{"id": str(i), "input": f"q{i}", "expected": "42"} for i in range(2)]
    job = write_job(rows, url="http://127.0.0.1:9/v1", more=f"[suites.prompt]\n{prompt}")
    with pytest.raises(JobError, match=said):
        prepare(job, config_path=tmp_path / "config.toml")


def test_pictures_go_with_chats_alone(write_job: Any) -> None:
    job = write_job(
        [{"input": "?"}], url="http://up", baseline='b"\napi = "responses', more='[suites.prompt]\nimage = "p"'
    )
    with pytest.raises(JobError, match=r'prompt\.image: pictures go with api = "chat"; the baseline has another'):
        jobfile.read(job)


def test_a_training_case_is_found_whatever_the_prompt_makes_of_it(write_job: Any, tmp_path: Path) -> None:
    rows = [{"id": str(i), "input": f"What is the capital of country {i}?", "expected": "42"} for i in range(3)]
    (tmp_path / "train.jsonl").write_text(json.dumps(rows[0]) + "\n")
    train = '[[suites]]\nname = "tuned"\nrole = "train"\ndataset = "train.jsonl"\nscorer = "exact_match"'
    more = f'[suites.prompt]\nsystem = "Be brief."\ntemplate = "Q: {{{{input}}}} A:"\n{train}'
    prepared = prepare(write_job(rows, url="http://127.0.0.1:9/v1", more=more), config_path=tmp_path / "config.toml")
    assert [warning for warning in prepared.warnings if warning.startswith("1 of 3 target cases")]
