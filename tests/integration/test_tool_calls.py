"""Tool calls through the whole service: what is asked, answered, scored and stored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What the candidate and the baseline answer, by the mutation of BFCL's vectors that is taken where there is one.
ANSWERS = {"cand": ("exact",), "base": ("upper_case", "int_as_string", "off_by_one", "drop_first_arg")}


def scores(folder: Path) -> dict[tuple[str, str], float]:
    connection = sqlite3.connect(f"file:{folder / 'evalsvc.db'}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT case_id, model, score FROM outcomes").fetchall()
    finally:
        connection.close()
    return {(case, model): score for case, model, score in rows}


def called(model: str, calls: list[dict[str, Any]]) -> bytes:
    objects = [
        {
            "id": f"call_{place}",
            "type": "function",
            "function": {"name": call["name"].replace(".", "_"), "arguments": json.dumps(call["arguments"])},
        }
        for place, call in enumerate(calls)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": objects}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return json.dumps({"id": "1", "model": model, "choices": [choice]}).encode()


def key(prompt: str, tools: Any) -> str:
    return json.dumps([prompt, tools], sort_keys=True)


@pytest.fixture
def questions(shared: Path) -> dict[str, dict[str, Any]]:
    rows = (shared / "data/04_bfcl/questions.jsonl").read_text().splitlines()
    return {row["id"]: row for row in map(json.loads, rows)}


@pytest.fixture
def vectors(shared: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (shared / "data/04_bfcl/checker_vectors.jsonl").read_text().splitlines()]


def taken(vectors: list[dict[str, Any]], mutations: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Per question the vector of the first of these mutations that it has."""
    return {
        row["question_id"]: row for mutation in reversed(mutations) for row in vectors if row["mutation"] == mutation
    }


def test_recorded_calls_get_the_recorded_verdicts_of_bfcl(
    evalsvc: Callable[..., Any],
    upstream: Any,
    write_job: Any,
    tmp_path: Path,
    questions: dict[str, dict[str, Any]],
    vectors: list[dict[str, Any]],
) -> None:
    answers = {model: taken(vectors, mutations) for model, mutations in ANSWERS.items()}
    asked = sorted(answers["cand"].keys() & answers["base"].keys())
    rows = [
        {
            "id": case,
            "question": [[{"role": "user", "content": questions[case]["prompt"]}]],
            "function": [tool["function"] for tool in questions[case]["tools"]],
            "ground_truth": questions[case]["possible_answer"],
        }
        for case in asked
    ]
    by_request = {key(questions[case]["prompt"], questions[case]["tools"]): case for case in asked}
    assert len(by_request) == len(asked)

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        case = by_request[key(body["messages"][-1]["content"], body["tools"])]
        return 200, called(body["model"], answers[body["model"]][case]["calls"])

    job = write_job(rows, url=upstream(answer).url, scorer='{ name = "tool_call", compat = "bfcl" }')
    ran = evalsvc("run", job, "--json")
    assert ran.code in (3, 4), ran.err
    verdicts = {(case, model): float(answers[model][case]["valid"]) for case in asked for model in ANSWERS}
    assert set(verdicts.values()) == {0.0, 1.0}
    assert scores(tmp_path) == verdicts


def test_the_example_runs_on_the_simulator(evalsvc: Callable[..., Any], tmp_path: Path) -> None:
    ran = evalsvc("run", ROOT / "examples/tool_calling/job.toml", "--json", "--out", tmp_path / "out")
    assert ran.code == 4, ran.err
    (suite,) = ran.record["suites"]
    assert suite["cases"] == 30
    assert suite["scores"]["tool_call"]["candidate"] > suite["scores"]["tool_call"]["baseline"] > 0.5
    assert suite["scores"]["tool_schema"]["candidate"] >= suite["scores"]["tool_call"]["candidate"]
    assert ran.record["arms"]["candidate"]["ok"] == 30
