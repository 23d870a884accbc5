from __future__ import annotations

from typing import Any

from evalsvc.app.prompts import Prompts
from evalsvc.core.records import Case, Role

USER = {"role": "user", "content": "Where is my  parcel?"}


def said(**inputs: list[Any]) -> list[str]:
    prompts = Prompts()
    for role, each in inputs.items():
        for input_ in each:
            prompts.add(Role(role), Case(suite="s", id="1", category="c", input=input_))
    return list(prompts.warnings())


def test_nothing_to_say() -> None:
    assert said(target=["a", "b", "A"], general=["a"], train=["c"]) == []
    assert said() == []


def test_cases_that_ask_the_same_in_one_role() -> None:
    assert said(target=["a", "b", "a", "a", [USER], [USER]], general=["a"]) == [
        "3 of 6 target cases repeat the input of another one, and count as if they did not"
    ]


def test_cases_that_stand_in_the_training_data() -> None:
    trained = [[{"role": "system", "content": "Be brief."}, USER], "x", "not asked"]
    assert said(
        train=trained,
        target=["where IS my parcel? ", "other", "X"],
        general=[[{"role": "developer", "content": "Be long."}, USER]],
        adversarial=["y"],
    ) == [
        "2 of 3 target cases ask what a training case asks: memory can look like skill there",
        "1 of 1 general cases ask what a training case asks: memory can look like skill there",
    ]


def test_turns_and_parts_count_system_prompts_do_not() -> None:
    parts = [{"type": "text", "text": "where is"}, {"type": "image_url"}, {"type": "text", "text": "my parcel?"}]
    assert said(train=[[USER]], target=[[{"role": "user", "content": parts}]])
    assert not said(train=[[USER]], target=[[USER, {"role": "assistant", "content": "There."}, USER]])
    assert not said(train=[[{"role": "assistant", "content": None}]], target=["x"])
