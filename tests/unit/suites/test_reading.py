"""Every format under everything that can be in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsvc.errors import JobError
from evalsvc.suites import FORMATS

File = Callable[..., Any]

MESSAGES = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
SAMPLES: dict[str, dict[str, Any]] = {
    "native": {"input": "?"},
    "openai-evals": {"input": "?", "ideal": "!"},
    "hosted-evals": {"item": {"input": "?"}},
    "chat-finetune": {"messages": MESSAGES},
    "inspect": {"input": "?", "target": "!"},
    "promptfoo": {"vars": {"input": "?"}},
    "lm-eval": {"doc_id": 1, "arguments": [["?", {}]], "target": "!"},
    "dpo": {"prompt": "?", "chosen": "!", "rejected": "."},
    "openai-batch": {"custom_id": "a", "body": {"messages": MESSAGES[:1]}},
    "bfcl": {
        "id": "a_1",
        "question": [MESSAGES[:1]],
        "function": [{"name": "f", "parameters": {"type": "dict"}}],
        "ground_truth": [],
    },
}
DEEP = 100_000
HOSTILE = {
    "empty": b"",
    "nul": b"\0" * 1000,
    "nul in a row": b'{"input": "a\0"}',
    "deep array": b"[" * DEEP,
    "deep objects": b'{"input": ' * DEEP,
    "deep in a row": b'{"input": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep in an array": b'[{"input": ' + b"[" * DEEP + b"]" * DEEP + b"}]",
    "long row": b'{"input": "' + b"x" * 2**18 + b'"}',
    "long row without an end": b'{"input": "' + b"x" * 2**18,
    "long element": b'[{"input": "' + b"x" * 2**18 + b'"}]',
    "long text without an end": b'["' + b"x" * 2**18,
    "long spaces": b"[" + b" " * 2**18,
    "many commas": b"[" + b"," * 2**17,
    "many columns": b",".join(b"c%d" % i for i in range(10**6)) + b"\n1\n",
    "many cells": b"input,expected\n" + b"," * 10**5,
    "open quote": b'input\n"' + b"x,\n" * 10**5,
    "utf-16": "input,expected\na,b\n".encode("utf-16"),
    "yaml bomb": b"- &a [1,1]\n" + b"".join(b"- &%c [*%c,*%c]\n" % (c, c - 1, c - 1) for c in range(98, 123)),
    "yaml code": b"- !!python/object/apply:os.abort []",
    "half a parquet": b"PAR1" + b"\0" * 5000,
    "numbers": b'{"input": 1' + b"0" * 100_000 + b"}",
    "surrogate": b'{"input": "\\ud800"}',
    "duplicates": b'{"input": "a", "input": "b"}',
    "html": b"<!doctype html><html><body>502</body></html>",
}
NAMES = ("d.jsonl", "d.json", "d.csv", "d.yaml", "d.parquet", "d")


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_format_is_found_by_its_first_row(given_file: File, name: str) -> None:
    row = SAMPLES[name]
    for content in (json.dumps(row), json.dumps([row, row])[:-1].replace("[", "[\n", 1) + "]"):
        assert given_file("d.json", content).detected == name
    assert given_file("d.jsonl", json.dumps(row), format=name).case.suite == "s"


def test_every_format_has_a_sample() -> None:
    assert {*SAMPLES, "csv", "parquet"} == set(FORMATS)


def test_a_long_first_row_is_found_too(given_file: File) -> None:
    row = {"input": "x" * 100_000, "ideal": "!"}
    assert given_file("d.jsonl", json.dumps(row)).detected == "openai-evals"


def test_the_first_row_decides_and_the_others_have_to_follow(given_file: File) -> None:
    rows = [SAMPLES["chat-finetune"], SAMPLES["native"]]
    error = given_file("d.jsonl", "\n".join(map(json.dumps, rows))).error
    assert error == "d.jsonl:2: messages: missing; an array of at least two messages"


@pytest.mark.parametrize("what", sorted(HOSTILE))
@pytest.mark.parametrize("name", NAMES)
def test_hostile_files_are_cases_or_one_error_in_time(given_file: File, name: str, what: str) -> None:
    started = time.perf_counter()
    for format_ in ("auto", *FORMATS):
        with suppress(JobError):
            assert given_file(name, HOSTILE[what], format=format_, max_row_bytes=2**17).cases
    assert time.perf_counter() - started < 30


@pytest.mark.parametrize("format_", ["auto", *FORMATS])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(data=st.data())
def test_any_row_is_a_case_or_one_error(given_file: File, format_: str, data: st.DataObject) -> None:
    sample = SAMPLES.get(format_) or data.draw(st.sampled_from(sorted(SAMPLES)).map(SAMPLES.__getitem__))
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just(MESSAGES),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    )
    row = {
        **sample,
        **data.draw(st.dictionaries(st.sampled_from(sorted({k for s in SAMPLES.values() for k in s})), values)),
    }
    with suppress(JobError):
        assert given_file("d.jsonl", json.dumps(row), format=format_).cases
