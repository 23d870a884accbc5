"""Sequential stopping: what the answers up to a look settle, and what need not be asked any more.

A job that may stop is looked at again and again along its one seeded order, always at the same places and always over
all cases up to there. A look judges by betting, which stays valid however often one looks, so what a look settles stays
settled, on the cases up to it. A suite is asked no further once the required gates that rest on it are settled or
futile; the whole job ends when they all are, or when one fails. Everything here follows from the stored answers alone.

``hybrid`` spends α = 0.005 a side on the looks and 0.02 on the gate's own method at the planned end (union bound);
``anytime`` bets to the end with all of 0.025.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from evalsvc.core.evidence import Evidence, LatencySamples, ScoreTable
from evalsvc.core.records import Arm, GateSpec, Job, Role, SuiteSpec, Verdict
from evalsvc.decide.verdict import LEVEL, GateResult, Settings, gates
from evalsvc.decide.words import count

#: Gates that a look may settle. All others have no method that allows looking, and are judged at the planned end.
LOOKED_AT = (
    "target_improvement",
    "general_regression",
    "exact_match",
    "adversarial_robustness",
    "schema_compliance",
)
_ROLES = {
    "target_improvement": Role.TARGET,
    "general_regression": Role.GENERAL,
    "exact_match": Role.TARGET,
    "adversarial_robustness": Role.ADVERSARIAL,
}
#: By ``stop``: the level of a look, and of the planned end.
_LEVELS = {"hybrid": (0.99, 0.96), "anytime": (LEVEL, LEVEL)}
#: Cases between two looks: this share of all, and no fewer than `_FEWEST`.
_SHARE = 0.01
_FEWEST = 10
_SETTLED = (Verdict.PASS, Verdict.FAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """Where the looks of a job have led.

    ``planned`` are the cases of each suite; ``settled`` the gates whose result no later answer changes; ``closed`` maps
    a suite that is asked no further to the place in the job's order where its evidence ends; ``futile`` are the gates
    that were open but out of reach when their suites closed; ``reason`` is why the job ended, None while it goes on.
    """

    planned: Mapping[str, int]
    looks: int = 0
    settled: Mapping[str, GateResult] = field(default_factory=dict)
    closed: Mapping[str, int] = field(default_factory=dict)
    futile: frozenset[str] = frozenset()
    reason: str | None = None

    @property
    def open(self) -> frozenset[str]:
        """Suites still asked."""
        return frozenset(self.planned) - frozenset(self.closed)

    @property
    def every(self) -> int:
        """Cases of the job's order between two looks."""
        return max(_FEWEST, ceil(_SHARE * sum(self.planned.values())))

    @property
    def next_look(self) -> int | None:
        """How many cases of the job's order the next look takes in; None when there is none before the planned end."""
        after = (self.looks + 1) * self.every
        return after if self.reason is None and after < sum(self.planned.values()) else None


def look(job: Job, before: Stopping, tables: Sequence[ScoreTable]) -> Stopping:
    """Take the next look.

    Args:
        job: what was asked.
        before: where the looks so far have led.
        tables: the scores of the cases up to `Stopping.next_look`; those of closed suites are not looked at.
    """
    at = before.next_look
    assert at is not None
    evidence = _scores_only(tables)
    settled, futile = dict(before.settled), set[str]()
    for spec in _open(job, before):
        glanced = gates[spec.name](evidence, _glance(job, spec, before.planned))
        if glanced.verdict in _SETTLED:
            result = _judged(job, spec, evidence, at)
            settled |= {spec.name: result} if result.verdict in _SETTLED else {}
        elif glanced.verdict is Verdict.INCONCLUSIVE and glanced.futile:
            futile.add(spec.name)
    closing, reason = _closing(job, before, settled, futile)
    for spec in _open(job, before):
        if spec.name not in settled and rests_on(job, spec.name) & closing:
            settled[spec.name] = _left_open(_judged(job, spec, evidence, at), futile=spec.name in futile)
    return Stopping(
        planned=before.planned,
        looks=before.looks + 1,
        settled=settled,
        closed={**before.closed, **dict.fromkeys(sorted(closing), at)},
        futile=before.futile | (futile & settled.keys()),
        reason=reason,
    )


def rests_on(job: Job, gate: str) -> frozenset[str]:
    """Names of the suites a gate is judged on; those of a gate unknown here are all but ``train`` ones."""

    def evidence(suite: SuiteSpec) -> bool:
        if gate in _ROLES:
            return suite.role is _ROLES[gate]
        if gate == "schema_compliance" and not any(scorer.name == "json_schema" for scorer in suite.scorers):
            return False
        return suite.role is not Role.TRAIN

    if gate == "human_preference" or (gate == "latency_p99" and any(arm.recorded for arm in job.arms.values())):
        return frozenset()  # votes are no answers, and recorded answers have no latency
    return frozenset(suite.name for suite in job.suites if evidence(suite))


def judge_at_end(evidence: Evidence, job: Job, spec: GateSpec, stopping: Stopping | None) -> GateResult:
    """A gate's final result: that of the look that settled it, else what the planned end says.

    Args:
        evidence: the scores of each suite up to where it was closed.
        job: what was asked.
        spec: what it asks of the gate.
        stopping: where its looks have led; None for a job that is asked whole.
    """
    if stopping is None:
        return gates[spec.name](evidence, Settings(spec=spec, evidence=job.evidence))
    if spec.name in stopping.settled:
        return stopping.settled[spec.name]
    if rests_on(job, spec.name) & stopping.closed.keys():
        return _never_judged(gates[spec.name](evidence, _early(job, spec)))
    if spec.name not in LOOKED_AT:
        return _at(gates[spec.name](evidence, Settings(spec=spec)), None)
    level = _LEVELS[job.stop][1]
    return _at(gates[spec.name](evidence, Settings(spec=spec, level=level, anytime=job.stop == "anytime")), None)


def summary(job: Job, stopping: Stopping, evidence: Evidence) -> dict[str, Any]:
    """The record's ``sequential``."""
    prefix = {suite.name: _cases(evidence, suite.name) for suite in job.suites}
    saved = sum(stopping.planned.values()) * job.trials * len(job.arms) - evidence.outcomes
    return {
        "stop": job.stop,
        "looks": stopping.looks,
        "every": stopping.every,
        "reason": stopping.reason,
        "prefix": prefix,
        "planned": {suite.name: stopping.planned.get(suite.name, 0) for suite in job.suites},
        "futile": sorted(stopping.futile),
        "requests_saved": saved,
        "said": _said(job, stopping, prefix, saved),
    }


def _said(job: Job, stopping: Stopping, prefix: Mapping[str, int], saved: int) -> str:
    asked, planned = sum(prefix.values()), sum(stopping.planned.values())
    if stopping.reason is not None:
        return f"stopped early: {stopping.reason} after {asked:,} of {planned:,} cases; {saved:,} requests saved"
    looked = f"looked {count(stopping.looks, 'time')}"
    if stopping.closed:
        suites = ", ".join(f"{name} after {prefix[name]:,} of {stopping.planned[name]:,}" for name in stopping.closed)
        return f"{looked}: asked no more of {suites} cases; {saved:,} requests saved"
    waiting = [spec.name for spec in job.gates if _counted(spec) and spec.name not in stopping.settled]
    held = f"{', '.join(waiting)} open to the planned end" if waiting else "no gate is required"
    return f"{looked}, no request saved: {held}"


def _open(job: Job, stopping: Stopping) -> list[GateSpec]:
    """Gates a look may still settle."""
    return [
        spec
        for spec in job.gates
        if spec.name in LOOKED_AT and spec.name not in stopping.settled and rests_on(job, spec.name)
    ]


def _closing(
    job: Job, before: Stopping, settled: Mapping[str, GateResult], futile: Collection[str]
) -> tuple[frozenset[str], str | None]:
    """The suites to ask no further, and why the job ends if it does.

    A suite that no required gate rests on is asked as long as the job goes on.
    """
    counted = [spec.name for spec in job.gates if _counted(spec)]
    failed = [name for name in counted if name in settled and settled[name].verdict is Verdict.FAIL]
    if failed:
        return before.open, f"{', '.join(failed)} {'fails' if len(failed) == 1 else 'fail'}"
    watched = frozenset[str]().union(*(rests_on(job, name) for name in counted))
    undecided = [name for name in counted if name not in settled and name not in futile]
    waiting = frozenset[str]().union(*(rests_on(job, name) for name in undecided))
    if not watched or waiting:
        return (watched - waiting) & before.open, None
    given_up = [name for name in counted if name in before.futile or name in futile]
    apart = [name for name in counted if not rests_on(job, name)]
    reason = "every required gate is decided" + (f" or futile ({', '.join(given_up)})" if given_up else "")
    return before.open, reason + (f", but for {', '.join(apart)}" if apart else "")


def _counted(spec: GateSpec) -> bool:
    return spec.required and spec.waived is None


def _early(job: Job, spec: GateSpec) -> Settings:
    return Settings(spec=spec, level=_LEVELS[job.stop][0], anytime=True)


def _glance(job: Job, spec: GateSpec, planned: Mapping[str, int]) -> Settings:
    cases = sum(planned[suite] for suite in rests_on(job, spec.name))
    return replace(_early(job, spec), glance=True, planned=cases)


def _judged(job: Job, spec: GateSpec, evidence: Evidence, at: int) -> GateResult:
    return _at(gates[spec.name](evidence, _early(job, spec)), at)


def _at(result: GateResult, at: int | None) -> GateResult:
    """Where in the job's order it was judged; None: at the planned end."""
    return replace(result, extra={**result.extra, "judged_at": at})


def _left_open(result: GateResult, *, futile: bool) -> GateResult:
    """What a gate says whose cases were asked no further before it was settled."""
    if result.verdict in _SETTLED:
        return result
    if not futile:
        return _because(result, "no more of its cases were asked")
    given_up = _because(result, "even an effect that the planned cases could just show is out of reach")
    return replace(given_up, n_needed=None, needs="a better candidate: more cases are unlikely to make this one pass")


def _never_judged(result: GateResult) -> GateResult:
    """A gate without a method for looks says nothing where the job stopped: when it did depends on what was seen."""
    verdict = Verdict.INCONCLUSIVE if result.verdict in _SETTLED else result.verdict
    told = _because(_at(result, None), "it is judged on all planned cases or not at all")
    return replace(told, verdict=verdict, n_needed=None, needs="a run that asks all planned cases would judge it")


def _because(result: GateResult, why: str) -> GateResult:
    return replace(result, reason=f"{result.reason.removesuffix('.')}; {why}.")


def _scores_only(tables: Sequence[ScoreTable]) -> Evidence:
    none = LatencySamples(seconds=array("d"), scheduled=array("d"), first_token=array("d"))
    return Evidence(tables=tuple(tables), latency=dict.fromkeys(Arm, none), totals={}, outcomes=0, simulated=False)


def _cases(evidence: Evidence, suite: str) -> int:
    return next((len(table.category) for table in evidence.tables if table.suite == suite and table.primary), 0)
