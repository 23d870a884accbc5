"""What a job can prove with the cases it has, before anybody is asked: from sizes and assumptions, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from evalsvc.core.records import GATES, GateSpec, Job, Role, Verdict
from evalsvc.decide.betting import MORE_CASES
from evalsvc.decide.compare import POWER
from evalsvc.decide.gauges import Assumptions, gauge, least_alike, paired_chance
from evalsvc.decide.sequential import LOOKED_AT
from evalsvc.decide.verdict import LEVEL, Settings
from evalsvc.stats.power import joint_power, power_each, smallest_effect

#: What each gate is judged on.
EVIDENCE = {
    "target_improvement": "target",
    "general_regression": "general",
    "exact_match": "target",
    "latency_p99": "timed",
    "human_preference": "votes",
    "adversarial_robustness": "adversarial",
    "schema_compliance": "schema",
}
#: The level that is left for the planned end, by way of stopping.
_END_LEVEL = {"never": LEVEL, "hybrid": 0.96, "anytime": LEVEL}
#: Evidence that is scores: betting on it takes `MORE_CASES` times as much.
_SCORED = ("target", "general", "adversarial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Cases that take part: by evidence, and of each category of each general suite."""

    evidence: Mapping[str, int]
    categories: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """What one gate can show. ``None`` is what no number of cases gives, or what is not known.

    ``n`` is what it has; ``least``, ``unchanged``, ``truth``, ``effect`` and ``chance`` are as in `Gauge`; ``needed``
    cases give the chance every counted gate must have for all of them to pass with probability `POWER`.
    """

    name: str
    required: bool
    waived: str | None
    threshold: float
    evidence: str
    n: int
    least: int | None
    unchanged: int | None
    needed: int | None
    effect: float | None
    truth: float | None
    chance: float

    @property
    def counted(self) -> bool:
        """Whether the decision depends on it."""
        return self.required and self.waived is None

    @property
    def possible(self) -> bool:
        """Whether any result of its cases would be a PASS."""
        return self.least is not None and self.n >= self.least


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryPlan:
    """A category of a general suite: the ``drop`` (below 0) that becomes a FAIL with probability `POWER`, if any does.

    ``least_fail`` cases, every one lost, are the fewest that can FAIL beside all other categories (Holm).
    """

    suite: str
    category: str
    n: int
    least_fail: int | None
    drop: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What a job can prove. ``chance`` is that of SHIP as if the gates were independent; ``each`` what a gate needs."""

    gates: tuple[GatePlan, ...]
    categories: tuple[CategoryPlan, ...]
    chance: float
    each: float

    @property
    def counted(self) -> tuple[GatePlan, ...]:
        """The gates the decision depends on."""
        return tuple(gate for gate in self.gates if gate.counted)

    @property
    def lacking(self) -> Mapping[str, int]:
        """By evidence that is too little, the cases at which every counted gate on it has the chance it needs.

        Nothing where the chance of SHIP is `POWER` already: gates with more than they need make up for others.
        """
        if self.chance >= POWER:
            return {}
        has = {gate.evidence: gate.n for gate in self.counted}
        wanted: dict[str, int] = {}
        for gate in self.counted:
            if gate.needed is not None and gate.needed > gate.n:
                wanted[gate.evidence] = max(gate.needed, wanted.get(gate.evidence, 0))
        more = sum(n - has[evidence] for evidence, n in wanted.items() if evidence in _SCORED)
        if wanted.get("timed", 0) <= has.get("timed", 0) + more:
            wanted.pop("timed", None)  # what is added to the suites is answered, too
        return wanted


def sizes_of(job: Job, counts: Mapping[str, Mapping[str, int]]) -> Sizes:
    """The sizes of a job's evidence; ``counts`` are the cases that take part, by suite and category."""
    totals = {suite.name: sum(counts[suite.name].values()) for suite in job.suites}
    asked = [suite for suite in job.suites if suite.role is not Role.TRAIN]
    schema = [suite for suite in asked if any(scorer.name == "json_schema" for scorer in suite.scorers)]
    evidence = {role.value: sum(totals[suite.name] for suite in asked if suite.role is role) for role in Role}
    recorded = any(arm.recorded for arm in job.arms.values())  # such answers have no latency
    evidence["timed"] = 0 if recorded else sum(totals[suite.name] for suite in asked)
    evidence["schema"] = sum(totals[suite.name] for suite in schema)
    evidence["votes"] = 0
    general = [suite.name for suite in asked if suite.role is Role.GENERAL]
    categories = {(suite, name): n for suite in general for name, n in sorted(counts[suite].items())}
    return Sizes(evidence=evidence, categories=categories)


def make_plan(job: Job, sizes: Sizes, given: Assumptions) -> JobPlan:
    """The plan of a job: every gate in the order of the record, every category of the general suites."""
    specs = {spec.name: spec for spec in job.gates}
    ordered = [specs[name] for name in GATES if name in specs]
    each = power_each(POWER, sum(spec.required and spec.waived is None for spec in ordered))
    gates = tuple(_gate(job, spec, sizes, given, each) for spec in ordered)
    chances = [gate.chance for gate in gates if gate.counted]
    return JobPlan(
        gates=gates,
        categories=_categories(job, sizes, given),
        chance=joint_power(chances) if chances else 0.0,
        each=each,
    )


def _gate(job: Job, spec: GateSpec, sizes: Sizes, given: Assumptions, each: float) -> GatePlan:
    settings = settings_of(job, spec)
    found, evidence = gauge(settings, given), EVIDENCE[spec.name]
    n, stretch = sizes.evidence[evidence], _stretch(job, evidence)
    assert found is not None
    needed = found.needed(each if spec.required and spec.waived is None else POWER)
    judged = n // stretch
    return GatePlan(
        name=spec.name,
        required=spec.required,
        waived=spec.waived,
        threshold=settings.threshold,
        evidence=evidence,
        n=n,
        least=found.least,
        unchanged=found.unchanged,
        needed=None if needed is None else needed * stretch,
        effect=found.effect(judged) if judged else None,
        truth=found.truth,
        chance=found.chance(judged),
    )


def settings_of(job: Job, spec: GateSpec) -> Settings:
    """What a gate of the job is judged by at its planned end; the schema gate obeys the interval always."""
    evidence = "interval" if spec.name == "schema_compliance" else job.evidence
    if spec.name not in LOOKED_AT:
        return Settings(spec=spec, evidence=evidence)
    return Settings(spec=spec, evidence=evidence, level=_END_LEVEL[job.stop], anytime=job.stop == "anytime")


def _stretch(job: Job, evidence: str) -> int:
    return MORE_CASES if job.stop == "anytime" and evidence in _SCORED else 1


def _categories(job: Job, sizes: Sizes, given: Assumptions) -> tuple[CategoryPlan, ...]:
    """Every category alone, at the level Holm gives the first of them."""
    spec = next((spec for spec in job.gates if spec.name == "general_regression"), None)
    if spec is None or not sizes.categories:
        return ()
    settings = settings_of(job, spec)
    alpha = settings.alpha if settings.point else settings.alpha / len(sizes.categories)
    mirrored = replace(settings, level=1 - 2 * alpha)
    margin, least = -settings.threshold, least_to_fail(job, len(sizes.categories))

    @cache
    def drop(n: int) -> float | None:
        def chance(lost: float) -> float:
            return paired_chance(n, lost, given.general, mirrored, margin, exact=False)

        found = smallest_effect(chance, POWER, margin, 1.0)
        return None if found is None else -found

    return tuple(
        CategoryPlan(suite=suite, category=category, n=n, least_fail=least, drop=drop(n))
        for (suite, category), n in sizes.categories.items()
    )


def least_to_fail(job: Job, categories: int) -> int | None:
    """Fewest cases of a category that can FAIL, every one lost, beside so many categories in all (Holm)."""
    spec = next(spec for spec in job.gates if spec.name == "general_regression")
    return least_alike(settings_of(job, spec), -1, Verdict.FAIL, among=categories)
