from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.records import Arm, ArmSpec, Case, Job, Role, ScorerSpec, SuiteSpec
from evalsvc.engine.plan import Plan, planned_positions

COUNTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 30), max_size=4)


@given(COUNTS, st.integers(), st.none() | st.integers(1, 40))
def test_positions_number_the_cases_that_take_part_without_gap(
    counts: dict[str, int], seed: int, limit: int | None
) -> None:
    positions = planned_positions(counts, seed=seed, limit=limit)
    taken = sorted(p for places in positions.values() for p in places if p >= 0)
    assert taken == list(range(sum(min(n, limit or n) for n in counts.values())))
    assert {suite: len(places) for suite, places in positions.items()} == counts


@given(st.integers(0, 30), st.integers(0, 30), st.integers())
def test_a_suites_own_order_does_not_depend_on_the_others(size: int, other: int, seed: int) -> None:
    def order(counts: dict[str, int], limit: int | None = None) -> list[int]:
        places = planned_positions(counts, seed=seed, limit=limit)["mine"]
        return sorted((i for i in range(size) if places[i] >= 0), key=lambda i: places[i])

    alone = order({"mine": size})
    assert order({"other": other, "mine": size}) == alone
    assert order({"mine": size}, limit=5) == alone[:5]


def test_the_seed_decides() -> None:
    counts = {"a": 50, "b": 50}
    assert planned_positions(counts, seed=1) == planned_positions(counts, seed=1)
    assert planned_positions(counts, seed=1) != planned_positions(counts, seed=2)


def job(trials: int = 1, system: str | None = None) -> Job:
    return Job(
        name="j",
        seed=0,
        trials=trials,
        arms={arm: ArmSpec(endpoint=arm.value, model="m", system=system) for arm in Arm},
        suites=(
            SuiteSpec(
                name="s",
                role=Role.TARGET,
                dataset="d",
                format="auto",
                scorers=(ScorerSpec(name="exact_match", label="exact_match"),),
            ),
        ),
        gates=(),
    )


async def chunks(count: int) -> AsyncIterator[list[Case]]:
    for start in range(0, count, 2):
        yield [Case(suite="s", id=str(p), category="c", input=f"q{p}", position=p) for p in range(start, start + 2)]


async def taken(plan: Plan) -> list[tuple[int, Arm, int]]:
    got = []
    while (request := await plan.take()) is not None:
        got.append((request.case.position, request.arm, request.trial))
    return got


@pytest.mark.anyio
async def test_both_arms_of_a_case_stand_side_by_side_and_take_turns_to_be_first() -> None:
    got = await taken(Plan(job(trials=2), "J", chunks(4), set()))
    assert len(got) == 16
    for first, second in zip(got[::2], got[1::2], strict=True):
        assert first[0] == second[0]
        assert {first[1], second[1]} == set(Arm)
    assert {first[1] for first in got[::2]} == set(Arm)


@pytest.mark.anyio
async def test_what_is_done_is_left_out() -> None:
    done = {(0, Arm.CANDIDATE, 0), (0, Arm.BASELINE, 0), (3, Arm.BASELINE, 0)}
    got = await taken(Plan(job(), "J", chunks(4), done))
    assert not done & set(got)
    assert len(got) == 5


@pytest.mark.anyio
async def test_what_is_dropped_is_handed_out_no_more() -> None:
    async def two_suites() -> AsyncIterator[list[Case]]:
        for start in range(0, 40, 10):
            yield [
                Case(suite="st"[p % 2], id=str(p), category="c", input="q", position=p)
                for p in range(start, start + 10)
            ]

    both = replace(job(), suites=(*job().suites, replace(job().suites[0], name="t")))
    plan = Plan(both, "J", two_suites(), set())
    first = [await plan.take() for _ in range(3)]
    assert None not in first
    plan.drop({"t"})
    rest = await taken(plan)
    assert {position % 2 for position, _, _ in rest} == {0}
    assert len(rest) == 40 - sum(request is not None and request.case.suite == "s" for request in first)


@pytest.mark.anyio
async def test_once_all_is_dropped_nothing_more_is_read() -> None:
    read = []

    async def cases() -> AsyncIterator[list[Case]]:
        for position in range(100):
            read.append(position)
            yield [Case(suite="s", id=str(position), category="c", input="q", position=position)]

    plan = Plan(job(), "J", cases(), set())
    await plan.take()
    plan.drop({"s"})
    assert await plan.take() is None
    assert read == [0]


@pytest.mark.anyio
async def test_messages() -> None:
    request = await Plan(job(system="be brief"), "J", chunks(2), set()).take()
    assert request is not None
    assert request.messages == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "q0"}]


@pytest.mark.anyio
async def test_a_prompts_length_counts_the_text_of_parts_and_no_picture() -> None:
    parts = [{"type": "text", "text": "four"}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 999}}]
    case = Case(suite="s", id="1", category="c", input=[{"role": "user", "content": parts}])

    async def one() -> AsyncIterator[list[Case]]:
        yield [case]

    request = await Plan(job(system="be brief"), "J", one(), set()).take()
    assert request is not None
    assert request.chars == len("be brief") + len("four")
    assert request.messages[1]["content"] == parts  # passed on as they are
