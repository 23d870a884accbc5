"""What a job can prove and what it will cost, before it is run; with a pilot, from what a few cases teach."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evalsvc.app.follow_ups import Asking, asking_of, beyond_of
from evalsvc.app.logprobs import without_logprobs
from evalsvc.app.prepare import PreparedJob
from evalsvc.app.spend import (
    JUDGE,
    ArmSpend,
    Spend,
    Usual,
    judge_after,
    prompt_chars,
    spend,
    usual_after,
    usual_before,
)
from evalsvc.core.evidence import Evidence
from evalsvc.core.records import Role, SuiteSpec
from evalsvc.decide.gauges import Assumptions
from evalsvc.decide.pilot import Truth, facts, learn, stated
from evalsvc.decide.plan_words import plan_warnings, summary
from evalsvc.decide.planning import ICC, JobPlan, Sizes, make_plan, sizes_of
from evalsvc.engine.plan import planned_positions
from evalsvc.reports import plan_text
from evalsvc.reports.inert import plain

SCHEMA = "evalsvc.plan/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the command line says about the truth; None leaves it to the pilot, or to what is usual."""

    discordance: float | None = None
    rate: float | None = None
    improvement: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The cases that take part: by suite and category, and the characters of their prompts by suite.

    ``clusters`` are the sizes of a suite's clusters, None where its cases stand for themselves.
    """

    counts: Mapping[str, Mapping[str, int]]
    chars: Mapping[str, int]
    clusters: Mapping[str, Sequence[int] | None]

    def cases(self, suite: str) -> int:
        """Cases of one suite."""
        return sum(self.counts[suite].values())

    @property
    def total(self) -> tuple[int, int]:
        """Cases and characters of all suites."""
        return sum(map(self.cases, self.counts)), sum(self.chars.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """A finished pilot: its job's id, its cases and the characters of their prompts, and what it saw."""

    job_id: str
    asked: Asked
    evidence: Evidence


def warnings_before(prepared: PreparedJob) -> list[str]:
    """What keeps gates from PASS, or answers from a score, whatever the models do; safe to print.

    It is said before anything is asked.
    """
    asked = asked_of(prepared)
    sizes = sizes_of(prepared.job, asked.counts, asked.clusters)
    found = [*plan_warnings(prepared.job, sizes, Assumptions()), *without_logprobs(prepared)]
    return [plain(warning) for warning in found]


def plan_of(prepared: PreparedJob, said: Said, pilot: Pilot | None = None) -> dict[str, Any]:
    """The plan as one JSON-ready dict (schema `SCHEMA`); what it rests on stands in ``assumptions``."""
    job, asked = prepared.job, asked_of(prepared)
    truth = stated(Truth() if pilot is None else learn(pilot.evidence, job), **asdict(said))
    sizes, usual = sizes_of(job, asked.counts, asked.clusters), _usual(prepared, pilot, truth)
    made = make_plan(job, sizes, truth.assumptions)
    asking = asking_of(
        prepared, usual, {suite: asked.chars[suite] / max(1, asked.cases(suite)) for suite in asked.chars}
    )
    return {
        "schema": SCHEMA,
        "job": {
            "name": job.name,
            "spec_sha256": job.spec_sha256,
            "trials": job.trials,
            "limit": job.limit,
            "stop": job.stop,
            "arms": {arm: {"endpoint": spec.endpoint, "model": spec.model} for arm, spec in job.arms.items()},
            "judge": None if job.judge is None else {"endpoint": job.judge.endpoint, "model": job.judge.model},
            "suites": [
                {"name": suite.name, "role": suite.role, "cases": asked.cases(suite.name)}
                | {"dataset": suite.dataset, "format": prepared.formats[suite.name]}
                for suite in job.suites
            ],
        },
        "gates": [{**asdict(gate), "counted": gate.counted, "possible": gate.possible} for gate in made.gates],
        "categories": [asdict(category) for category in made.categories],
        "chance": made.chance,
        "chance_each": made.each,
        "spend": _as_json(_spend(prepared, asked, usual, asking)),
        "proposed": {"sizes": made.lacking, "spend": _proposed(prepared, asked, usual, asking, made)},
        "assumptions": [*map(asdict, facts(truth, made)), *_alike(sizes), *_habits(prepared, usual), *_asks(asking)],
        "pilot": None if pilot is None else {"job": pilot.job_id, "cases": pilot.asked.total[0]},
        "warnings": [
            *plan_warnings(job, sizes, truth.assumptions),
            *without_logprobs(prepared),
            *prepared.warnings,
        ],
        "summary": summary(made),
    }


def plan_as_text(plan: Mapping[str, Any], *, color: bool, width: int) -> str:
    """The plan for a terminal."""
    return plan_text.render(plan, color=color, width=width)


def asked_of(prepared: PreparedJob) -> Asked:
    """The cases of a job that take part."""
    positions: Mapping[str, array[int] | None] = dict.fromkeys(prepared.counts)
    if prepared.job.limit is not None:
        positions = planned_positions(prepared.counts, seed=prepared.job.seed, limit=prepared.job.limit)
    found = {suite: prepared.census[suite].taking_part(places) for suite, places in positions.items()}
    return Asked(
        counts={suite: counts for suite, (counts, _) in found.items()},
        chars={suite: chars for suite, (_, chars) in found.items()},
        clusters={suite: prepared.census[suite].cluster_sizes(places) for suite, places in positions.items()},
    )


def _usual(prepared: PreparedJob, pilot: Pilot | None, truth: Truth) -> dict[str, Usual]:
    """By arm, and `JUDGE` where the job has one."""
    job = prepared.job
    usual: dict[str, Usual] = {arm: usual_before(spec) for arm, spec in job.arms.items()}
    if job.judge is not None:
        usual[JUDGE] = judge_after(usual_before(job.judge), None if pilot is None else pilot.evidence.asked_judge)
    if pilot is None:
        return usual
    cases, chars = pilot.asked.total
    return usual | {
        arm: usual_after(
            usual[arm],
            pilot.evidence.totals[arm],
            chars=prompt_chars(job, arm, cases=cases, chars=chars),
            answer_s=truth.seconds.get(arm),
        )
        for arm in job.arms
    }


def _spend(
    prepared: PreparedJob,
    asked: Asked,
    usual: Mapping[str, Usual],
    asking: Sequence[Asking],
    made: JobPlan | None = None,
) -> Spend:
    """What the job costs; with a plan, what it would at the sizes that proposes."""
    growth = {suite.name: _growth(suite, made) for suite in prepared.job.suites}
    cases = {suite: more * asked.cases(suite) for suite, more in growth.items()}
    return spend(
        prepared.job,
        prepared.endpoints,
        usual,
        cases=round(sum(cases.values())),
        chars=round(sum(more * asked.chars[suite] for suite, more in growth.items())),
        beyond=beyond_of(asking, cases, prepared.job.trials),
    )


def _proposed(
    prepared: PreparedJob, asked: Asked, usual: Mapping[str, Usual], asking: Sequence[Asking], made: JobPlan
) -> dict[str, Any] | None:
    """What the proposed sizes cost; None where nothing is proposed, or where it is open which suites are to grow."""
    sizes = {evidence for evidence in made.lacking if evidence != "votes"}
    grow = {suite.role.value for suite in prepared.job.suites}
    if not sizes or not sizes <= grow:
        return None
    return _as_json(_spend(prepared, asked, usual, asking, made))


def _growth(suite: SuiteSpec, made: JobPlan | None) -> float:
    """How many times its cases a suite of this role should have."""
    if made is None or suite.role is Role.TRAIN:
        return 1.0
    wanted = made.lacking.get(suite.role.value)
    has = next((gate.n for gate in made.gates if gate.evidence == suite.role.value), 0)
    return 1.0 if wanted is None or not has else wanted / has


def _as_json(cost: Spend) -> dict[str, Any]:
    return {
        "requests": cost.requests,
        "cost": cost.cost,
        "seconds": cost.seconds,
        "bound": cost.bound,
        "arms": {arm: _arm_as_json(each) for arm, each in cost.arms.items()},
        "judge": None if cost.judge is None else _arm_as_json(cost.judge),
    }


def _arm_as_json(each: ArmSpend) -> dict[str, Any]:
    return {
        "requests": each.requests,
        "follow_ups": each.follow_ups,
        "tokens": {"input": round(each.input_tokens), "output": round(each.output_tokens)},
        "cost": each.cost,
    }


def _alike(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """How much the cases of a cluster are worth less than as many that stand for themselves."""
    for evidence, clusters in sizes.clusters.items():
        n, effect = sizes.evidence[evidence], sizes.design_effect(evidence)
        words = (
            f"{ICC:.0%} of the variance lies between the {clusters:,} clusters of {evidence} cases: "
            f"{n:,} cases are worth about {n / effect:,.0f}"
        )
        yield {"name": f"icc_{evidence}", "value": ICC, "words": words, "source": "assumed"}


def _habits(prepared: PreparedJob, usual: Mapping[str, Usual]) -> Iterator[dict[str, Any]]:
    """What the cost rests on, arm by arm, then the judge."""
    recorded = [arm for arm, spec in prepared.job.arms.items() if spec.recorded]
    for whom, each in usual.items():
        if whom in recorded:
            continue
        for name, value, words, source in (
            ("chars_a_token", each.chars_a_token, f"{each.chars_a_token:.3g} characters a token", each.chars_from),
            ("answer_tokens", each.answer_tokens, f"{each.answer_tokens:.4g} tokens an answer", each.tokens_from),
            ("answer_s", each.answer_s, f"{each.answer_s:.3g} s an answer", each.seconds_from),
        ):
            said = f"{whom}: {words}"
            yield {"name": f"{name}_{whom}", "value": value, "words": said, "source": source}


def _asks(asking: Sequence[Asking]) -> Iterator[dict[str, Any]]:
    """How what scores ask beyond the answers is counted."""
    for each in asking:
        name = f"follow_ups_{each.suite}_{each.label}"
        yield {"name": name, "value": each.calls, "words": each.words(), "source": "follow-ups, counted coarsely"}
