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
    """Without what depends on the terminal's width, and on which answers came first."""
    return re.sub(r"\s", "", re.sub(r"\d+\s+of\s+40", "N of 40", text))


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
