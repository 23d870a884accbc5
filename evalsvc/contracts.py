"""What a plug-in promises, as checks for its author's tests: one call each, AssertionError for what does not hold.

::

    from evalsvc.contracts import check_format, check_gate, check_scorer

    def test_it_keeps_its_promises() -> None:
        check_scorer("shouts", Case(suite="s", id="1", category="c", input="?", expected="!"))
"""

from __future__ import annotations

import json
import math
import pickle
from array import array
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from evalsvc.core.evidence import ArmScores, ArmTotals, Evidence, LatencySamples, ScoreTable
from evalsvc.core.records import Arm, Case, Completion, GateSpec, Role, Score, ScorerSpec, Verdict
from evalsvc.decide.verdict import GateResult, Settings, gates
from evalsvc.errors import JobError, ScoringError
from evalsvc.scoring.base import AskingScorer, FollowUp, Scorer, build
from evalsvc.suites.base import FORMATS, DataSet

#: What models may answer.
ANSWERS = (
    "",
    " \n",
    "no",
    "!" * 1000,
    "[" * 10_000,
    '{"a": ' * 10_000,
    "\0\0",
    "\ud800",
    "９" * 5000,
    "NaN",
    "1e999999999",
    "😀\u202e",
    "a " * 100_000,
)
#: What files may hold.
FILES = (
    b"",
    b"\n\n",
    b"\0" * 100,
    b"[" * 100_000,
    b'{"a": ' * 10_000,
    b'{"input": "\xff"}',
    b"{}\n",
    b"null\n",
    b"PAR1",
)
_CASES = 600
#: Requests that one score may take.
_MOST_REQUESTS = 4


def check_scorer(name: str, case: Case, options: Mapping[str, Any] | None = None) -> None:
    """Check a registered scorer on a case that suits it.

    It accepts the case; every answer ends in a value within its bounds ([0, 1]), in None or in a ScoringError; the same
    answer gets the same score; the case is left as it was. A scorer that asks a model comes to its score in four
    requests at most, whatever the model says to them; one that asks a judge brings canaries.
    """
    scorer = build(ScorerSpec(name=name, label=name, options=dict(options or {})))
    lack = scorer.check(case)
    _hold(lack is None, f"check() of a case that suits it says {lack!r}")
    _hold(hasattr(case, scorer.needs), f"needs = {scorer.needs!r} is no key of a case")
    before = pickle.dumps(case)
    for text in ANSWERS:
        first = _scored(scorer, case, text)
        _hold(first == _scored(scorer, case, text), f"two scores of one answer ({text[:20]!r}) differ")
    _hold(pickle.dumps(case) == before, "score() changed the case")
    if isinstance(scorer, AskingScorer) and scorer.judged:
        _hold(bool(list(scorer.canaries(case, Completion(text="no")))), "a scorer with judged brings no canaries")
    fault = scorer.fault(case, "cut off").value
    wanted = 0 if scorer.bounds == (0.0, 1.0) else None
    _hold(fault == wanted, f"an answer that is none scores {fault}")


def _scored(scorer: Scorer, case: Case, text: str) -> float | str | None:
    try:
        score = _score(scorer, case, text)
    except ScoringError as error:
        return str(error)
    said = f"score() of {text[:20]!r}: "
    _hold(isinstance(score.explanation, str), f"{said}the explanation is no text")
    if score.value is not None:
        _hold(isinstance(score.value, float | int), f"{said}{score.value!r} is no number")
        low, high = scorer.bounds
        within = math.isfinite(score.value) and low <= score.value <= high
        _hold(within, f"{said}{score.value} is not in [{low:g}, {high:g}]")
    return score.value


def _score(scorer: Scorer, case: Case, text: str) -> Score:
    if isinstance(scorer, AskingScorer):
        return _asked(scorer, case, text)
    return scorer.score(case, Completion(text=text))


def _asked(scorer: AskingScorer, case: Case, text: str) -> Score:
    """The score where the answer is ``text`` and so is all that a model says to what it is asked."""
    said = Completion(text=text)
    found = scorer.follow_up_pair(case, said, said) if scorer.paired else scorer.follow_up(case, said)
    for _ in range(_MOST_REQUESTS):
        if isinstance(found, Score):
            return found
        _hold(isinstance(found, FollowUp), f"{found!r} is neither a Score nor a FollowUp")
        _hold((found.of == "judge") == scorer.judged, f"it asks the {found.of}, and judged is {scorer.judged}")
        try:
            json.dumps([found.messages, dict(found.params)])
        except (TypeError, ValueError) as error:
            _hold(False, f"a request cannot be sent: {error}")
        found = found.read(said)
    if isinstance(found, Score):
        return found
    raise AssertionError(f"no score after {_MOST_REQUESTS} requests")


def check_format(name: str, sample: bytes, expected: Sequence[Case], *, file: str = "sample.jsonl") -> None:
    """Check a registered format on a file of its own: it is known by its look and gives the expected cases.

    Ids are unique; a file that is not of the format is an error with the file's name or has cases, and nothing else.
    """
    format_ = FORMATS[name]
    data_set = DataSet(suite=expected[0].suite if expected else "s", name=file)
    _hold(format_.sniff(sample[:4096], file), "sniff() does not know the sample")
    read = list(format_.read(BytesIO(sample), data_set))
    _hold(read == list(expected), f"read() gives {read}")
    _hold(len({case.id for case in read}) == len(read), "two cases have one id")
    for hostile in FILES:
        _hold(isinstance(format_.sniff(hostile[:4096], file), bool), "sniff() is to say True or False")
        try:
            list(format_.read(BytesIO(hostile), data_set))
        except JobError as error:
            _hold(error.file == file, f"an error names the file {error.file!r}; use data_set.error(...)")


def check_gate(name: str, *, threshold: float, level: float = 0.95) -> None:
    """Check a registered gate: it never passes on nothing, and what it says is fit for the record.

    Without evidence and with every answer missing it must say NOT_MEASURED; on the same evidence it must say the same.
    """
    spec = GateSpec(name=name, threshold=threshold)
    settings = Settings(spec=spec, level=level)
    for made in (evidence_of({}), evidence_of({Arm.CANDIDATE: math.nan, Arm.BASELINE: math.nan})):
        verdict = _judged(made, settings).verdict
        _hold(verdict is Verdict.NOT_MEASURED, f"without any score it says {verdict}")
    for candidate in (0.0, 0.5, 1.0):
        for baseline in (0.0, 0.5, 1.0):
            made = evidence_of({Arm.CANDIDATE: candidate, Arm.BASELINE: baseline})
            _hold(_judged(made, settings) == _judged(made, settings), "two results of one evidence differ")


def _judged(evidence: Evidence, settings: Settings) -> GateResult:
    result = gates[settings.spec.name](evidence, settings)
    _hold(result.name == settings.spec.name, f"it calls itself {result.name!r}")
    _hold(result.threshold == settings.threshold, "its threshold is not the job's")
    _hold(
        (result.required, result.waived) == (settings.spec.required, settings.spec.waived), "it loses required or waive"
    )
    _hold(bool(result.claim and result.reason and result.method), "it says no claim, reason or method")
    low, high = result.interval.low, result.interval.high
    _hold(low is None or high is None or low <= high, f"its interval is upside down: {low} to {high}")
    return result


def evidence_of(rates: Mapping[Arm, float], *, cases: int = _CASES) -> Evidence:
    """Evidence of one suite a role, of so many cases each.

    ``rates`` is the share of cases each arm passes, NaN where all its answers are missing; empty: no suite at all.
    """
    each = {arm: _scores(rate, cases) for arm, rate in rates.items()}
    tables = tuple(
        ScoreTable(
            suite=role.value,
            role=role,
            label="json_schema",
            scorer="json_schema",
            primary=True,
            pass_at=1.0,
            categories=("all",),
            category=array("q", [0] * cases),
            arms=each,
        )
        for role in (Role.TARGET, Role.GENERAL, Role.ADVERSARIAL)
        if each
    )
    seen = sum(cases for rate in rates.values() if not math.isnan(rate))
    seconds = array("d", [0.1] * (cases if seen else 0))
    latency = {arm: LatencySamples(seconds=seconds, scheduled=seconds, first_token=array("d")) for arm in Arm}
    return Evidence(
        tables=tables, latency=latency, totals=dict.fromkeys(Arm, _totals(cases)), outcomes=seen, simulated=True
    )


def _scores(rate: float, cases: int) -> ArmScores:
    if math.isnan(rate):
        lost = array("d", [math.nan] * cases)
        return ArmScores(mean=lost, low=array("d", [0.0] * cases), high=array("d", [1.0] * cases))
    passed = round(rate * cases)
    scores = array("d", [1.0] * passed + [0.0] * (cases - passed))
    return ArmScores(mean=scores, low=scores, high=scores)


def _totals(cases: int) -> ArmTotals:
    return ArmTotals(
        requests=cases,
        ok=cases,
        model_error=0,
        infra_error=0,
        attempts=cases,
        retries={},
        kinds={},
        scoring_errors=0,
        repaired=0,
        served_models=(),
        fingerprints=(),
        input_tokens=None,
        output_tokens=None,
    )


def _hold(promise: bool, broken: str) -> None:
    if not promise:
        raise AssertionError(broken)
