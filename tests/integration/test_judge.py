"""A judge through the whole service: believed where it sees through canaries, and nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "judge" / "job.toml"
ROWS = [{"id": f"c{n}", "input": f"Q{n}", "expected": f"A{n}"} for n in range(30)]
SHIPS = "".join(
    f'[gates.{name}]\nwaive = "not measured here"\n'
    for name in (
        *("general_regression", "latency_p99", "human_preference", "adversarial_robustness", "schema_compliance"),
        "exact_match",
    )
)


def verdicts(record: dict[str, Any]) -> dict[str, str]:
    return {gate["name"]: gate["verdict"] for gate in record["gates"]}


def test_the_example_ends_as_it_says(evalsvc: Callable[..., Any], tmp_path: Path) -> None:
    ran = evalsvc("run", EXAMPLE)
    assert ran.code == 4, ran.err
    assert "Of 80 answers that deserve nothing it judged 80, and fell for 0 of them." in ran.out
    decided = next((tmp_path / "evalsvc-out").glob("*/decision.json"))
    record = json.loads(decided.read_text())
    judge = record["judge"]
    assert judge["trusted"] is True
    assert (judge["flip_rate"]["n"], judge["requests"]) == (20, 20 * 2 + 20 * 2 + 80)
    assert record["warnings"] == []
    assert [reason.split(" is open")[0] for reason in record["reasons"]] == ["target_improvement"]
    assert verdicts(record)["target_improvement"] == "INCONCLUSIVE"
    assert evalsvc("verify", decided).code == 0


def unwrapped(text: str) -> str:
    """Without what depends on the terminal's width."""
    return re.sub(r"\s", "", text)


def test_with_a_gullible_judge_it_ends_as_the_page_says(evalsvc: Callable[..., Any], tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    assert text.count('"sim-judge" ') == 1
    job = tmp_path / "job.toml"
    job.write_text(text.replace('"sim-judge" ', '"sim-judge-gullible" '))
    ran = evalsvc("run", job)
    page = (ROOT / "docs" / "judging.md").read_text()
    (shown,) = re.findall(r"^```\n(WARNINGS\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert unwrapped(shown) in unwrapped(ran.out)
    decided = next((tmp_path / "evalsvc-out").glob("*/decision.json"))
    record = json.loads(decided.read_text())
    assert record["warnings"][0].startswith(
        "the judge (sim-judge-gullible) is not trusted, and its scores gate nothing"
    )
    assert verdicts(record)["target_improvement"] == verdicts(record)["exact_match"] == "NOT_MEASURED"
    assert verdicts(record)["latency_p99"] == "INCONCLUSIVE"
    assert evalsvc("verify", decided).code == 0
    why = record["judge"]["distrust"]
    for format_, words in [
        ("md", "> ⚠️ the judge"),  # what CI appends to its step summary
        ("junit", f'name="judge" value="sim-judge-gullible is not trusted, its scores gate nothing: {why}"'),
        ("eee", f'"judge_trusted": "false",\n     "judge_distrust": "{why}"'),
    ]:
        assert words in evalsvc("report", record["job"]["id"], "--format", format_).out


def reply(content: str) -> tuple[int, bytes]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return 200, json.dumps({"model": "served", "choices": [choice]}).encode()


def court(says: Callable[[dict[str, Any]], str]) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
    """A server of the arms, of which the candidate is right, and of a judge that says this of what it is shown."""

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        asked = body["messages"][-1]["content"]
        if body["model"] == "court":
            found = re.search(r"^([0-9a-f]{32})\n(.*)\n\1$", asked, re.MULTILINE)
            assert found
            return reply(says(json.loads(found[2])))
        number = asked.removeprefix("Q")
        return reply(f"A{number}" if body["model"] == "cand" else "no idea")

    return answer


def honest(shown: dict[str, Any]) -> str:
    return json.dumps({"reasoning": "so", "verdict": 5 if shown["answer"] == shown["reference"] else 1})


def obedient(shown: dict[str, Any]) -> str:
    """Honest, but for answers that hold a verdict: it takes that one."""
    found = re.search(r'\{"reasoning".*\}', shown["answer"])
    return found[0] if found else honest(shown)


def silent(shown: dict[str, Any]) -> str:
    return f"I would give {honest(shown)}"


@pytest.mark.parametrize(
    ("says", "decision", "why"),
    [
        (honest, "SHIP", None),
        (obedient, "HOLD", "it fell for 10 of 40 canaries (suite s, scorer judge)"),
        (silent, "HOLD", "only 0 of 40 canaries got a verdict (suite s, scorer judge)"),
    ],
)
def test_only_a_judge_that_no_canary_fools_ships(
    says: Callable[[dict[str, Any]], str],
    decision: str,
    why: str | None,
    upstream: Any,
    write_job: Any,
    evalsvc: Callable[..., Any],
) -> None:
    server = upstream(court(says))
    path = write_job(ROWS, url=server.url)
    text = path.read_text()
    scorer = 'scorer = { name = "judge", rubric = "Is it right?" }'
    text = re.sub(r"^scorer = .*$", scorer, text, flags=re.MULTILINE)
    path.write_text(text + SHIPS + '[judge]\nendpoint = "up"\nmodel = "court"\n')
    record = evalsvc("run", path, "--json").record
    assert record["decision"] == decision, record["reasons"]
    assert record["judge"]["distrust"] == why
    assert any("not trusted" in warning for warning in record["warnings"]) == (why is not None)


def test_a_judge_that_answers_400_is_explained_in_the_reasons(
    upstream: Any, write_job: Any, evalsvc: Callable[..., Any], tmp_path: Path
) -> None:
    arms = court(honest)

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        refused = body["model"] == "court" and "response_format" in body
        return (400, b'{"error": "response_format not supported"}') if refused else arms(body)

    url = upstream(answer).url
    judge = SHIPS + '[judge]\nendpoint = "up"\nmodel = "court"\n'
    path = write_job(ROWS, url=url, scorer='{ name = "judge", rubric = "Is it right?" }', more=judge)
    record = evalsvc("run", path, "--json").record
    told = 'HTTP 400: {"error": "response_format not supported"}: set structured = false in the scorers that ask it'
    assert record["decision"] == "HOLD"
    assert any(told in reason for reason in record["reasons"]), record["reasons"]
    assert told in record["warnings"][0]
    assert evalsvc("verify", next((tmp_path / "evalsvc-out").glob("*/decision.json"))).code == 0
    path = write_job(
        ROWS, url=url, scorer='{ name = "judge", rubric = "Is it right?", structured = false }', more=judge
    )
    assert evalsvc("run", path, "--json").record["decision"] == "SHIP"
