"""What a report says about each gate: one row of words, numbers and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalsvc.reports import format as fmt
from evalsvc.reports.pictures import Claim, Forest, forest, scale_for

#: The style of each verdict and decision; anything else is drawn as ``none``.
TONES = {
    "PASS": "pass",
    "FAIL": "fail",
    "INCONCLUSIVE": "open",
    "NOT_MEASURED": "none",
    "SHIP": "pass",
    "ITERATE": "fail",
    "HOLD": "open",
}


_USUAL_LEVEL = 0.95
#: Below this p-value of "all categories differ alike" the report says that they do not.
_UNLIKE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """How a gate's numbers are written, the least half width of a picture, the good side (None: not known)."""

    write: fmt.Writer
    room: float
    above: bool | None = True
    rate: bool = False
    suffix: str = ""


_POINTS = Unit(write=fmt.points, room=0.1, suffix=" points")
_RATE = Unit(write=fmt.percent, room=0.1, rate=True)
_RATIO = Unit(write=fmt.ratio, room=1.0, above=False)
_PLAIN = Unit(write=fmt.plain_number, room=0.5, above=None)
_UNITS = {
    "target_improvement": _POINTS,
    "general_regression": _POINTS,
    "exact_match": _RATE,
    "latency_p99": _RATIO,
    "human_preference": _RATE,
    "adversarial_robustness": _RATE,
    "schema_compliance": _RATE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One gate as it is shown.

    ``aside`` says why it does not count in the decision, or is None; ``notes`` are sentences beside the reason;
    ``facts`` the fine print, label and value.
    """

    name: str
    verdict: str
    tone: str
    words: str
    claim: str
    estimate: str
    range: str
    threshold: str
    n: str
    n_needed: str | None
    reason: str
    aside: str | None
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    picture: Forest

    @property
    def spoken(self) -> str:
        """The picture in words."""
        return f"Estimate {self.estimate}, interval {self.range}, threshold {self.threshold}."


def gate_rows(record: Mapping[str, Any]) -> tuple[GateRow, ...]:
    """All gates of a record, in its order."""
    return tuple(_row(gate) for gate in fmt.rows(record.get("gates")))


def _row(gate: Mapping[str, Any]) -> GateRow:
    unit = _UNITS.get(fmt.text(gate.get("name")), _PLAIN)
    threshold, write = fmt.number(gate.get("threshold")), unit.write
    estimate = fmt.number(gate.get("estimate"))
    verdict = fmt.text(gate.get("verdict"))
    return GateRow(
        name=fmt.text(gate.get("name")),
        verdict=verdict,
        tone=TONES.get(verdict, "none"),
        words=_words(gate),
        claim=fmt.text(gate.get("claim")),
        estimate=write(estimate, near=threshold) + (unit.suffix if estimate is not None else ""),
        range=fmt.interval(gate.get("interval"), write, near=threshold),
        threshold=write(threshold),
        n=fmt.count(gate.get("n")),
        n_needed=None if fmt.number(gate.get("n_needed")) is None else fmt.count(gate.get("n_needed")),
        reason=fmt.text(gate.get("reason")),
        aside=_aside(gate),
        notes=_notes(gate, unit, threshold),
        facts=_facts(gate, unit, threshold),
        picture=_picture(gate, unit, estimate, threshold),
    )


def _picture(gate: Mapping[str, Any], unit: Unit, estimate: float | None, threshold: float | None) -> Forest:
    claim = Claim(
        estimate=estimate,
        interval=gate.get("interval"),
        envelope=gate.get("interval_missing"),
        threshold=threshold,
        above=unit.above,
        rate=unit.rate,
    )
    return forest(claim, scale_for([claim], room=unit.room), unit.write)


def _words(gate: Mapping[str, Any]) -> str:
    """The claim as a sentence; the record's own claim where the gate or its threshold is not known."""
    name, claim = fmt.text(gate.get("name")), fmt.text(gate.get("claim"))
    threshold = fmt.number(gate.get("threshold"))
    if threshold is None:
        return claim
    reached = "≥" in claim or ">=" in claim
    more = "at least" if reached else "more than"
    rate, gap = fmt.short(fmt.percent(threshold)), _gap(threshold)
    sentences = {
        "target_improvement": f"Better than the baseline by {more} {gap} on target cases",
        "general_regression": f"No drop of {gap} {'' if reached else 'or more '}on general cases",
        "exact_match": f"{more.capitalize()} {rate} of target cases pass",
        "latency_p99": f"p99 latency below {fmt.short(fmt.ratio(threshold))} the baseline's",
        "human_preference": f"People prefer the candidate in {more} {rate} of votes",
        "adversarial_robustness": f"{more.capitalize()} {rate} of adversarial cases pass",
        "schema_compliance": f"No answer breaks its schema, and {more} {rate} compliance is proven",
    }
    if name == "target_improvement" and threshold == 0:
        return "Better than the baseline on target cases"
    if (name == "general_regression" and threshold >= 0) or (name == "target_improvement" and threshold < 0):
        return claim
    return sentences.get(name, claim)


def _gap(threshold: float) -> str:
    written = fmt.short(fmt.points(abs(threshold))).removeprefix("+")
    return f"{written} point" if written == "1" else f"{written} points"


def _aside(gate: Mapping[str, Any]) -> str | None:
    waived, reason = gate.get("waived"), fmt.text(gate.get("reason"))
    if waived is not None:
        return "Waived" if str(waived) in reason else f"Waived: {waived}"
    return "Not required" if gate.get("required") is False else None


def _notes(gate: Mapping[str, Any], unit: Unit, threshold: float | None) -> tuple[str, ...]:
    found = []
    level = fmt.number(gate.get("level"))
    if level is not None and level != _USUAL_LEVEL:
        looks = ", which holds at every look" if gate.get("method") == "betting" else ""
        found.append(f"A {fmt.short(fmt.percent(level))} interval{looks}.")
    lost = {arm: fmt.number(fmt.dig(gate, "missing", arm)) or 0 for arm in ("candidate", "baseline")}
    if any(lost.values()):
        envelope = fmt.interval(gate.get("interval_missing"), unit.write, near=threshold)
        held = "" if envelope == fmt.DASH else f"; worst to best case of them {envelope}"
        found.append(f"Missing: candidate {lost['candidate']:,.0f}, baseline {lost['baseline']:,.0f}{held}.")
    companion = gate.get("p95")
    if isinstance(companion, Mapping):
        spread = fmt.interval(companion.get("interval"), fmt.ratio)
        found.append(f"Beside it, p95: {fmt.ratio(companion.get('ratio'))} ({spread}); it never decides.")
    return (*found, *_structure(gate, unit))


def _structure(gate: Mapping[str, Any], unit: Unit) -> Iterator[str]:
    """What clusters and categories do to the number, in words."""
    alike = fmt.number(fmt.dig(gate, "clusters", "icc"))
    if alike is not None:
        yield f"Judged by clusters, not by cases: those of one cluster are alike to {fmt.percent(max(0.0, alike))}."
    mix = gate.get("heterogeneity")
    chance = fmt.number(fmt.dig(mix, "p"))
    if chance is not None and chance < _UNLIKE:
        each = unit.write(fmt.number(fmt.dig(mix, "weighted_alike"))) + unit.suffix
        yield f"Its categories differ by more than chance ({fmt.p_value(chance)}); each weighted alike: {each}."


def _facts(gate: Mapping[str, Any], unit: Unit, threshold: float | None) -> tuple[tuple[str, str], ...]:
    wilson = fmt.interval(gate.get("wilson"), unit.write, near=threshold)
    return (
        ("method", fmt.text(gate.get("method"))),
        ("level", fmt.percent(gate.get("level"))),
        ("p_pass", fmt.p_value(gate.get("p_pass"))),
        ("p_fail", fmt.p_value(gate.get("p_fail"))),
        ("interval with what is missing", fmt.interval(gate.get("interval_missing"), unit.write, near=threshold)),
        ("Wilson interval", wilson),
    )
