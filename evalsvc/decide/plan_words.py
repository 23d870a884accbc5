"""A plan in words: warnings that hold whatever the models do, and what it all comes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import floor

from evalsvc.core.records import GateSpec, Job
from evalsvc.decide.compare import POWER
from evalsvc.decide.gauges import TIES, Assumptions, Gauge, gauge
from evalsvc.decide.planning import (
    EVIDENCE,
    GatePlan,
    JobPlan,
    Sizes,
    least_to_fail,
    settings_of,
    unplanned_gates,
)
from evalsvc.decide.verdict import Settings
from evalsvc.decide.words import limit, percent
from evalsvc.stats.clusters import FEWEST_CLUSTERS
from evalsvc.stats.paired import point_rule_pass_probability
from evalsvc.stats.search import first_true

#: Names of categories a warning lists before it only counts.
_NAMED = 5
#: Evidence by name: one of it, many of it, what is said where there is none, and what would bring some.
_NOUNS = {
    "target": ("target case", "target cases", "the job has no target suite", "Add one"),
    "general": ("general case", "general cases", "the job has no general suite", "Add one"),
    "adversarial": ("adversarial case", "adversarial cases", "the job has no adversarial suite", "Add one"),
    "timed": ("case", "cases", "no answer will have a latency", "Ask both models"),
    "schema": (
        "case scored by json_schema",
        "cases scored by json_schema",
        "no suite is scored by json_schema",
        "Score one by it",
    ),
    "votes": ("vote", "votes", "there are no votes", "Collect blind votes"),
}
#: What the best result of each gate looks like.
_PERFECT = {
    "target_improvement": ", every one won,",
    "general_regression": ", every one won,",
    "exact_match": ", all passing,",
    "latency_p99": ", answered by both arms,",
    "adversarial_robustness": ", all passing,",
    "schema_compliance": " without a failure",
}
#: The key of each gate's threshold, its sign in the record, and the way that makes it easier.
_KEYS = {
    "target_improvement": ("margin", 1, "less"),
    "general_regression": ("margin", -1, "more"),
    "exact_match": ("threshold", 1, "less"),
    "adversarial_robustness": ("threshold", 1, "less"),
    "schema_compliance": ("floor", 1, "less"),
}
#: What the binary fraction of a thousandth may lack.
_ROUNDING = 1e-6


def plan_warnings(job: Job, sizes: Sizes, given: Assumptions) -> list[str]:
    """What keeps a counted gate from PASS, or a category from FAIL, whatever the models do.

    Each names the gate, what it has, what it needs at least and what to do. Only the point rule's false alarms, and how
    many votes to collect, rest on assumptions.
    """
    counted = [spec for spec in job.gates if spec.required and spec.waived is None and spec.name in EVIDENCE]
    found = [warning for spec in counted for warning in _warnings(job, spec, sizes, given)]
    found += [
        f"{name} is the gate of a plug-in: what it takes to PASS cannot be planned, and the decision depends on it."
        for name in unplanned_gates(job)
    ]
    if any(spec.name == "general_regression" for spec in counted):
        found += _small_categories(job, sizes)
    return found


def summary(plan: JobPlan) -> list[str]:
    """What it comes to: whether the job can SHIP and with what chance, then how many cases would do."""
    counted = plan.counted
    if not counted and plan.unplanned:
        return [f"This job can SHIP if {_listed(plan.unplanned)} PASS; what a plug-in's gate takes cannot be planned."]
    if not counted:
        return ["This job cannot SHIP: no gate is required."]
    blocked = [gate.name for gate in counted if not gate.possible]
    if blocked:
        first = f"This job cannot SHIP, whatever the models do: {_listed(blocked)} cannot PASS."
    else:
        gates = f"all {len(counted)} required gates are" if len(counted) > 1 else f"{counted[0].name} is"
        first = (
            f"This job can SHIP only if {gates} PASS; chance of that if the candidate is truly {_truths(counted)}: "
            f"{chance_in_words(plan.chance)}{_besides(plan)}."
        )
    return [first, *_proposal(plan)]


def _besides(plan: JobPlan) -> str:
    """What the chance does not know of."""
    return f", if {_listed(plan.unplanned)} PASS, too (of a plug-in: not planned)" if plan.unplanned else ""


def chance_in_words(chance: float) -> str:
    """``63%``, ``<1%``, ``>99%``: a chance is never said to be certain unless it is 0."""
    if chance == 0:
        return "0%"
    return ">99%" if chance > 0.99 else "<1%" if chance < 0.01 else f"{chance:.0%}"


def _warnings(job: Job, spec: GateSpec, sizes: Sizes, given: Assumptions) -> Iterator[str]:
    settings, evidence = settings_of(job, spec), EVIDENCE[spec.name]
    meter, n = gauge(settings, given), sizes.evidence[evidence]
    assert meter is not None
    clusters = sizes.clusters.get(evidence)
    if not n:
        yield _unmeasured(settings, meter, evidence)
    elif clusters is not None and clusters < FEWEST_CLUSTERS:
        are = f"{_count(n, evidence)} are of {clusters} {'cluster' if clusters == 1 else 'clusters'}"
        more = f"Add cases of {FEWEST_CLUSTERS - clusters} more"
        lack = f"its {are}, and fewer than {FEWEST_CLUSTERS} prove nothing"
        yield f"{spec.name} cannot PASS at any result: {lack}. {_remedy(settings, more, None)}"
    elif meter.least is None:
        lack = f"no number of cases proves {_claim(settings)}"
        yield f"{spec.name} cannot PASS at any result: {lack}. {_remedy(settings, None, _retreat(settings, n))}"
    elif n < meter.least:
        lack = f"it has {_count(n, evidence)}, and {meter.least}{_PERFECT[spec.name]} are the least that prove"
        remedy = _remedy(settings, _add(job, meter.least - n), _retreat(settings, n))
        yield f"{spec.name} cannot PASS at any result: {lack} {_claim(settings)}. {remedy}"
    elif spec.name == "general_regression" and (meter.unchanged is None or n < meter.unchanged):
        yield _needs_wins(job, settings, meter.unchanged, n)
    if n and settings.point and spec.name == "target_improvement":
        discordance = given.target.discordance
        often = percent(point_rule_pass_probability(n, discordance, settings.threshold))
        yield (
            f"{spec.name} is judged by the point rule, which passes it {often} of the time when the truth is no "
            f"difference ({_count(n, evidence)}, {percent(discordance)} of them different between the arms)."
        )


def _unmeasured(settings: Settings, meter: Gauge, evidence: str) -> str:
    _, _, lack, remedy = _NOUNS[evidence]
    votes = meter.needed(POWER) if evidence == "votes" else None
    if votes is not None:
        remedy += f" (about {votes:,} if {percent(meter.truth)} prefer the candidate and {percent(TIES)} are ties)"
    return f"{settings.spec.name} will be NOT_MEASURED: {lack}. {_remedy(settings, remedy, None)}"


def _needs_wins(job: Job, settings: Settings, unchanged: int | None, n: int) -> str:
    start = f"{settings.spec.name} cannot PASS unless the candidate is better:"
    change = _retreat(settings, n, unchanged=True)
    if unchanged is None:
        lack = f"no number of cases proves {_claim(settings)} between models that are alike"
        return f"{start} {lack}. {_remedy(settings, None, change)}"
    lack = f"it has {_count(n, 'general')}, and {unchanged} with no answer different are the least that prove"
    return f"{start} {lack} {_claim(settings)}. {_remedy(settings, _add(job, unchanged - n), change)}"


def _small_categories(job: Job, sizes: Sizes) -> Iterator[str]:
    """Categories in which no regression, however bad, would be seen."""
    among = len(sizes.categories)
    least = least_to_fail(job, among) if among else 0
    small = [name for (_, name), n in sizes.categories.items() if least is None or n < least]
    if not small:
        return
    named = ", ".join(small[:_NAMED]) + (f" and {len(small) - _NAMED} more" if len(small) > _NAMED else "")
    many = "1 category" if len(small) == 1 else f"{len(small)} categories"
    remedy = "Change its margin" if least is None else f"Give each at least {least} cases, or merge them"
    yield (
        f"general_regression cannot see a regression in {many} of {among}: even if every answer got worse they would "
        f"not FAIL beside the others (Holm). {remedy}: {named}."
    )


def _claim(settings: Settings) -> str:
    """What is to be proven, as the object of a sentence."""
    size = limit(abs(settings.threshold))
    if settings.spec.name == "target_improvement":
        return f"an improvement of more than {size} points" if settings.threshold else "an improvement"
    if settings.spec.name == "general_regression":
        return f"that there is no drop of {size} points" if settings.threshold else "that there is no drop"
    return "a p99" if settings.spec.name == "latency_p99" else f"more than {size}%"


def _remedy(settings: Settings, add: str | None, change: str | None) -> str:
    """All that would help: more evidence, another threshold, or the gate out of the decision."""
    sets = ", ".join([*([change] if change else []), "required = false"])
    place = f'n [gates.{settings.spec.name}] set {sets} or waive = "reason".'
    return f"{add}, or i{place}" if add else f"I{place}"


def _add(job: Job, more: int) -> str:
    return f"Add {more:,} {'case' if more == 1 else 'cases'}" + ("" if job.limit is None else " (or raise --limit)")


def _retreat(settings: Settings, n: int, *, unchanged: bool = False) -> str | None:
    """The nearest threshold, in thousandths, that ``n`` cases could prove; None where there is none."""
    name = settings.spec.name
    key, sign, word = _KEYS.get(name, (None, 1, ""))
    if key is None:
        return None
    start, lowest = floor(1000 * settings.threshold + _ROUNDING), 0 if sign > 0 else -999

    def proves(steps: int) -> bool:
        eased = replace(settings, spec=replace(settings.spec, threshold=(start - steps) / 1000))
        meter = gauge(eased, Assumptions())
        least = None if meter is None else meter.unchanged if unchanged else meter.least
        return least is not None and least <= n

    steps = first_true(proves, 0, start - lowest + 1)
    return None if start - steps < lowest else f"{key} to {sign * (start - steps) / 1000:.3f} or {word}"


def _count(n: int, evidence: str) -> str:
    one, many, _, _ = _NOUNS[evidence]
    return f"{n:,} {one if n == 1 else many}"


def _truths(gates: Sequence[GatePlan]) -> str:
    """What the chance assumes of the candidate."""
    said = {gate.name: gate.truth or 0.0 for gate in gates}
    rates = (("exact_match", "target"), ("adversarial_robustness", "adversarial"))
    parts = []
    if "target_improvement" in said:
        parts.append(f"{100 * said['target_improvement']:+.4g} points")
    right = [f"{100 * said[name]:.4g}% of {role}" for name, role in rates if name in said]
    if right:
        parts.append(f"right on {_listed(right)} cases")
    if "general_regression" in said:
        parts.append("unchanged on general cases")
    if "latency_p99" in said:
        ratio = said["latency_p99"]
        parts.append("as fast" if ratio == 1 else f"at {ratio:.2f} times the latency")
    return _listed(parts) if parts else "as assumed"


def _proposal(plan: JobPlan) -> list[str]:
    has, lacking = {gate.evidence: gate.n for gate in plan.counted}, plan.lacking
    hopeless = [gate.name for gate in plan.counted if gate.needed is None]
    said = []
    if lacking:
        wanted = _listed([f"{_count(n, evidence)} (now {has[evidence]:,})" for evidence, n in lacking.items()])
        said.append(f"For a chance of {POWER:.0%} it needs {wanted}.")
    elif not hopeless:
        said.append(f"These sizes are enough for a chance of {POWER:.0%}.")
    if hopeless:
        said.append(f"If the truth is as assumed, no number of cases is enough for {_listed(hopeless)}.")
    return said


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
