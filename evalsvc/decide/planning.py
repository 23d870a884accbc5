"""What a job can prove with the cases it has, before anybody is asked: from sizes and assumptions, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import ceil
from types import MappingProxyType

from evalsvc.core.records import GATES, GateSpec, Job, Role, Verdict
from evalsvc.decide.betting import MORE_CASES
from evalsvc.decide.compare import POWER
from evalsvc.decide.gauges import Assumptions, gauge, least_alike, paired_chance
from evalsvc.decide.sequential import LOOKED_AT
from evalsvc.decide.verdict import LEVEL, Settings
from evalsvc.stats.clusters import FEWEST_CLUSTERS
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


#: Share of the variance that lies between clusters, assumed.
ICC = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Cases that take part: by evidence, and of each category of each general suite.

    ``clusters`` are how many clusters they are of, by evidence that has some, and ``together`` how many cases the
    cluster of a case has on average, itself among them.
    """

    evidence: Mapping[str, int]
    categories: Mapping[tuple[str, str], int]
    clusters: Mapping[str, int] = field(default_factory=dict)
    together: Mapping[str, float] = field(default_factory=dict)

    def design_effect(self, evidence: str) -> float:
        """How many cases of clusters are worth one that stands for itself (Kish 1965, section 5.4), by `ICC`."""
        return 1 + (self.together.get(evidence, 1.0) - 1) * ICC


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """What one gate can show. ``None`` is what no number of cases gives, or what is not known.

    ``n`` is what it has; ``least``, ``unchanged``, ``truth``, ``effect`` and ``chance`` are as in `Gauge`; ``needed``
    cases give the chance every counted gate must have for all of them to pass with probability `POWER`. Where cases are
    of ``clusters``, the sizes are those of clusters as large as these.
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
    clusters: int | None = None

    @property
    def counted(self) -> bool:
        """Whether the decision depends on it."""
        return self.required and self.waived is None

    @property
    def possible(self) -> bool:
        """Whether any result of its cases would be a PASS."""
        enough = self.clusters is None or self.clusters >= FEWEST_CLUSTERS
        return enough and self.least is not None and self.n >= self.least


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
    """What a job can prove. ``chance`` is that of SHIP as if the gates were independent; ``each`` what a gate needs.

    ``unplanned`` are gates of plug-ins that count in the decision: what they take to PASS is theirs to know.
    """

    gates: tuple[GatePlan, ...]
    categories: tuple[CategoryPlan, ...]
    chance: float
    each: float
    unplanned: tuple[str, ...] = ()

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


def sizes_of(
    job: Job,
    counts: Mapping[str, Mapping[str, int]],
    clusters: Mapping[str, Sequence[int] | None] = MappingProxyType({}),
) -> Sizes:
    """The sizes of a job's evidence.

    Args:
        job: what is to be asked.
        counts: the cases that take part, by suite and category.
        clusters: the sizes of a suite's clusters, by suite that has some.
    """
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
    among = {
        role.value: _clusters([suite.name for suite in asked if suite.role is role], totals, clusters) for role in Role
    }
    known = {role: sizes for role, sizes in among.items() if sizes}
    return Sizes(
        evidence=evidence,
        categories=categories,
        clusters={role: len(sizes) for role, sizes in known.items()},
        together={role: sum(size * size for size in sizes) / sum(sizes) for role, sizes in known.items()},
    )


def _clusters(
    suites: Sequence[str], totals: Mapping[str, int], clusters: Mapping[str, Sequence[int] | None]
) -> list[int]:
    """The sizes of all clusters of suites, lone cases among them; none where all stand for themselves."""
    if all(clusters.get(suite) is None for suite in suites):
        return []
    return [size for suite in suites for size in clusters.get(suite) or [1] * totals[suite]]


def make_plan(job: Job, sizes: Sizes, given: Assumptions) -> JobPlan:
    """The plan of a job: every gate in the order of the record, every category of the general suites."""
    specs = {spec.name: spec for spec in job.gates}
    ordered = [specs[name] for name in GATES if name in specs]
    unplanned = tuple(unplanned_gates(job))
    each = power_each(POWER, sum(spec.required and spec.waived is None for spec in ordered))
    gates = tuple(_gate(job, spec, sizes, given, each) for spec in ordered)
    chances = [gate.chance for gate in gates if gate.counted]
    return JobPlan(
        gates=gates,
        categories=_categories(job, sizes, given),
        chance=joint_power(chances) if chances else 0.0,
        each=each,
        unplanned=unplanned,
    )


def unplanned_gates(job: Job) -> list[str]:
    """The gates of plug-ins that count in the decision."""
    return [spec.name for spec in job.gates if spec.name not in EVIDENCE and spec.required and spec.waived is None]


def _gate(job: Job, spec: GateSpec, sizes: Sizes, given: Assumptions, each: float) -> GatePlan:
    settings = settings_of(job, spec)
    found, evidence = gauge(settings, given), EVIDENCE[spec.name]
    n, stretch = sizes.evidence[evidence], _stretch(job, evidence) * sizes.design_effect(evidence)
    assert found is not None
    needed = found.needed(each if spec.required and spec.waived is None else POWER)
    judged = int(n / stretch)
    return GatePlan(
        name=spec.name,
        required=spec.required,
        waived=spec.waived,
        threshold=settings.threshold,
        evidence=evidence,
        n=n,
        least=found.least,
        unchanged=found.unchanged,
        needed=None if needed is None else ceil(needed * stretch),
        effect=found.effect(judged) if judged else None,
        truth=found.truth,
        chance=found.chance(judged),
        clusters=sizes.clusters.get(evidence),
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

    effect = sizes.design_effect(Role.GENERAL.value)
    return tuple(
        CategoryPlan(suite=suite, category=category, n=n, least_fail=least, drop=drop(int(n / effect)))
        for (suite, category), n in sizes.categories.items()
    )


def least_to_fail(job: Job, categories: int) -> int | None:
    """Fewest cases of a category that can FAIL, every one lost, beside so many categories in all (Holm)."""
    spec = next(spec for spec in job.gates if spec.name == "general_regression")
    return least_alike(settings_of(job, spec), -1, Verdict.FAIL, among=categories)
