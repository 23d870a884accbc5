from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from evalsvc.core.records import Arm, Case, Completion, Request
from evalsvc.errors import ProviderError, RequestRejected, TransientError
from evalsvc.providers.recorded import NotRecorded, RecordedProvider

pytestmark = pytest.mark.anyio

CASE = Case(suite="s", id="a", category="c", input="?")
REQUEST = Request(
    job="j",
    case=CASE,
    arm=Arm.CANDIDATE,
    trial=0,
    step="answer",
    endpoint="recorded",
    model="m",
    messages=[],
    params={},
)


@dataclass
class Book:
    """Answers by heart."""

    known: dict[tuple[str, str, int], str]
    closed: list[bool] = field(default_factory=list)

    def find(self, suite: str, case_id: str, trial: int) -> Completion | None:
        text = self.known.get((suite, case_id, trial))
        return None if text is None else Completion(text=text)

    def close(self) -> None:
        self.closed.append(True)


@pytest.fixture
def provider() -> RecordedProvider:
    return RecordedProvider({Arm.CANDIDATE: Book({("s", "a", 0): "new"}), Arm.BASELINE: Book({("s", "a", 1): "old"})})


async def test_each_arm_has_its_own_answers(provider: RecordedProvider) -> None:
    assert (await provider.complete(REQUEST)).text == "new"
    assert (await provider.complete(replace(REQUEST, arm=Arm.BASELINE, trial=1))).text == "old"


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, trial=1),
        replace(REQUEST, arm=Arm.BASELINE),
        replace(REQUEST, case=replace(CASE, id="b")),
        replace(REQUEST, case=replace(CASE, suite="t")),
    ],
)
async def test_what_was_not_recorded_is_missing_for_good(provider: RecordedProvider, request_: Request) -> None:
    with pytest.raises(NotRecorded, match="was recorded") as error:
        await provider.complete(request_)
    assert error.value.kind == "not_recorded"
    assert isinstance(error.value, ProviderError)
    assert not isinstance(error.value, TransientError), "it would be asked again"


async def test_no_other_question_is_answered(provider: RecordedProvider) -> None:
    with pytest.raises(RequestRejected, match="'judge'"):
        await provider.complete(replace(REQUEST, step="judge"))


async def test_others_get_their_turn_between_answers(provider: RecordedProvider) -> None:
    turns: list[str] = []

    async def ask() -> None:
        for _ in range(3):
            answer = await provider.complete(REQUEST)
            turns.append(answer.text)

    async def other() -> None:
        for _ in range(3):
            turns.append("other")
            await asyncio.sleep(0)

    await asyncio.gather(ask(), other())
    assert turns[1:5] != ["new"] * 4
    assert sorted(turns[:3]) != ["new"] * 3


async def test_closing_closes_the_files() -> None:
    book = Book({})
    await RecordedProvider({Arm.BASELINE: book}).aclose()
    assert book.closed == [True]
