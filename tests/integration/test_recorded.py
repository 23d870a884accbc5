"""Jobs on recorded answers: scored and decided without a model, by the path every other job takes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalsvc.app.endpoints import connected
from evalsvc.app.prepare import prepare
from evalsvc.engine import health

GATES = ("general_regression", "latency_p99", "human_preference", "adversarial_robustness", "schema_compliance")
#: Nothing but the improvement is asked for.
ONLY_IMPROVEMENT = "".join(f"[gates.{name}]\nrequired = false\n" for name in (*GATES, "exact_match"))


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def arm(name: str, outputs: str | None, model: str) -> str:
    if outputs is None:
        return f'[{name}]\nendpoint = "up"\nmodel = "{model}"\n'
    return f'[{name}]\nendpoint = "recorded"\nmodel = "{model}"\noutputs = "{outputs}"\n'


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Path]:
    """Writes a job of one suite; an arm without outputs asks the endpoint "up"."""

    def write(
        cases: Sequence[Mapping[str, Any]],
        candidate: str | None = "new.jsonl",
        baseline: str | None = "old.jsonl",
        *,
        models: tuple[str, str] = ("new", "old"),
        scorer: str = '"exact_match"',
        more: str = "",
        top: str = "",
        dataset: str = "cases.jsonl",
    ) -> Path:
        if cases:
            write_rows(tmp_path / dataset, cases)
        arms = arm("candidate", candidate, models[0]) + arm("baseline", baseline, models[1])
        suite = f'[[suites]]\nname = "s"\nrole = "target"\ndataset = "{dataset}"\nscorer = {scorer}\n'
        (tmp_path / "job.toml").write_text(f'name = "a job"\n{top}\n{arms}{suite}{more}\n')
        return tmp_path / "job.toml"

    return write


def gate(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in record["gates"] if each["name"] == name)
    return found


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"id": f"c{i}", "input": f"What is {i}?", "expected": str(i)} for i in range(count)]


def answered(count: int, *, wrong: Iterable[int] = (), left_out: Iterable[int] = ()) -> list[dict[str, Any]]:
    wrongs, gaps = set(wrong), set(left_out)
    return [{"id": f"c{i}", "output": "?" if i in wrongs else str(i)} for i in range(count) if i not in gaps]


def gsm8k(shared: Path, folder: Path) -> list[dict[str, Any]]:
    """The cases of the recorded data; the answers of both models go into one file as they are."""
    raw = (shared / "data/01_gsm8k/items.jsonl").read_bytes()
    (folder / "both.jsonl").write_bytes(raw)
    rows = [json.loads(line) for line in raw.splitlines()]
    return [{"id": row["id"], "input": row["prompt"], "expected": row["expected"]} for row in rows]


def test_two_recorded_models_get_their_known_scores(
    shared: Path, tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    models = ("6b_verification", "6b_finetuning")
    path = job(gsm8k(shared, tmp_path), "both.jsonl", "both.jsonl", models=models, scorer='"numeric"')
    record = evalsvc("run", path, "--json").record
    (suite,) = record["suites"]
    assert suite["scores"]["numeric"] == {"candidate": 37 / 102, "baseline": 21 / 102}
    assert suite["wins"] == {"candidate": 20, "baseline": 4, "ties": 78}
    assert record["job"]["simulated"] is False
    assert record["evidence"]["outcomes"] == 204
    for name, model in zip(("candidate", "baseline"), models, strict=True):
        found = record["arms"][name]
        assert (found["endpoint"], found["model"], found["served_models"]) == ("recorded", model, [])
        assert (found["requests"], found["attempts"], found["ok"]) == (102, 102, 102)
        assert found["latency"]["n"] == 0
        assert (found["tokens"], found["cost"]) == ({"input": None, "output": None}, None)
    assert gate(record, "target_improvement")["verdict"] == "PASS"
    assert gate(record, "latency_p99")["verdict"] == "NOT_MEASURED"


def test_what_needs_log_probabilities_is_warned_of_before_all_scores_are_missing(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    write_rows(tmp_path / "old.jsonl", answered(4))
    path = job(numbered(4), None, scorer='"exact_match"\nalso = ["perplexity"]')
    path.write_text(path.read_text().replace('"up"', '"sim"'))
    score = "will have the score perplexity of the suite"
    said = [each for each in json.loads(evalsvc("plan", path, "--json").out)["warnings"] if score in each]
    assert len(said) == 2
    assert said[0].endswith("set logprobs = true in the params of [candidate].")
    assert said[1].startswith("No answer of the baseline ")
    assert said[1].endswith(": recorded answers bring no log-probabilities.")
    path.write_text(path.read_text().replace("[baseline]", "params = { logprobs = true }\n[baseline]"))
    said = [line for line in evalsvc("run", path).err.splitlines() if score in line]
    assert len(said) == 1
    assert said[0].startswith("warning: No answer of the baseline ")
    text = path.read_text().replace('"sim"', '"recorded"\noutputs = "old.jsonl"')
    path.write_text(text)
    (said,) = [each for each in json.loads(evalsvc("plan", path, "--json").out)["warnings"] if score in each]
    assert said.startswith("No answer of the candidate and the baseline ")


@pytest.mark.parametrize("margin", [0, 0.05])
@pytest.mark.parametrize("copies", [1, 30])
def test_the_same_recording_in_both_arms_never_ships(
    shared: Path, tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path], margin: float, copies: int
) -> None:
    cases = gsm8k(shared, tmp_path)
    answers = [json.loads(line) for line in (tmp_path / "both.jsonl").read_text().splitlines()]
    write_rows(tmp_path / "both.jsonl", ({**row, "id": f"{k} {row['id']}"} for k in range(copies) for row in answers))
    path = job(
        [{**case, "id": f"{k} {case['id']}"} for k in range(copies) for case in cases],
        "both.jsonl",
        "both.jsonl",
        models=("6b_verification", "6b_verification"),
        scorer='"numeric"',
        more=f"{ONLY_IMPROVEMENT}[gates.target_improvement]\nmargin = {margin}\n",
    )
    ran = evalsvc("run", path, "--json")
    assert ran.code in (3, 4)
    assert ran.record["suites"][0]["wins"] == {"candidate": 0, "baseline": 0, "ties": 102 * copies}
    found = gate(ran.record, "target_improvement")
    assert found["verdict"] == ("FAIL" if margin else "INCONCLUSIVE")
    assert found["reason"].startswith("No difference: ")
    assert ran.record["decision"] == ("ITERATE" if margin else "HOLD")


@pytest.mark.parametrize("right", [True, False])
def test_the_same_perfect_or_hopeless_recording_in_both_arms_never_ships(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path], right: bool
) -> None:
    write_rows(tmp_path / "new.jsonl", answered(500, wrong=() if right else range(500)))
    more = f"{ONLY_IMPROVEMENT}[gates.target_improvement]\nmargin = 0\n"
    ran = evalsvc("run", job(numbered(500), "new.jsonl", "new.jsonl", more=more), "--json")
    assert (ran.code, ran.record["decision"]) == (4, "HOLD")
    assert gate(ran.record, "target_improvement")["verdict"] == "INCONCLUSIVE"


@pytest.mark.parametrize("recorded", ["candidate", "baseline"])
def test_one_arm_recorded_and_one_asked(
    tmp_path: Path,
    evalsvc: Callable[..., Any],
    job: Callable[..., Path],
    upstream: Callable[..., Any],
    chat: Callable[..., bytes],
    recorded: str,
) -> None:
    server = upstream(lambda body: (200, chat(body["messages"][-1]["content"].split()[-1].rstrip("?"))))
    config = f'[endpoints.up]\nbase_url = "{server.url}"\nprice_in = 1.0\nprice_out = 1.0\n'
    (tmp_path / "config.toml").write_text(config)
    write_rows(tmp_path / "new.jsonl", ({**row, "model": "then"} for row in answered(30, wrong=range(15))))
    arms = ("new.jsonl", None) if recorded == "candidate" else (None, "new.jsonl")
    record = evalsvc("run", job(numbered(30), *arms), "--json").record
    asked = "baseline" if recorded == "candidate" else "candidate"
    assert len(server.asked) == 30
    assert record["suites"][0]["scores"]["exact_match"] == {recorded: 0.5, asked: 1.0}
    assert record["arms"][recorded]["served_models"] == ["then"]
    assert record["arms"][recorded]["latency"]["n"] == 0
    assert record["arms"][recorded]["cost"] is None
    assert record["arms"][asked]["latency"]["n"] == 30
    assert record["arms"][asked]["cost"] == 30 * 12 / 1e6
    found = gate(record, "latency_p99")
    assert (found["verdict"], found["n"], found["estimate"]) == ("NOT_MEASURED", 0, None)
    assert found["reason"] == f"No latency of the {recorded} was measured."
    assert record["decision"] != "SHIP"


def test_a_recorded_answer_is_classified_like_any_other(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    ends = [{}, {"finish_reason": "length"}, {"finish_reason": "content_filter"}, {"output": " "}]
    write_rows(tmp_path / "new.jsonl", ({"id": f"c{i}", "output": str(i), **end} for i, end in enumerate(ends)))
    write_rows(tmp_path / "old.jsonl", answered(4))
    record = evalsvc("run", job(numbered(4)), "--json").record
    assert record["arms"]["candidate"]["kinds"] == {"truncated": 1, "refused": 1, "empty": 1}
    assert record["suites"][0]["scores"]["exact_match"] == {"candidate": 0.25, "baseline": 1.0}


def test_a_case_without_a_recorded_answer_is_missing(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    write_rows(tmp_path / "new.jsonl", answered(100, left_out=[7]))
    write_rows(tmp_path / "old.jsonl", answered(100, wrong=range(50)))
    record = evalsvc("run", job(numbered(100)), "--json").record
    found = record["arms"]["candidate"]
    assert (found["requests"], found["ok"], found["infra_error"], found["kinds"]) == (100, 99, 1, {"not_recorded": 1})
    assert (found["attempts"], found["retries"]) == (100, {})
    improvement = gate(record, "target_improvement")
    assert improvement["missing"] == {"candidate": 1, "baseline": 0}
    assert (improvement["verdict"], improvement["n"]) == ("PASS", 99)
    assert improvement["interval_missing"][0] < improvement["interval"][0]


def test_too_much_that_was_not_recorded_is_no_verdict(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    write_rows(tmp_path / "new.jsonl", answered(100, left_out=range(3)))
    write_rows(tmp_path / "old.jsonl", answered(100, wrong=range(50)))
    ran = evalsvc("run", job(numbered(100), more=ONLY_IMPROVEMENT), "--json")
    assert (ran.code, gate(ran.record, "target_improvement")["verdict"]) == (4, "NOT_MEASURED")
    assert "candidate: 3 of 100 answers (3.0%) missing: not_recorded 3" in ran.record["warnings"]


def test_answers_to_no_case_are_said(tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]) -> None:
    write_rows(tmp_path / "new.jsonl", [{"id": "c0", "trial": 1, "output": "x"}, *answered(3)])
    write_rows(tmp_path / "old.jsonl", answered(5))
    record = evalsvc("run", job(numbered(3)), "--json").record
    assert [line for line in record["warnings"] if "belong" in line] == [
        "candidate: 1 of 4 recorded answers belong to no case (the first: line 1)",
        "baseline: 2 of 5 recorded answers belong to no case (the first: line 4)",
    ]


def test_a_recording_of_something_else_is_refused(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    write_rows(tmp_path / "new.jsonl", [{"id": "0", "output": "x"}, {"id": "1", "output": "x"}])
    write_rows(tmp_path / "old.jsonl", answered(3))
    ran = evalsvc("run", job(numbered(3)))
    assert ran.code == 2
    assert "new.jsonl:1: none of its 2 answers belongs to a case of this job: are the ids alike?" in ran.err
    assert not (tmp_path / "evalsvc.db").exists()


def test_a_bad_row_is_found_before_anybody_is_asked(
    tmp_path: Path,
    evalsvc: Callable[..., Any],
    job: Callable[..., Path],
    upstream: Callable[..., Any],
    chat: Callable[..., bytes],
) -> None:
    server = upstream(lambda _: (200, chat("x")))
    (tmp_path / "config.toml").write_text(f'[endpoints.up]\nbase_url = "{server.url}"\n')
    write_rows(tmp_path / "new.jsonl", [*answered(3), {"id": "c0", "output": "again"}])
    ran = evalsvc("run", job(numbered(3), baseline=None))
    assert ran.code == 2
    assert "new.jsonl:4: id: a second answer to the same case and trial; the first is in line 1" in ran.err
    assert server.asked == []


def test_trials_are_answered_one_by_one(tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]) -> None:
    def samples(*texts: str) -> list[dict[str, Any]]:
        return [{"doc_id": f"c{i}", "resps": [[text.format(i) for text in texts]]} for i in range(4)]

    write_rows(tmp_path / "new.jsonl", samples("{0}", "{0}"))
    write_rows(tmp_path / "old.jsonl", samples("{0}", "no"))
    record = evalsvc("run", job(numbered(4), top="trials = 2"), "--json").record
    assert record["suites"][0]["scores"]["exact_match"] == {"candidate": 1.0, "baseline": 0.5}
    assert record["arms"]["candidate"]["requests"] == 8


def test_the_same_files_are_the_same_job_and_others_are_not(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    write_rows(tmp_path / "new.jsonl", answered(3))
    write_rows(tmp_path / "old.jsonl", answered(3))
    path = job(numbered(3))
    first, second = evalsvc("run", path, "--json"), evalsvc("run", path, "--json")
    assert second.record == first.record
    assert "was decided before" in second.err
    write_rows(tmp_path / "old.jsonl", answered(3, wrong=[0]))
    third = evalsvc("run", path, "--json").record
    assert third["job"]["spec_sha256"] != first.record["job"]["spec_sha256"]
    assert third["suites"][0]["wins"]["candidate"] == 1


def test_a_stopped_job_goes_on_with_what_is_left(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    write_rows(tmp_path / "new.jsonl", answered(50))
    write_rows(tmp_path / "old.jsonl", answered(50, wrong=range(50)))
    path = job(numbered(50))
    whole = evalsvc("run", path, "--json").record
    connection = sqlite3.connect(tmp_path / "evalsvc.db")
    connection.execute("UPDATE jobs SET state = 'running', record = NULL")
    connection.execute("DELETE FROM outcomes WHERE position % 3 = 0 OR arm = 'candidate' AND position > 30")
    connection.commit()
    connection.close()
    again = evalsvc("run", path, "--json").record
    assert again["job"]["id"] == whole["job"]["id"]
    assert again["gates"] == whole["gates"]
    assert again["suites"] == whole["suites"]
    assert again["evidence"]["outcomes"] == whole["evidence"]["outcomes"] == 100


@pytest.mark.anyio
async def test_a_recording_with_many_gaps_is_not_down(
    tmp_path: Path, job: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "new.jsonl", answered(1))
    write_rows(tmp_path / "old.jsonl", answered(1))
    now = 0.0
    monkeypatch.setattr(health, "perf_counter", lambda: now)
    async with connected(prepare(job(numbered(100)))) as endpoints:
        for case in range(1, 100):
            now += 1.0
            endpoints["recorded"].health.failed(case, "not_recorded", "no answer was recorded")
            assert not endpoints["recorded"].health.down
            assert not endpoints["recorded"].health.undecided("not_recorded", 0.0)


def test_one_file_can_hold_cases_and_the_answers_of_both_models(
    shared: Path, tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    gsm8k(shared, tmp_path)
    both = "both.jsonl"
    models = ("6b_verification", "6b_finetuning")
    more = 'fields = { input = "prompt" }'
    path = job([], both, both, models=models, scorer='"numeric"', dataset=both, more=more)
    record = evalsvc("run", path, "--json").record
    assert record["suites"][0]["scores"]["numeric"] == {"candidate": 37 / 102, "baseline": 21 / 102}
    assert [row["name"] for row in record["suites"][0]["categories"]] == ["grade_school_math"]


def test_what_was_found_by_looking_is_said(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    chats = [[{"role": "user", "content": f"What is {i}?"}, {"role": "assistant", "content": str(i)}] for i in range(5)]
    write_rows(tmp_path / "tuned.jsonl", ({"id": f"t{i}", "messages": chat} for i, chat in enumerate(chats)))
    write_rows(tmp_path / "new.jsonl", [*answered(3), *({"id": f"t{i}", "output": str(i)} for i in range(5))])
    write_rows(tmp_path / "old.jsonl", [*answered(3), *({"id": f"t{i}", "output": "?"} for i in range(5))])
    train = '[[suites]]\nname = "tuned"\nrole = "train"\ndataset = "tuned.jsonl"\nscorer = "exact_match"\n'
    record = evalsvc("run", job(numbered(3), more=train), "--json").record
    assert record["suites"][1]["scores"]["exact_match"] == {"candidate": 1.0, "baseline": 0.0}
    assert [suite["format"] for suite in record["suites"]] == ["native", "chat-finetune"]
    assert "3 of 3 target cases ask what a training case asks: memory can look like skill there" in record["warnings"]
    assert not any("was read as" in warning for warning in record["warnings"])
    named = evalsvc("run", job(numbered(3), more=train + 'format = "chat-finetune"\n'), "--json").record
    assert named["suites"][1]["format"] == "chat-finetune"


def test_a_format_that_could_be_another_is_warned_of(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    both = {"input": "What is 0?", "ideal": "0", "target": "0", "id": "x0"}
    write_rows(tmp_path / "both.jsonl", [both])
    for name in ("new", "old"):
        write_rows(tmp_path / f"{name}.jsonl", [*answered(3), {"id": both["id"], "output": "0"}])
    train = '[[suites]]\nname = "both"\nrole = "train"\ndataset = "both.jsonl"\nscorer = "exact_match"\n'
    record = evalsvc("run", job(numbered(3), more=train + 'fields = { id = "id" }\n'), "--json").record
    said = 'suite both: both.jsonl was read as inspect; it may be openai-evals (format = "inspect" says so)'
    assert said in record["warnings"]
    assert record["suites"][1]["format"] == "inspect"
    named = evalsvc("run", job(numbered(3), more=train + 'fields.id = "id"\nformat = "inspect"\n'), "--json").record
    assert not any("was read as" in warning for warning in named["warnings"])


def test_a_format_that_does_not_exist_is_an_error_of_the_job(
    tmp_path: Path, evalsvc: Callable[..., Any], job: Callable[..., Path]
) -> None:
    write_rows(tmp_path / "new.jsonl", answered(3))
    write_rows(tmp_path / "old.jsonl", answered(3))
    ran = evalsvc("run", job(numbered(3), more='format = "openai-eval"'))
    assert ran.code == 2
    wrong = """unknown format 'openai-eval'; did you mean "openai-evals"? known: auto, bfcl, chat-finetune"""
    assert f"job.toml:16: suites[0].format: {wrong}" in ran.err
    ran = evalsvc("run", job(numbered(3), more='answers = "new.jsonl"'))
    assert ran.code == 2
    assert "job.toml:16: suites[0].answers: not with the format native: its rows hold what is expected; bfcl" in ran.err
