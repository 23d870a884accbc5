"""What scores take beyond the answer: who is asked what, what is recorded together, and what is held for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import anyio
import pytest

from evalsvc.core.progress import Progress
from evalsvc.core.records import (
    Arm,
    ArmSpec,
    Case,
    Completion,
    Job,
    JudgeSpec,
    Outcome,
    Request,
    Role,
    Score,
    ScorerSpec,
    Status,
    SuiteSpec,
)
from evalsvc.engine.executor import Executor
from evalsvc.engine.follow_ups import TRIED, FollowUps
from evalsvc.engine.judging import Judge
from evalsvc.engine.lag import LoopLag
from evalsvc.engine.retries import RetryPolicy
from evalsvc.errors import JobStopped, ScoringError
from evalsvc.scoring.base import AskingScorer, FollowUp, Scorer

pytestmark = pytest.mark.anyio

A, B = Arm.CANDIDATE, Arm.BASELINE
TOOLS = [{"type": "function", "function": {"name": "f"}}]
JUDGE = JudgeSpec(
    endpoint="court", model="j", system="Be just.", params={"temperature": 0, "top_p": 1}, api="responses"
)
Read = Callable[[Completion], Score | FollowUp]


def ask(words: str, read: Read, step: str = "", of: Any = "judge", **more: Any) -> FollowUp:
    return FollowUp(step=step, of=of, messages=[{"role": "user", "content": words}], read=read, **more)


def number(said: Completion) -> Score:
    return Score(value=float(said.text), explanation=said.text)


class Grade(AskingScorer):
    """Asks for a number."""

    judged: ClassVar[bool] = True

    def check(self, _: Case) -> str | None:
        return None

    def follow_up(self, case: Case, completion: Completion) -> Score | FollowUp:
        return ask(f"{case.input}: {completion.text}", number, params={"top_p": 0.5, "seed": 1})


class Canaried(Grade):
    def canaries(self, case: Case, completion: Completion) -> Iterable[tuple[str, FollowUp]]:
        yield "dot", ask(f"{case.input}: . beside {completion.text}", number)
        yield "twice", ask("once", lambda _: ask("again", number, "more"))


class Duel(Grade):
    paired: ClassVar[bool] = True

    def follow_up_pair(self, _: Case, candidate: Completion, baseline: Completion) -> Score | FollowUp:
        return ask(f"{candidate.text} or {baseline.text}", number)


class Other(Grade):
    """Whatever a test wants."""

    def __init__(self, begin: Callable[[], Any], *, judged: bool = True) -> None:
        self.begin = begin
        self.__class__ = type("Made", (Other,), {"judged": judged})

    def follow_up(self, *_: Any) -> Any:
        return self.begin()


class Asked:
    """In the executor's place: answers each request by its words, and keeps what it was asked."""

    def __init__(self, said: Mapping[str, Any] | None = None) -> None:
        self.said = said or {}
        self.requests: list[Request] = []
        self.gate: anyio.Event | None = None

    async def run(self, request: Request, *_: object) -> Outcome:
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        words = request.messages[-1]["content"]
        said = self.said.get(words, "0.25")
        if isinstance(said, Exception):
            raise said
        return outcome(request, said)


def outcome(request: Request, said: Any = "text", scores: Mapping[str, Score] | None = None) -> Outcome:
    """The end of a request: with that text, or of that (status, kind)."""
    status, kind = (Status.OK, None) if isinstance(said, str) else said
    came = isinstance(said, str) or kind == "truncated"
    return Outcome(
        case=request.case,
        arm=request.arm,
        trial=request.trial,
        step=request.step,
        status=status,
        kind=kind,
        detail=None,
        completion=Completion(text=said if isinstance(said, str) else "0.75") if came else None,
        scores=scores if scores is not None else {},
        attempts=(),
        since_scheduled_s=0.0,
        finished_at=1.0,
    )


def answer_to(arm: Arm, position: int = 0, trial: int = 0) -> Request:
    case = Case(suite="s", id=f"c{position}", category="", input=f"q{position}", position=position, tools=TOOLS)
    return Request(
        job="J", case=case, arm=arm, trial=trial, step="answer", endpoint="up", model=f"m-{arm}",
        messages=[{"role": "user", "content": "q"}], params={"temperature": 1}, stream=True,
    )  # fmt: skip


class Rows:
    """What is filed: a suite whose first cases in planned order stand at these places."""

    def __init__(self, first: Iterable[int] = ()) -> None:
        self.found: dict[bytes, Completion] = {}
        self.first = frozenset(first)

    async def first_places(self, _: str, suites: Iterable[str], count: int) -> dict[str, frozenset[int]]:
        assert count == TRIED
        return dict.fromkeys(suites, self.first)

    async def said(self, key: bytes) -> Completion | None:
        return self.found.get(key)


def follow_ups(
    scorers: Mapping[str, Scorer], asked: Asked, *, judge: JudgeSpec | None = JUDGE, rows: Rows | None = None
) -> FollowUps:
    spec = ScorerSpec(name="x", label="x")
    job = Job(
        name="j", seed=1, trials=1, gates=(), judge=judge,
        arms={arm: ArmSpec(endpoint="up", model=f"m-{arm}", system="no") for arm in Arm},
        suites=(SuiteSpec(name="s", role=Role.TARGET, dataset="d", format="auto", scorers=(spec,)),),
    )  # fmt: skip
    executor: Any = asked
    filed: Any = rows or Rows()
    made = None if judge is None else Judge(judge, url="u", executor=executor, rows=filed)
    return FollowUps(job=job, executor=executor, scorers={"s": list(scorers.items())}, rows=filed, judge=made)


async def rest(_: float) -> None:
    """Nothing waits here."""


async def of(made: FollowUps, request: Request, said: Any = "text", scores: Any = None) -> list[Outcome]:
    return await made.of(request, outcome(request, said, scores), rest)


async def test_the_judge_is_asked_its_own_way_and_the_answer_goes_with_what_was_asked() -> None:
    asked = Asked()
    plain = Score(value=1.0)
    scorers = {"plain": _Plain(), "grade": Grade()}
    found = await of(follow_ups(scorers, asked), answer_to(A), scores={"plain": plain})
    (request,) = asked.requests
    assert (request.endpoint, request.model, request.api, request.step) == ("court", "j", "responses", "grade")
    assert request.messages == [
        {"role": "system", "content": "Be just."},
        {"role": "user", "content": "q0: text"},
    ]
    assert request.params == {"temperature": 0, "top_p": 1, "seed": 1}
    assert (request.case.tools, request.stream, request.chars) == (None, False, len("Be just.q0: text"))
    answer, grade = found
    assert (answer.step, grade.step, grade.judged, answer.judged) == ("answer", "grade", True, False)
    assert list(answer.scores) == ["plain", "grade"]
    assert answer.scores["grade"].value == 0.25
    assert answer.case.tools == TOOLS


class _Plain(Scorer):
    def check(self, _: Case) -> str | None:
        return None

    def score(self, *_: Any) -> Score:
        raise AssertionError


async def test_a_model_is_asked_with_what_the_scorer_says_and_no_more() -> None:
    asked = Asked()
    scorer = Other(lambda: ask("read", number, of="model", api="completions", params={"echo": True}), judged=False)
    (answer, reference) = await of(follow_ups({"p": scorer}, asked, judge=None), answer_to(B))
    (request,) = asked.requests
    assert (request.endpoint, request.model, request.api) == ("up", "m-baseline", "completions")
    assert (request.messages, request.params) == ([{"role": "user", "content": "read"}], {"echo": True})
    assert (reference.judged, answer.scores["p"].value) == (False, 0.25)


@pytest.mark.parametrize("status", [(Status.INFRA_ERROR, "server"), (Status.MODEL_ERROR, "truncated")])
async def test_nothing_is_asked_about_an_answer_that_is_none(status: Any) -> None:
    asked = Asked()
    zero = {} if status[0] is Status.INFRA_ERROR else {"grade": Score(value=0.0)}
    (answer,) = await of(follow_ups({"grade": Canaried()}, asked), answer_to(A), status, zero)
    assert (answer.scores, asked.requests) == (zero, [])


def again(left: int) -> FollowUp:
    return ask("again", lambda _: again(left - 1) if left else Score(value=1.0), f"s{left}")


def raises(error: Exception) -> Any:
    def begin(*_: object) -> Any:
        raise error

    return begin


@pytest.mark.parametrize(
    ("begin", "value", "said", "requests"),
    [
        (lambda: again(3), 1.0, "", 4),
        (lambda: again(4), None, "scoring error: more than 4 follow-ups", 4),
        (lambda: ask("a", lambda _: ask("b", number)), None, "two follow-ups of one score are called 'x'", 1),
        (lambda: Score(value=0.5), 0.5, "", 0),
        (lambda: Score(value=1.5), None, "scoring error: a score of 1.5 is outside 0 to 1", 0),
        (lambda: ask("two", number), None, "scoring error: a score of 2.0 is outside 0 to 1", 1),
        (lambda: ask("words", number), None, "scoring error: ValueError: could not convert", 1),
        (lambda: ask("a", raises(ScoringError("no verdict"))), None, "scoring error: no verdict", 1),
        (lambda: ask("a", raises(RecursionError())), None, "scoring error: RecursionError", 1),
        (raises(KeyError("x")), None, "scoring error: KeyError", 0),
        (lambda: "0.5", None, "scoring error: str is no score", 0),
        (lambda: ask("a", lambda _: None), None, "scoring error: NoneType is no score", 1),  # type: ignore[arg-type, return-value]
        (lambda: ask("a", number, of="model"), None, "scoring error: the job has no [judge], or", 0),
        (lambda: replace(ask("a", number), messages=[5]), None, "scoring error: AttributeError", 0),  # type: ignore[list-item]
        (lambda: ask("cut", number), None, "the judge gave no answer: cut off at the token limit", 1),
        (lambda: ask("cut", number, cut=True), 0.75, "", 1),
        (lambda: ask("down", number, cut=True), None, "the judge gave no answer: server", 1),
    ],
)  # fmt: skip
async def test_what_a_chain_of_follow_ups_ends_in(begin: Any, value: float | None, said: str, requests: int) -> None:
    cut, down = (Status.MODEL_ERROR, "truncated"), (Status.INFRA_ERROR, "server")
    asked = Asked({"two": "2", "words": "none", "cut": cut, "down": down})
    found = await of(follow_ups({"x": Other(begin)}, asked), answer_to(A))
    score = found[0].scores["x"]
    assert (score.value, len(asked.requests), len(found)) == (value, requests, 1 + requests)
    assert said in score.explanation


async def test_without_a_judge_nobody_is_asked() -> None:
    asked = Asked()
    (answer,) = await of(follow_ups({"x": Grade()}, asked, judge=None), answer_to(A))
    assert (answer.scores["x"].value, asked.requests) == (None, [])


@pytest.mark.parametrize("first", [A, B])
async def test_a_pair_is_recorded_whole_by_whoever_comes_second(first: Arm) -> None:
    asked = Asked()
    made = follow_ups({"grade": Grade(), "duel": Duel()}, asked)
    second = B if first is A else A
    assert await of(made, answer_to(first), f"by {first}") == []
    assert await of(made, answer_to(first, trial=1), "another trial") == []
    found = await of(made, answer_to(second), f"by {second}")
    assert {(each.arm, each.trial, each.step) for each in found} == {
        (A, 0, "answer"), (B, 0, "answer"), (A, 0, "grade"), (B, 0, "grade"), (A, 0, "duel")
    }  # fmt: skip
    values = {each.arm: each.scores["duel"].value for each in found if each.step == "answer"}
    assert values == {A: 0.25, B: 0.75}
    assert asked.requests[-1].messages[-1]["content"] == "by candidate or by baseline"
    (left,) = [each for each in made.held() if each.step == "answer"]
    assert (left.trial, left.scores["grade"].value, left.scores["duel"].value) == (1, 0.25, None)
    assert made.held() == []


OK, CUT, GONE = "text", (Status.MODEL_ERROR, "truncated"), (Status.INFRA_ERROR, "server")


@pytest.mark.parametrize(
    ("candidate", "baseline", "values"),
    [
        (CUT, OK, (0.0, 1.0)),
        (OK, CUT, (1.0, 0.0)),
        (CUT, CUT, (0.0, 0.0)),
        (OK, GONE, (None, "none")),
        (GONE, OK, ("none", None)),
        (GONE, CUT, ("none", None)),
        (GONE, GONE, ("none", "none")),
    ],
)
async def test_a_pair_that_cannot_be_compared(candidate: Any, baseline: Any, values: tuple[Any, Any]) -> None:
    asked = Asked()
    made = follow_ups({"duel": Duel()}, asked)
    await of(made, answer_to(A), candidate)
    found = {each.arm: each.scores for each in await of(made, answer_to(B), baseline)}
    assert asked.requests == []
    for arm, value in zip((A, B), values, strict=True):
        assert (found[arm]["duel"].value if found[arm] else "none") == value


CANARY_STEPS = {"grade/canary/dot", "grade/canary/twice", "grade/canary/twice/more"}


async def test_canaries_are_put_to_the_judge_at_planned_places_whichever_answer_comes_first() -> None:
    asked = Asked({"q1: . beside text": (Status.INFRA_ERROR, "server")})
    made = follow_ups({"grade": Canaried()}, asked, rows=Rows([0, 1]))
    await made.resume("J")
    plain = {"answer", "grade"}
    for position in (9, 2, 5, 3, 7, 8):  # more than are tried, and all before those that are
        assert {each.step for each in await of(made, answer_to(A, position))} == plain
    assert {each.step for each in await of(made, answer_to(B))} == plain
    assert {each.step for each in await of(made, answer_to(A, trial=1))} == plain
    assert {each.step for each in await of(made, answer_to(A))} == plain | CANARY_STEPS
    found = {each.step: each for each in await of(made, answer_to(A, 1))}
    assert found["grade/canary/dot"].scores["grade"].value is None
    assert found["grade/canary/twice"].scores["grade"].value == 0.25
    assert found["grade/canary/twice/more"].scores == found["grade"].scores == {}


class Canaries(Duel):
    def canaries(self, case: Case, completion: Completion) -> Iterable[tuple[str, FollowUp]]:
        yield "dot", ask(f"{case.input}: . beside {completion.text}", number)


@pytest.mark.parametrize("status", [(Status.INFRA_ERROR, "server"), (Status.MODEL_ERROR, "truncated")])
async def test_who_grades_alone_is_tried_where_the_answer_failed_too(status: Any) -> None:
    asked = Asked()
    made = follow_ups({"grade": Canaried()}, asked, rows=Rows([0]))
    await made.resume("J")
    zero = {} if status[0] is Status.INFRA_ERROR else {"grade": Score(value=0.0)}
    answer, *found = await of(made, answer_to(A), status, zero)
    assert (answer.scores, {each.step for each in found}) == (zero, CANARY_STEPS)
    assert asked.requests[0].messages[-1]["content"] == "q0: . beside "  # not what was cut off


@pytest.mark.parametrize(
    ("candidate", "baseline", "tried"),
    [
        ("text", "theirs", 1),
        ((Status.MODEL_ERROR, "truncated"), "theirs", 1),
        ((Status.INFRA_ERROR, "server"), "theirs", 1),
        ("text", (Status.MODEL_ERROR, "truncated"), 0),
        ("text", (Status.INFRA_ERROR, "server"), 0),
    ],
)
async def test_who_compares_is_tried_beside_the_baselines_answer_alone(
    candidate: Any, baseline: Any, tried: int
) -> None:
    asked = Asked()
    made = follow_ups({"duel": Canaries()}, asked, rows=Rows([0]))
    await made.resume("J")
    await of(made, answer_to(A), candidate)
    found = await of(made, answer_to(B), baseline)
    assert [(each.step, each.arm) for each in found if "canary" in each.step] == [("duel/canary/dot", B)] * tried
    said = [request.messages[-1]["content"] for request in asked.requests if "canary" in request.step]
    assert said == ["q0: . beside theirs"] * tried


async def test_a_judge_that_cannot_go_on_stops_the_job() -> None:
    with pytest.raises(JobStopped):
        await of(follow_ups({"x": Grade()}, Asked({"q0: text": JobStopped("401")})), answer_to(A))


async def test_what_was_said_before_is_neither_asked_nor_paid_for_again() -> None:
    asked, rows = Asked(), Rows()
    made = follow_ups({"x": Grade()}, asked, rows=rows)
    _, first = await of(made, answer_to(A))
    assert first.key is not None
    rows.found[first.key] = Completion(text="0.5")
    answer, taken = await of(made, answer_to(B))
    assert (len(asked.requests), answer.scores["x"].value) == (1, 0.5)
    assert (taken.attempts, taken.judged, taken.key, taken.arm) == ((), True, first.key, B)
    for other in ({"params": {"temperature": 0}}, {"model": "k"}, {"system": None}, {"endpoint": "e"}, {"api": "chat"}):
        await of(follow_ups({"x": Grade()}, asked, rows=rows, judge=replace(JUDGE, **other)), answer_to(A))
    assert len(asked.requests) == 6


async def test_the_same_request_under_way_is_waited_for() -> None:
    asked = Asked()
    asked.gate = anyio.Event()
    made = follow_ups({"x": Grade()}, asked)
    found: list[Outcome] = []

    async def one(arm: Arm) -> None:
        found.extend(await of(made, answer_to(arm)))

    async with anyio.create_task_group() as group:
        group.start_soon(one, A)
        group.start_soon(one, B)
        await anyio.wait_all_tasks_blocked()
        asked.gate.set()
    assert len(asked.requests) == 1
    assert [each.scores["x"].value for each in found if each.step == "answer"] == [0.25, 0.25]


@pytest.mark.parametrize("said", [(Status.INFRA_ERROR, "server"), (Status.MODEL_ERROR, "truncated"), "simulated"])
async def test_only_whole_words_of_a_real_judge_are_kept(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked({"q0: text": said})
    if said == "simulated":
        run = asked.run

        async def simulated(request: Request, *more: object) -> Outcome:
            found = await run(request, *more)
            return replace(found, completion=Completion(text="0.5", simulated=True))

        monkeypatch.setattr(asked, "run", simulated)
    found = await of(follow_ups({"x": Grade()}, asked), answer_to(A))
    assert found[1].key is None


async def test_a_judge_with_a_temperature_is_asked_every_time() -> None:
    asked = Asked()
    made = follow_ups({"x": Grade()}, asked, judge=replace(JUDGE, params={"temperature": 0.7}))
    found = [*await of(made, answer_to(A)), *await of(made, answer_to(B))]
    assert (len(asked.requests), [each.key for each in found]) == (2, [None] * 4)


class _Wide(_Plain):
    bounds: ClassVar[tuple[float, float]] = (1.0, 10.0)

    def __init__(self, value: float) -> None:
        self.value = value

    def score(self, *_: Any) -> Score:
        return Score(value=self.value)


@pytest.mark.parametrize(("given", "value"), [(5.0, 5.0), (0.5, None), (11.0, None), (float("nan"), None)])
async def test_a_score_is_held_to_the_bounds_of_its_scorer(given: float, value: float | None) -> None:
    provider = SimpleNamespace(complete=_says)
    health = SimpleNamespace(down=False, succeeded=lambda: None)
    limits = SimpleNamespace(
        admit_now=lambda *_: SimpleNamespace(slot_wait_s=0, quota_wait_s=0), finish=lambda *_, **__: 0
    )
    budget = SimpleNamespace(deposit=lambda: None)
    endpoint: Any = SimpleNamespace(name="up", provider=provider, health=health, limits=limits, budget=budget)
    executor = Executor(
        endpoints={"up": endpoint},
        scorers={"s": [("wide", _Wide(given)), ("asks", Grade())]},
        policy=RetryPolicy(max_attempts=1, deadline_s=1.0),
        lag=LoopLag(lambda _: None),
        progress=Progress(),
    )
    found = await executor.run(answer_to(A), 0.0, rest)
    assert {label: score.value for label, score in found.scores.items()} == {"wide": value}
    assert (await executor.run(replace(answer_to(A), step="asks"), 0.0, rest)).scores == {}


async def _says(_: Request) -> Completion:
    return Completion(text="text")
