"""The contracts for plug-ins hold for what evalsvc brings, and each broken promise is found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, BinaryIO, ClassVar, cast

import pytest

from evalsvc.contracts import check_format, check_gate, check_scorer, evidence_of
from evalsvc.core.evidence import Evidence
from evalsvc.core.records import GATES, Arm, Case, Completion, GateSpec, Score, Verdict
from evalsvc.core.registry import Registry
from evalsvc.decide.verdict import GateResult, Settings, gates
from evalsvc.scoring.base import SCORERS, AskingScorer, FollowUp, Scorer
from evalsvc.suites.base import FORMATS, DataSet

CASE = Case(suite="s", id="1", category="uncategorized", input="?", expected="18", line=1)
SAMPLE = b'{"id": "1", "input": "?", "ideal": "18"}\n'
ASKS = FollowUp(
    step="", of="judge", messages=[{"role": "user", "content": "?"}], read=lambda _: Score(value=1.0, explanation="")
)
_turns = count()


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[[Registry[Any], Any], str]:
    """Registers a plug-in for one test; gives its name."""

    def register(registry: Registry[Any], plugin: Any) -> str:
        monkeypatch.setitem(registry._known, "mine", plugin)
        return "mine"

    return register


@pytest.mark.parametrize("name", ["exact_match", "numeric", "f1", "json_schema"])
def test_scorers_of_the_house_keep_it(name: str) -> None:
    check_scorer(name, replace(CASE, schema={"type": "integer"}))


def test_a_format_of_the_house_keeps_it() -> None:
    case = replace(CASE, id="c9f2b59f218b3fc5", metadata={"id": "1"})
    check_format("openai-evals", SAMPLE, [case])


@pytest.mark.parametrize("name", GATES)
def test_gates_of_the_house_keep_it(name: str) -> None:
    check_gate(name, threshold=2.0 if name == "latency_p99" else 0.5)


def scoring(value: Callable[[Case, str], Any], lack: str | None = None, at_fault: float = 0.0) -> type[Scorer]:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Mine(Scorer):
        made: ClassVar[Any] = staticmethod(value)

        def check(self, case: Case) -> str | None:  # noqa: ARG002
            return lack

        def score(self, case: Case, completion: Completion) -> Score:
            return Score(value=self.made(case, completion.text))

        def fault(self, case: Case, why: str) -> Score:  # noqa: ARG002
            return Score(value=at_fault, explanation=why)

    return Mine


def changing(case: Case, text: str) -> float:
    assert isinstance(case.metadata, dict)
    case.metadata[text] = 1
    return 0.0


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (scoring(lambda _, text: float(len(text))), r"is not in \[0, 1\]"),
        (scoring(lambda *_: math.nan), r"is not in \[0, 1\]"),
        (scoring(lambda *_: "1"), "is no number"),
        (scoring(lambda *_: next(_turns) % 2), "two scores of one answer"),
        (scoring(changing), "changed the case"),
        (scoring(lambda *_: 0.0, lack="has no heart"), "has no heart"),
        (scoring(lambda *_: 0.0, at_fault=1.0), "an answer that is none scores 1.0"),
    ],
)
def test_what_a_scorer_must_not_do(plug: Any, plugin: type[Scorer], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_scorer(plug(SCORERS, plugin), replace(CASE, metadata={}))


def test_a_scorer_that_raises_something_else(plug: Any) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        check_scorer(plug(SCORERS, scoring(lambda _, text: float(text))), CASE)


@pytest.mark.parametrize("name", ["judge", "judge_pair", "perplexity"])
def test_scorers_of_the_house_that_ask_keep_it(name: str) -> None:
    check_scorer(name, CASE, {} if name == "perplexity" else {"rubric": "Is it right?"})


def asking(
    request: Callable[[], Score | FollowUp], *, canaries: Sequence[tuple[str, FollowUp]] = (("null", ASKS),)
) -> type[AskingScorer]:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Asking(AskingScorer):
        judged: ClassVar[bool] = True

        def check(self, case: Case) -> str | None:  # noqa: ARG002
            return None

        def follow_up(self, case: Case, completion: Completion) -> Score | FollowUp:  # noqa: ARG002
            return request()

        def canaries(self, case: Case, completion: Completion) -> Iterable[tuple[str, FollowUp]]:  # noqa: ARG002
            return canaries

    return Asking


def forever() -> FollowUp:
    return replace(ASKS, read=lambda _: forever())


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (asking(forever), "no score after 4 requests"),
        (asking(lambda: replace(ASKS, of="model")), "it asks the model, and judged is True"),
        (asking(lambda: replace(ASKS, messages=[{"role": "user", "content": {1, 2}}])), "a request cannot be sent"),
        (asking(lambda: ASKS, canaries=()), "brings no canaries"),
        (asking(lambda: replace(ASKS, read=lambda _: Score(value=2.0))), r"is not in \[0, 1\]"),
        (asking(lambda: replace(ASKS, read=lambda said: cast("Any", said.text))), "is neither a Score nor a FollowUp"),
    ],
)
def test_what_a_scorer_that_asks_must_not_do(plug: Any, plugin: type[Scorer], said: str) -> None:
    check_scorer(plug(SCORERS, asking(lambda: ASKS)), CASE)
    with pytest.raises(AssertionError, match=said):
        check_scorer(plug(SCORERS, plugin), CASE)


class Mine:
    """A format that keeps its promises unless a test says otherwise."""

    def __init__(self, cases: list[Case], *, sniff: bool = True, breaks: bool = False) -> None:
        self.cases, self.known, self.breaks = cases, sniff, breaks

    def sniff(self, head: bytes, name: str) -> bool:  # noqa: ARG002
        return self.known

    def read(self, file: BinaryIO, data_set: DataSet) -> Iterator[Case]:
        if file.read() != SAMPLE and self.breaks:
            raise KeyError(data_set.name)
        yield from self.cases


@pytest.mark.parametrize(
    ("plugin", "expected", "error", "said"),
    [
        (Mine([CASE], sniff=False), [CASE], AssertionError, "does not know the sample"),
        (Mine([CASE], sniff=cast(bool, 1)), [CASE], AssertionError, "True or False"),
        (Mine([replace(CASE, input="!")]), [CASE], AssertionError, r"read\(\) gives"),
        (Mine([CASE, CASE]), [CASE, CASE], AssertionError, "two cases have one id"),
        (Mine([CASE], breaks=True), [CASE], KeyError, "sample.jsonl"),
    ],
)
def test_what_a_format_must_not_do(
    plug: Any, plugin: Mine, expected: list[Case], error: type[Exception], said: str
) -> None:
    check_format(plug(FORMATS, Mine([CASE])), SAMPLE, [CASE])
    with pytest.raises(error, match=said):
        check_format(plug(FORMATS, plugin), SAMPLE, expected)


def judging(**changes: Any) -> Callable[[Evidence, Settings], GateResult]:
    def judge(evidence: Evidence, settings: Settings) -> GateResult:
        found = gates["exact_match"](evidence, settings)
        return replace(found, **{"name": "mine", **{key: made(found) for key, made in changes.items()}})

    return judge


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": lambda _: Verdict.PASS}, "without any score it says PASS"),
        ({"verdict": lambda _: Verdict.INCONCLUSIVE}, "without any score it says INCONCLUSIVE"),
        ({"name": lambda _: "exact_match"}, "it calls itself 'exact_match'"),
        ({"threshold": lambda _: 0.1}, "its threshold is not the job's"),
        ({"required": lambda _: False}, "loses required"),
        ({"reason": lambda _: ""}, "no claim, reason or method"),
        ({"interval": lambda found: type(found.interval)(0.9, 0.1)}, "upside down"),
        ({"n": lambda _: next(_turns)}, "two results of one evidence differ"),
    ],
)
def test_what_a_gate_must_not_do(plug: Any, changes: dict[str, Any], said: str) -> None:
    check_gate(plug(gates, judging()), threshold=0.5)
    with pytest.raises(AssertionError, match=said):
        check_gate(plug(gates, judging(**changes)), threshold=0.5)


def test_the_evidence_that_is_made_says_what_it_should() -> None:
    settings = Settings(spec=GateSpec(name="exact_match", threshold=0.85))
    found = {
        rate: gates["exact_match"](evidence_of({Arm.CANDIDATE: rate, Arm.BASELINE: 0.5}), settings).verdict
        for rate in (0.5, 0.85, 1.0)
    }
    assert found == {0.5: Verdict.FAIL, 0.85: Verdict.INCONCLUSIVE, 1.0: Verdict.PASS}
