from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.errors import JobError
from evalsvc.suites.base import DataSet
from evalsvc.suites.yaml_rows import load_yaml

DATA_SET = DataSet(suite="s", name="d.yaml")


def load(text: str) -> Any:
    return load_yaml(text.encode(), DATA_SET)[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "a: 1\nb: [x, -2.5, 1e3, .5, null, ~, true, False]",
            {"a": 1, "b": ["x", -2.5, 1e3, 0.5, None, None, True, False]},
        ),
        ("a:", {"a": None}),
        ("[no, yes, on, 2024-01-01, 0x1f, 0o17, 1_000, 12:30, .inf, 1e999, 08]", None),
        ("a: '1'\nb: \"true\"\nc: !!str 3\nd: |\n  x\n  y", {"a": "1", "b": "true", "c": "3", "d": "x\ny"}),
        ("1: a\ntrue: b\n~: c", {"1": "a", "true": "b", "~": "c"}),
        ("x: &x {a: 1}\ny: *x\nz: [*x, *x]", {"x": {"a": 1}, "y": {"a": 1}, "z": [{"a": 1}] * 2}),
        ("", None),
        ("just text", "just text"),
    ],
)
def test_plain_values(text: str, value: Any) -> None:
    found = load(text)
    if text.startswith("[no"):
        value = ["no", "yes", "on", "2024-01-01", "0x1f", "0o17", "1_000", "12:30", ".inf", "1e999", 8]
    assert found == value
    assert repr(found) == repr(value)


def test_objects_have_their_lines() -> None:
    value, lines = load_yaml(b"tests:\n- a: 1\n\n- {b: 2}\n", DATA_SET)
    assert [lines[id(test)] for test in value["tests"]] == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "d.yaml:2: not YAML: did not find expected node content"),
        ("a: 1\n b: 2", "d.yaml:2: not YAML: mapping values are not allowed in this context"),
        ("a: \0", "d.yaml: not YAML: unacceptable character #x0000"),
        ("a: 1\na: 2", "d.yaml:2: a: stands twice in the same object"),
        ("a: {<<: {b: 1}}", "d.yaml:1: merge keys (<<) are not read"),
        ("? [a]\n: b", "d.yaml:1: a key must be a text"),
        ("? {a: b}\n: b", "d.yaml:1: a key must be a text"),
        ("&x [1]: *x", "d.yaml:1: a key must be a text"),
        ("x: &x [1]\n? *x\n: 2", "d.yaml:2: a key must be a text"),
        ("a\n--- \nb", "d.yaml:2: a second document; one is read"),
        ("*x", "d.yaml:1: the alias *x stands for nothing"),
        ("&a [*a]", "d.yaml:1: the alias *a stands for nothing that was read before it"),
        (
            "a:\n  !!python/object/apply:os.system [ls]",
            "d.yaml:2: the tag tag:yaml.org,2002:python/object/apply:os.system",
        ),
        ("!!python/name:os.system ''", "d.yaml:1: the tag"),
        ("!!binary aGk=", "d.yaml:1: the tag"),
        ("!mine {a: 1}", "d.yaml:1: the tag !mine is not read: plain values only"),
        ("[" * 101 + "]" * 101, "d.yaml:1: nested deeper than 100 levels"),
        ("[" * 100_000, "d.yaml:1: not YAML: exceeded maximum nesting depth"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(JobError) as error:
        load(text)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("levels", [6, 60])
def test_a_bomb_of_aliases_is_counted_before_it_goes_off(levels: int) -> None:
    lines = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    with pytest.raises(JobError, match="more than 1,000,000 values, aliases counted each time"):
        load("\n".join(["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]", *lines, "b: [*a5, *a5]"]))


def test_many_small_values_are_read() -> None:
    assert len(load("\n".join("- {a: 1, b: x}" for _ in range(20_000)))) == 20_000


def no_number(text: str) -> bool:
    """PyYAML writes the text 0E0 without quotes; YAML 1.2, and so we, read a number there."""
    try:
        float(text)
    except ValueError:
        return True
    return False


texts = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" \n"), max_size=6).filter(no_number)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values, st.booleans())
def test_what_is_dumped_is_read(value: Any, flow: bool) -> None:
    dumped = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    assert load(dumped) == value


@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text(alphabet="[]{}:,-&*!|>'\"#%\n ab~1", max_size=40))
def test_any_text_is_a_value_or_one_error(text: str) -> None:
    try:
        load(text)
    except JobError as error:
        assert error.file == "d.yaml"  # noqa: PT017 - most texts are fine
