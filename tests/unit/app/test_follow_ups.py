"""What scores will ask: what a plan counts is what a run then asks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from evalsvc.app.follow_ups import Asking, asking_of, beyond_of
from evalsvc.app.plan import Said, plan_as_text, plan_of
from evalsvc.app.prepare import PreparedJob, prepare
from evalsvc.app.spend import JUDGE, Usual
from evalsvc.core.records import Arm, Case, Completion, Score
from evalsvc.errors import JobError, ScoringError
from evalsvc.scoring.base import AskingScorer, FollowUp

JUDGE_TABLE = '[judge]\nendpoint = "up"\nmodel = "court"\nparams = { max_tokens = 40 }\n'
MORE = 'also = [{ name = "judge_pair", rubric = "Better?" }, { name = "perplexity", mode = "reference" }]\n'
USUAL: dict[str, Usual] = {arm: Usual(answer_tokens=10, chars_a_token=4) for arm in Arm}
USUAL[JUDGE] = Usual(answer_tokens=40)


def prepared(write_job: Any, *, scorer: str = '{ name = "judge", rubric = "Right?" }', more: str = MORE) -> PreparedJob:
    """Seven cases whose prompts have 5 characters on average, the first 2."""
    rows = [{"id": f"c{n}", "input": "Q" * (2 + n), "expected": "A"} for n in range(7)]
    path: Path = write_job(rows, url="http://127.0.0.1:9/v1", scorer=scorer, more=more + JUDGE_TABLE)
    return prepare(path, config_path=path.parent / "config.toml")


def test_each_scorer_is_asked_for_what_it_asks(write_job: Any) -> None:
    judge, pair, text = asking_of(prepared(write_job), USUAL, {"s": 5.0})
    assert [(each.calls, each.canaries, each.of) for each in (judge, pair, text)] == [
        (1, 8, "judge"), (2, 8, "judge"), (1, 0, "model")
    ]  # fmt: skip
    assert (judge.output_tokens, text.output_tokens) == (40, 0)  # a reading model writes nothing
    assert text.chars == len("QQ" + "A") + 3  # the first case's prompt is 3 characters short of the average
    assert pair.chars > judge.chars - 100 > 800  # rules, rubric, task, reference, an answer of 40 characters
    assert 7 * judge.chars < judge.canary_chars < 8 * judge.chars + 8 * 100
    assert (
        pair.words()
        == "s, judge_pair: 2 requests of the judge for each pair of answers and 8 canaries on each of 5 cases"
    )
    assert text.words() == "s, perplexity: 1 request of the model for each answer"


def test_scores_are_counted_by_answer_or_pair_and_canaries_by_case() -> None:
    def asking(**values: Any) -> Asking:
        given = {"of": "judge", "paired": False, "calls": 1, "output_tokens": 2.0, "canaries": 8, "canary_chars": 80.0}
        return Asking(suite="s", label="x", chars=100.0, **{**given, **values})

    (judge,) = beyond_of([asking()], {"s": 7}, 3).values()
    assert (judge.requests, judge.chars) == (7 * 3 * 2 + 5 * 8, 4200 + 5 * 80)
    assert judge.output_tokens == judge.requests * 2
    pair = beyond_of([asking(paired=True, calls=2)], {"s": 3}, 1)[JUDGE]
    assert pair.requests == 3 * 2 + 3 * 8
    both = beyond_of([asking(), asking(paired=True, calls=2)], {"s": 3}, 1)[JUDGE]
    assert both.requests == pair.requests + 3 * 2 + 3 * 8
    models = beyond_of([asking(of="model", canaries=0)], {"s": 7}, 1)
    assert {arm: each.requests for arm, each in models.items()} == {Arm.CANDIDATE: 7, Arm.BASELINE: 7}


def test_a_plan_counts_and_says_it(write_job: Any) -> None:
    plan = plan_of(prepared(write_job), Said())
    spend = plan["spend"]
    assert spend["judge"]["requests"] == spend["judge"]["follow_ups"] == 7 * 2 + 7 * 2 + 2 * 5 * 8
    assert spend["judge"]["tokens"]["output"] == 40 * spend["judge"]["requests"]
    assert [(arm["requests"], arm["follow_ups"]) for arm in spend["arms"].values()] == [(14, 7)] * 2
    assert spend["requests"] == 28 + 108
    shown = " ".join(plan_as_text(plan, color=False, width=80).split())
    assert "judge 108" in shown
    assert "122 of the requests are asked for scores, beyond the answers: counted coarsely" in shown
    assert "1 request of the judge for each answer and 8 canaries on each of 5 cases (s, judge)" in shown
    json.dumps(plan)


def test_a_job_that_asks_for_no_score_says_nothing_of_it(write_job: Any) -> None:
    path = write_job([{"id": "c", "input": "q", "expected": "a"}], url="http://127.0.0.1:9/v1")
    plan = plan_of(prepare(path, config_path=path.parent / "config.toml"), Said())
    assert (plan["spend"]["judge"], plan["job"]["judge"]) == (None, None)
    assert "beyond the answers" not in plan_as_text(plan, color=False, width=80)


def test_perplexity_of_the_answer_itself_asks_nobody(write_job: Any) -> None:
    more = 'also = ["perplexity"]\n'
    assert [each.label for each in asking_of(prepared(write_job, more=more), USUAL, {"s": 5.0})] == ["judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(AskingScorer):
    """A plug-in that has no first request for an answer like this."""

    judged: ClassVar[bool] = True

    def check(self, _: Case) -> str | None:
        return None

    def follow_up(self, *_: Any) -> Score | FollowUp:
        raise ScoringError("not this one")

    def canaries(self, _: Case, completion: Completion) -> Iterable[tuple[str, FollowUp]]:
        raise LookupError(completion.text)


def test_a_plug_in_that_raises_is_counted_all_the_same(write_job: Any) -> None:
    job = replace(prepared(write_job), scorers={"s": [("broken", Broken())]})
    (found,) = asking_of(job, USUAL, {"s": 5.0})
    assert (found.calls, found.chars, found.canaries) == (1, 0.0, 0)


@pytest.mark.parametrize("arm", ["candidate", "baseline"])
def test_recorded_answers_have_nobody_to_be_asked(write_job: Any, arm: str) -> None:
    path = write_job(
        [{"id": "c", "input": "q", "expected": "a"}],
        url="http://127.0.0.1:9/v1",
        more='also = [{ name = "perplexity", mode = "reference" }]',
    )
    (path.parent / "old.jsonl").write_text('{"suite": "s", "id": "c", "output": "a"}\n')
    recorded = f'[{arm}]\nendpoint = "recorded"\noutputs = "old.jsonl"\n'
    text = path.read_text().replace(f'[{arm}]\nendpoint = "up"\n', recorded)
    path.write_text(text)
    said = rf"job\.toml:\d+: suites\[0\]\.also\[0\]: it asks the model that answered, and the answers of the {arm} are"
    with pytest.raises(JobError, match=said):
        prepare(path, config_path=path.parent / "config.toml")
    path.write_text(text.replace(', mode = "reference"', ""))
    assert prepare(path, config_path=path.parent / "config.toml").answers
