"""What scores will ask beyond the answers, before anybody is asked: coarsely, by the first case of each suite."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from evalsvc.app.prepare import PreparedJob
from evalsvc.app.spend import JUDGE, Beyond, Usual, most_tokens
from evalsvc.core.records import Arm, Case, Completion, Score, SuiteSpec
from evalsvc.engine.follow_ups import TRIED
from evalsvc.engine.plan import chars_of
from evalsvc.engine.replay import RAISED
from evalsvc.scoring.base import AskingScorer, FollowUp

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What one scorer of a suite asks.

    ``calls`` requests a score, each of ``chars`` characters and replied to with ``output_tokens``, for the answers of
    ``arms`` (those of a pair count once); and ``canaries`` of one request each, of ``canary_chars`` in all, on each of
    the first cases.
    """

    suite: str
    label: str
    of: Literal["judge", "model"]
    paired: bool
    calls: int
    chars: float
    output_tokens: float
    canaries: int
    canary_chars: float

    def words(self) -> str:
        """It in a line, for who reads a plan."""
        each = "pair of answers" if self.paired else "answer"
        canaries = f" and {self.canaries} canaries on each of {TRIED} cases" if self.canaries else ""
        what = "request" if self.calls == 1 else "requests"
        return f"{self.suite}, {self.label}: {self.calls} {what} of the {self.of} for each {each}{canaries}"


def asking_of(prepared: PreparedJob, usual: Mapping[str, Usual], chars: Mapping[str, float]) -> list[Asking]:
    """What the scorers of a job ask; ``chars`` are those of a case's prompt on average, by suite."""
    return [each for spec in prepared.job.suites for each in _of_suite(prepared, spec, usual, chars[spec.name])]


def _of_suite(prepared: PreparedJob, spec: SuiteSpec, usual: Mapping[str, Usual], chars: float) -> Iterator[Asking]:
    scorers = [(label, s) for label, s in prepared.scorers[spec.name] if isinstance(s, AskingScorer) and s.calls]
    case = next(prepared.cases(spec.name), None) if scorers else None
    if case is None:
        return
    beyond = chars - prepared.census[spec.name].chars[0]  # what its prompt lacks to that of an average case
    answer = _answer([usual[arm] for arm in Arm])
    for label, scorer in scorers:
        first = _first(scorer, case, answer)
        canaries = _canaries(scorer, case, answer)
        params = {} if first is None else first.params
        yield Asking(
            suite=spec.name,
            label=label,
            of="judge" if scorer.judged else "model",
            paired=scorer.paired,
            calls=scorer.calls,
            chars=0.0 if first is None else max(0.0, chars_of(first.messages) + beyond),
            output_tokens=usual[JUDGE].answer_tokens if scorer.judged else most_tokens(params)[0],
            canaries=len(canaries),
            canary_chars=sum([max(0.0, chars_of(each.messages) + beyond) for each in canaries.values()]),
        )


def beyond_of(asking: Sequence[Asking], cases: Mapping[str, float], trials: int) -> dict[str, Beyond]:
    """By arm or `JUDGE` what is asked beyond the answers, at so many cases a suite."""
    found: dict[str, list[Beyond]] = defaultdict(list)
    for each in asking:
        scored = cases[each.suite] * trials * each.calls
        tried = min(TRIED, cases[each.suite])
        for whom in (JUDGE,) if each.of == "judge" else Arm:
            scores = scored * (len(Arm) if whom == JUDGE and not each.paired else 1)
            requests = scores + tried * each.canaries
            found[whom].append(
                Beyond(
                    requests=requests,
                    chars=scores * each.chars + tried * each.canary_chars,
                    output_tokens=requests * each.output_tokens,
                )
            )
    return {whom: Beyond.sum(rows) for whom, rows in found.items()}


def _answer(usual: Sequence[Usual]) -> Completion:
    """An answer as long as the arms' are taken to be."""
    chars = sum(each.answer_tokens * each.chars_a_token for each in usual) / len(usual)
    return Completion(text="x" * max(1, round(chars)))


def _first(scorer: AskingScorer, case: Case, answer: Completion) -> FollowUp | None:
    """The first request of a score; None where a plug-in cannot be asked for one like this."""

    def begin() -> Score | FollowUp:
        return scorer.follow_up_pair(case, answer, answer) if scorer.paired else scorer.follow_up(case, answer)

    found: Any = _or(begin, None)
    return found if isinstance(found, FollowUp) else None


def _canaries(scorer: AskingScorer, case: Case, answer: Completion) -> dict[str, FollowUp]:
    def give() -> dict[str, FollowUp]:
        return dict(scorer.canaries(case, answer))

    return _or(give, {}) if scorer.judged else {}


def _or(give: Callable[[], T], otherwise: T) -> T:
    try:
        return give()
    except RAISED:
        return otherwise
