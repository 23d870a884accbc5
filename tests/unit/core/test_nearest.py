"""The name that may have been meant, wherever one is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.core.nearest import did_you_mean
from evalsvc.core.registry import Registry

KNOWN = ["exact_match", "json_schema", "tool_call", "bleu"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("exact_mach", "exact_match"),
        ("exactmatch", "exact_match"),
        ("Exact-Match", "exact_match"),
        ("EXACT MATCH", "exact_match"),
        ("jsonschema", "json_schema"),
        ("toolcalls", "tool_call"),
        ("BLEU", "bleu"),
    ],
)
def test_the_nearest_name_is_offered(name: str, meant: str) -> None:
    assert did_you_mean(name, KNOWN) == f'did you mean "{meant}"? '


@pytest.mark.parametrize("name", ["", "zzz", "rouge", "exact_match" * 100_000])
def test_what_is_near_nothing_is_offered_nothing(name: str) -> None:
    assert not did_you_mean(name, KNOWN)
    assert not did_you_mean(name, [])


@given(name=st.text(), known=st.lists(st.text()))
def test_only_known_names_are_offered(name: str, known: list[str]) -> None:
    said = did_you_mean(name, known)
    assert not said or said in {f'did you mean "{each}"? ' for each in known}


def test_a_registry_offers_the_nearest_before_all() -> None:
    registry: Registry[int] = Registry("scorer")
    registry.register("exact_match")(1)
    registry.register("bleu")(2)
    with pytest.raises(
        LookupError, match=r"""^unknown scorer 'bleuu'; did you mean "bleu"\? known: bleu, exact_match$"""
    ):
        registry["bleuu"]
