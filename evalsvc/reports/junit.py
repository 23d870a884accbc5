"""JUnit XML for CI servers: a suite of the gates, then one per suite with the candidate's cases.

``<failure>`` is a graded answer that was wrong (or a gate that FAILs), ``<error>`` one that could not be judged: it
never came, its scorer raised, a required gate is open. What does not count in the decision is ``<skipped>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import regex

from evalsvc.core.records import Arm, SuiteSpec
from evalsvc.core.rows import OutcomeRow
from evalsvc.reports import format as fmt
from evalsvc.reports.inert import visible
from evalsvc.reports.rows import readable

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
#: What XML 1.0 cannot hold, however it is escaped (section 2.2, Char).
_NOT_XML = regex.compile(r"[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_TEXT = 2_000  # characters of one text
_NOISE = 1e-12  # what adding up trials may do to a score


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a suite's ``<testsuite>`` counts; ``seconds`` are those of the answers."""

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def add(self, result: CaseResult) -> None:
        """Count one case."""
        self.tests += 1
        self.failures += result.tag == "failure"
        self.errors += result.tag == "error"
        self.skipped += result.tag == "skipped"
        self.seconds += result.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One ``<testcase>``. ``tag`` is ``failure``, ``error``, ``skipped``, or empty for a pass."""

    group: str
    name: str
    seconds: float = 0.0
    tag: str = ""
    sort: str = ""
    message: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


def case_result(suite: SuiteSpec, rows: Sequence[OutcomeRow]) -> CaseResult:
    """How the candidate did on one case; ``rows`` are the answers to it, of both arms and all trials."""
    own = [row for row in rows if row.arm == Arm.CANDIDATE.value]
    tag, sort, message, shown = _judged(own, suite.scorers[0].pass_at)
    other = _mean([row for row in rows if row.arm == Arm.BASELINE.value])
    texts = {
        "input": readable(rows[0].input),
        "expected": readable(rows[0].expected),
        "answer": (shown.text or shown.refusal or readable(shown.tool_calls)) if shown else "",
        "why": (shown.explanation or shown.detail or "") if shown else "",
    }
    return CaseResult(
        group=f"{suite.name}.{rows[0].category}",
        name=rows[0].case_id,
        seconds=sum(row.latency_s or 0.0 for row in own),
        tag=tag,
        sort=sort,
        message=f"{message} (baseline {fmt.score(other)})" if tag else "",
        texts=texts if tag else {},
    )


def gate_results(record: Mapping[str, Any]) -> list[CaseResult]:
    """The gates of a record as cases."""
    return [_gate(gate) for gate in fmt.rows(record.get("gates"))]


def judge_property(record: Mapping[str, Any], suite: SuiteSpec) -> dict[str, str]:
    """What there is to say of the judge of a suite's primary scorer, where it has one."""
    judge = record.get("judge")
    asks = [(row.get("suite"), row.get("label")) for row in fmt.rows(fmt.dig(judge, "scorers"))]
    if not isinstance(judge, Mapping) or (suite.name, suite.scorers[0].label) not in asks:
        return {}
    if judge.get("trusted") is True:
        return {"judge": f"{fmt.text(judge.get('model'))} is trusted"}
    why = fmt.text(judge.get("distrust"))
    return {"judge": f"{fmt.text(judge.get('model'))} is not trusted, its scores gate nothing: {why}"}


def opening(record: Mapping[str, Any], tallies: Sequence[Tally]) -> str:
    """The head of the file and its root element; ``tallies`` are those of every suite that follows."""
    whole = Tally()
    for tally in tallies:
        whole.tests, whole.failures = whole.tests + tally.tests, whole.failures + tally.failures
        whole.errors, whole.skipped = whole.errors + tally.errors, whole.skipped + tally.skipped
        whole.seconds += tally.seconds
    name = f"{fmt.text(fmt.dig(record, 'job', 'name'))}: {fmt.text(record.get('decision'))}"
    return f"{_HEAD}<testsuites name={_attribute(name)} {_counts(whole)}>\n"


def suite_opening(name: str, tally: Tally, *, properties: Mapping[str, str]) -> str:
    """The start of one ``<testsuite>``."""
    lines = "".join(
        f"      <property name={_attribute(key)} value={_attribute(value)}/>\n" for key, value in properties.items()
    )
    block = f"    <properties>\n{lines}    </properties>\n" if lines else ""
    return f"  <testsuite name={_attribute(name)} {_counts(tally)}>\n{block}"


def test_case(result: CaseResult) -> str:
    """One ``<testcase>`` in lines."""
    head = f"classname={_attribute(result.group)} name={_attribute(result.name)} time={_seconds(result.seconds)}"
    if not result.tag:
        return f"    <testcase {head}/>\n"
    body = "\n".join(f"{label}: {_cut(text)}" for label, text in result.texts.items() if text)
    fault = f"<{result.tag} message={_attribute(result.message)}"
    fault += "" if result.tag == "skipped" else f" type={_attribute(result.sort)}"
    fault += f">{escape(_legal(body))}</{result.tag}>" if body else "/>"
    return f"    <testcase {head}>\n      {fault}\n    </testcase>\n"


def suite_closing() -> str:
    """The end of one ``<testsuite>``."""
    return "  </testsuite>\n"


def closing() -> str:
    """The end of the file."""
    return "</testsuites>\n"


def _judged(rows: Sequence[OutcomeRow], pass_at: float) -> tuple[str, str, str, OutcomeRow | None]:
    """Tag, type, message, and the answer that shows why."""
    unscored = next((row for row in rows if row.score is None), None)
    if not rows:
        return "error", "not_asked", "the candidate was not asked", None
    if unscored is not None:
        return "error", unscored.kind or "scoring_error", f"no score: {unscored.kind or 'its scorer raised'}", unscored
    mean = _mean(rows)
    assert mean is not None
    if mean >= pass_at - _NOISE:
        return "", "", "", None
    worst = min(rows, key=lambda row: row.score or 0.0)
    trials = f" over {len(rows)} trials" if len(rows) > 1 else ""
    return "failure", worst.kind or "wrong", f"score {fmt.score(mean)}{trials}, passes at {fmt.score(pass_at)}", worst


def _gate(gate: Mapping[str, Any]) -> CaseResult:
    verdict, reason = fmt.text(gate.get("verdict")), fmt.text(gate.get("reason"))
    counts = gate.get("required") is True and gate.get("waived") is None
    tag = {"PASS": "", "FAIL": "failure"}.get(verdict, "error")
    if not counts:
        tag = "skipped"
    said = f"{verdict}: {reason}" if counts else f"{verdict}, does not count: {reason}"
    return CaseResult(group="gates", name=fmt.text(gate.get("name")), tag=tag, sort=verdict, message=said)


def _mean(rows: Sequence[OutcomeRow]) -> float | None:
    scores = [row.score for row in rows if row.score is not None]
    return sum(scores) / len(scores) if scores and len(scores) == len(rows) else None


def _counts(tally: Tally) -> str:
    numbers = f'tests="{tally.tests}" failures="{tally.failures}" errors="{tally.errors}" skipped="{tally.skipped}"'
    return f"{numbers} time={_seconds(tally.seconds)}"


def _seconds(seconds: float) -> str:
    return f'"{seconds:.3f}"'


def _attribute(text: str) -> str:
    return quoteattr(_legal(_cut(text)))


def _legal(text: str) -> str:
    return _NOT_XML.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", visible(text))


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}… ({len(text) - _TEXT:,} characters more)"
