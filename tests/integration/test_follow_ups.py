"""Scores that take a model: asked in the same run, recorded with their answer, read again by verify."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from evalsvc.decide.schema import schema

ROWS = [{"id": f"c{n}", "input": f"Q{n}", "expected": f"A{n}"} for n in range(8)]
JUDGED = 'also = [{ name = "judge", rubric = "Right?" }, { name = "judge_pair", label = "duel", rubric = "Better?" }]\n'
JUDGE = '[judge]\nendpoint = "up"\nmodel = "court"\nparams = { temperature = 0 }\n'
#: Canaries of a case: eight of each of the two scorers, on five cases.
CANARIES = 8 * 2 * 5
ARMS = ("candidate", "baseline")


def reply(content: str, **choice: Any) -> tuple[int, bytes]:
    found = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop", **choice}
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    return 200, json.dumps({"model": "served", "choices": [found], "usage": usage}).encode()


def verdict(body: dict[str, Any]) -> Any:
    """A judge that finds every answer bad, and prefers what stands first."""
    return json.dumps({"reasoning": "so", "verdict": "tie" if "answer B" in json.dumps(body) else 1})


def court(body: dict[str, Any]) -> tuple[int, bytes]:
    if body["model"] == "court":
        return reply(verdict(body))
    number = body["messages"][-1]["content"].removeprefix("Q")
    return reply(f"A{number}" if body["model"] == "cand" else f"no {number}")


def rows_of(database: Path, what: str = "arm, step, status, attempts, scores") -> list[Any]:
    with sqlite3.connect(database) as connection:
        return connection.execute(f"SELECT {what} FROM outcomes ORDER BY position, arm, step").fetchall()


@pytest.fixture
def judged(upstream: Any, write_job: Any) -> Any:
    server = upstream(court)
    path = write_job(ROWS, url=server.url, more=JUDGED + JUDGE, endpoint="price_in = 1000000.0\nprice_out = 0.0")
    return server, path


def test_a_judged_job_is_recorded_counted_and_recomputed(
    judged: Any, evalsvc: Callable[..., Any], tmp_path: Path
) -> None:
    server, path = judged
    ran = evalsvc("run", path, "--json")
    record = ran.record
    rows = rows_of(tmp_path / "evalsvc.db")
    answers = [row for row in rows if row[1] == "answer"]
    assert len(answers) == 16
    assert all(set(json.loads(row[4])) == {"exact_match", "judge", "duel"} for row in answers)
    assert len(rows) == 16 + 16 + 16 + CANARIES  # answers, judge of each, both orders of each pair
    beside = {arm: {row[1].split("/")[0] for row in rows if row[0] == arm and "canary" in row[1]} for arm in ARMS}
    assert beside == {"candidate": {"judge"}, "baseline": {"duel"}}  # a candidate that is one would hide them
    judge = record["judge"]
    assert judge["requests"] == len(rows) - 16
    assert judge["attempts"] + judge["cached"] == judge["requests"]
    assert judge["attempts"] == sum(body["model"] == "court" for body in server.asked)
    assert judge["tokens"] == {"input": 10 * judge["attempts"], "output": 2 * judge["attempts"]}
    assert judge["cost"] == 10 * judge["attempts"]
    for arm in ARMS:
        of_arm = record["arms"][arm]
        assert (of_arm["requests"], of_arm["attempts"], of_arm["tokens"]["input"], of_arm["cost"]) == (8, 8, 80, 80)
        assert (of_arm["follow_ups"], of_arm["latency"]["n"], of_arm["served_models"]) == (None, 8, ["served"])
    scores = record["suites"][0]["scores"]
    assert scores["duel"] == {"candidate": 0.5, "baseline": 0.5}
    assert scores["judge"] == {"candidate": 0, "baseline": 0}
    assert record["evidence"]["outcomes"] == 16
    assert record["evidence"]["leaves"] == len(rows)
    decided = next((tmp_path / "evalsvc-out").glob("*/decision.json"))
    assert evalsvc("verify", decided).code == 0


def test_what_the_judge_said_once_is_not_asked_for_again(
    judged: Any, evalsvc: Callable[..., Any], tmp_path: Path
) -> None:
    server, path = judged
    evalsvc("run", path, "--json")
    before = sum(body["model"] == "court" for body in server.asked)
    second = evalsvc("run", path, "--json", "--again").record["judge"]
    asked = sum(body["model"] == "court" for body in server.asked) - before
    assert asked == 0  # the canaries, too, are put to it on the same cases
    assert second["requests"] == second["cached"] == 32 + CANARIES
    assert (second["attempts"], second["tokens"]["input"]) == (0, 0)
    rows = rows_of(tmp_path / "evalsvc.db", "step, attempts, latency_s, status")
    assert all(row[2] is None and row[3] == "ok" for row in rows if row[1] == "[]")


def tampered(database: Path | str, sql: str) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("DROP TRIGGER IF EXISTS outcomes_are_final")
    connection.execute(sql)
    connection.close()


CHANGES = [
    ("UPDATE outcomes SET text = replace(text, '1}', '5}') WHERE step = 'judge/judge' AND position = 3", '"judge"'),
    ("UPDATE outcomes SET text = replace(text, 'tie', 'A') WHERE step LIKE 'duel/%' AND position = 3", '"duel"'),
    ("UPDATE outcomes SET text = replace(text, '1}', '5}') WHERE step LIKE 'judge/canary/%'", "canary"),
    ("DELETE FROM outcomes WHERE step = 'judge/canary/null-dot' AND position = 3", "is not filed, and had to be"),
    ("UPDATE outcomes SET scores = '{}' WHERE step = 'duel/canary/null-dot' AND position = 3", "is not filed"),
    ("UPDATE outcomes SET position = 7 WHERE step = 'judge/canary/null-dot' AND position = 3", "is not filed"),
    ("UPDATE outcomes SET step = 'judge/canary/a' WHERE step = 'judge/canary/null-dot'", "none such was to be put"),
    ("DELETE FROM outcomes WHERE position = 3", "an answer is gone, and with it what"),
]


def test_a_changed_word_of_the_judge_is_found(judged: Any, evalsvc: Callable[..., Any], tmp_path: Path) -> None:
    _, path = judged
    evalsvc("run", path, "--json")
    (decided,) = (tmp_path / "evalsvc-out").glob("*/decision.json")
    for sql, said in CHANGES:
        copy = shutil.copy(tmp_path / "evalsvc.db", tmp_path / "changed.db")
        tampered(copy, sql)
        found = json.loads(evalsvc("verify", decided, "--db", copy, "--json").out)
        checks = {check["name"]: check for check in found["checks"]}
        assert checks["scores"]["state"] == "differs", sql
        assert said in checks["scores"]["said"], sql


def gullible(body: dict[str, Any]) -> tuple[int, bytes]:
    """A judge that is right, and takes an opening phrase for the best of answers."""
    if body["model"] != "court":
        return court(body)
    shown = json.loads(re.findall(r"^\{.*\}$", body["messages"][-1]["content"], re.MULTILINE)[0])
    fooled = shown["answer"] == "Thought process:"
    return reply(json.dumps({"reasoning": "so", "verdict": 5 if fooled or shown["answer"][0] == "A" else 1}))


def test_whoever_deletes_what_fooled_the_judge_is_found_even_with_a_record_made_to_fit(
    upstream: Any, write_job: Any, evalsvc: Callable[..., Any], tmp_path: Path
) -> None:
    scorer = '{ name = "judge", rubric = "Right?" }'
    path = write_job(ROWS, url=upstream(gullible).url, scorer=scorer, more=JUDGE)
    ran = evalsvc("run", path, "--json", "--out", tmp_path / "true")
    assert ran.record["judge"]["distrust"] == "it fell for 5 of 40 canaries (suite s, scorer judge)"

    def checks(folder: str) -> dict[str, str]:
        found = json.loads(evalsvc("verify", tmp_path / folder / "decision.json", "--json").out)
        return {check["name"]: check["state"] for check in found["checks"]}

    assert "differs" not in checks("true").values()
    tampered(tmp_path / "evalsvc.db", "DELETE FROM outcomes WHERE step = 'judge/canary/master-key-thought'")
    assert checks("true")["outcomes"] == "differs"  # the root is over all rows, whatever their step
    tampered(tmp_path / "evalsvc.db", "UPDATE jobs SET state = 'running', record = NULL, finished_at = NULL")
    forged = evalsvc("run", path, "--json", "--out", tmp_path / "forged").record
    assert forged["job"]["id"] == ran.record["job"]["id"]
    assert (forged["judge"]["trusted"], forged["judge"]["canaries"]["asked"]) == (True, 35)
    assert {name for name, state in checks("forged").items() if state == "differs"} == {"scores"}


@pytest.mark.parametrize(
    ("scorer", "asked", "why"),
    [
        ("judge", 40, None),
        ("judge_pair", 0, "no canary was put to it (suite s, scorer x)"),
    ],
)
def test_where_every_answer_failed_a_judge_is_tried_alone_or_not_believed(
    upstream: Any, write_job: Any, evalsvc: Callable[..., Any], tmp_path: Path, scorer: str, asked: int, why: str | None
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        return reply(verdict(body)) if body["model"] == "court" else reply("cut", finish_reason="length")

    asks = f'{{ name = "{scorer}", label = "x", rubric = "Right?" }}'
    record = evalsvc("run", write_job(ROWS, url=upstream(answer).url, scorer=asks, more=JUDGE), "--json").record
    assert record["judge"]["canaries"]["asked"] == asked
    assert record["judge"]["distrust"] == why or (why is None and "says the same" in record["judge"]["distrust"])
    assert evalsvc("verify", next((tmp_path / "evalsvc-out").glob("*/decision.json"))).code == 0


def test_a_judge_without_a_key_stops_the_job(upstream: Any, write_job: Any, evalsvc: Callable[..., Any]) -> None:
    server = upstream(lambda body: (401, b"{}") if body["model"] == "court" else court(body))
    ran = evalsvc("run", write_job(ROWS, url=server.url, more=JUDGED + JUDGE))
    assert ran.code == 1
    assert "what scores ask ('judge" in ran.err
    assert "court on endpoint up" in ran.err


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply('{"verdict": 5', finish_reason="length"), "the judge gave no answer: cut off at the token limit"),
        (reply("5"), "scoring error: "),
    ],
)
def test_a_judge_that_gives_no_verdict_leaves_its_scores_missing(
    upstream: Any, write_job: Any, evalsvc: Callable[..., Any], tmp_path: Path, answer: tuple[int, bytes], words: str
) -> None:
    server = upstream(lambda body: answer if body["model"] == "court" else court(body))
    path = write_job(ROWS[:3], url=server.url, more=JUDGED + JUDGE)
    record = evalsvc("run", path, "--json").record
    for (scores,) in rows_of(tmp_path / "evalsvc.db", "scores")[:1]:
        given = json.loads(scores)
        assert (given["judge"]["value"], given["duel"]["value"]) == (None, None)
        assert given["judge"]["explanation"].startswith(words)
    assert record["judge"]["trusted"] is False
    assert not any("unscored" in warning for warning in record["warnings"])  # their primary score is there
    assert evalsvc("verify", next((tmp_path / "evalsvc-out").glob("*/decision.json"))).code == 0


def test_answers_without_a_verdict_are_not_laid_at_their_scorers_door(
    upstream: Any, write_job: Any, evalsvc: Callable[..., Any], tmp_path: Path
) -> None:
    """Of six cases the judge is silent on one, and says what is no verdict on another; one has no answer to compare."""

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        asked = json.dumps(body)
        if body["model"] == "court" and "Q1" in asked:
            return reply("", finish_reason="length")
        if body["model"] == "court" and "Q2" in asked:
            return reply("5")
        if body["model"] == "base" and "Q3" in asked:
            return 400, b"{}"
        return court(body)

    server = upstream(answer)
    path = write_job(ROWS[:6], url=server.url, scorer='{ name = "judge_pair", rubric = "Better?" }', more=JUDGE)
    record = evalsvc("run", path, "--json").record
    unscored = [warning for warning in record["warnings"] if "unscored" in warning]
    assert unscored == [
        "candidate: 2 of 6 answers unscored: the judge gave no verdict on them",
        "candidate: 1 of 6 answers unscored: the other arm has no answer to compare them with",
        "baseline: 2 of 6 answers unscored: the judge gave no verdict on them",
    ]
    assert evalsvc("verify", next((tmp_path / "evalsvc-out").glob("*/decision.json"))).code == 0


def echoes(body: dict[str, Any]) -> tuple[int, bytes]:
    if "prompt" not in body:
        return court(body)
    prompt = body["prompt"]
    cut = prompt.index("A")
    tokens = {"tokens": [prompt[:cut], prompt[cut:]], "token_logprobs": [None, -0.5], "text_offset": [0, cut]}
    choice = {"index": 0, "text": prompt, "finish_reason": "length", "logprobs": tokens}
    return 200, json.dumps({"model": "served", "choices": [choice], "usage": {"prompt_tokens": 3}}).encode()


def test_the_model_is_asked_about_the_reference(
    upstream: Any, write_job: Any, evalsvc: Callable[..., Any], tmp_path: Path
) -> None:
    server = upstream(echoes)
    more = 'also = [{ name = "perplexity", mode = "reference" }]'
    record = evalsvc("run", write_job(ROWS, url=server.url, more=more), "--json").record
    suite = record["suites"][0]
    assert suite["scores"]["perplexity"]["candidate"] == pytest.approx(1.6487212707)
    assert suite["pass_rates"]["perplexity"] is None  # nothing passes or fails by a number beyond 1
    assert suite["pass_rates"]["exact_match"]["candidate"]["passes"] == 8
    jsonschema_rs.validator_for(schema()).validate(record)
    assert "perplexity, passes" not in next((tmp_path / "evalsvc-out").glob("*/report.html")).read_text()
    asked = [body for body in server.asked if "prompt" in body]
    assert len(asked) == 16
    assert asked[0].items() >= {"echo": True, "logprobs": 1, "max_tokens": 0}.items()
    follow_ups = record["arms"]["candidate"]["follow_ups"]
    assert (follow_ups["requests"], follow_ups["attempts"], follow_ups["tokens"]["output"]) == (8, 8, None)
    assert record["arms"]["candidate"]["tokens"] == {"input": 80, "output": 16}
    assert evalsvc("verify", next((tmp_path / "evalsvc-out").glob("*/decision.json"))).code == 0


@pytest.mark.parametrize(
    ("scorer", "more", "said"),
    [
        ('"perplexity"', "", "gates need scores from 0 to 1"),
        ('"exact_match"', 'also = [{ name = "perplexity", label = "answer" }]', 'not "answer"'),
        ('"exact_match"', 'also = [{ name = "perplexity", label = "a/b" }]', 'no "/"'),
    ],
)
def test_a_scorer_where_it_cannot_stand(
    write_job: Any, evalsvc: Callable[..., Any], scorer: str, more: str, said: str
) -> None:
    ran = evalsvc("run", write_job(ROWS, url="http://127.0.0.1:9", scorer=scorer, more=more))
    assert ran.code == 2
    assert "job.toml:" in ran.err
    assert said in ran.err


def test_a_pilot_teaches_a_plan_how_much_the_judge_says(judged: Any, evalsvc: Callable[..., Any]) -> None:
    _, path = judged
    spend = json.loads(evalsvc("plan", path, "--pilot", "2", "--json").out)["spend"]
    assert spend["judge"]["requests"] == 16 + 16 + CANARIES
    assert spend["judge"]["tokens"]["output"] == 2 * spend["judge"]["requests"]
