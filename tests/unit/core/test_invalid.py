from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalsvc.core.invalid import describe, first_error, unknown_key
from evalsvc.core.toml_source import TomlSource
from evalsvc.errors import ConfigError


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    size: int = Field(default=1, ge=1, description="how large")
    share: float = Field(default=0.5, le=1, allow_inf_nan=False)
    on: bool = False
    kind: Literal["a", "b"] = "a"
    name: str = Field(description="what it is called")


class Root(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    leaf: Leaf | None = None
    leaves: list[Annotated[Leaf, Field()]] = Field(default_factory=list)
    named: dict[str, Leaf] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("\n[leaf]\nname = 'x'\nsiz = 3", 'c:4: leaf.siz: unknown key "siz"; did you mean "size"? known: size, share'),
        ("[[leaves]]\nname = 'x'\nq = 3", 'c:3: leaves[0].q: unknown key "q"; known: size, share, on, kind, name'),
        (
            "[named.size]\nname = 'x'\nnam = 3",
            'c:3: named.size.nam: unknown key "nam"; did you mean "name"? known: size',
        ),
        ("lef = 1", 'c:1: lef: unknown key "lef"; did you mean "leaf"? known: leaf, leaves, named'),
        ("\n[leaf]\nsize = 3", "c:2: leaf.name: missing; what it is called"),
        ("leaf = 3", "c:1: leaf: must be a table, got an integer 3"),
        ("leaves = 'x'", 'c:1: leaves: must be an array, got a string "x"'),
        ("leaf.name = 3", "c:1: leaf.name: must be a string, got an integer 3"),
        ("leaf = { name = 'x', size = 'x' }", 'c:1: leaf.size: must be an integer, got a string "x"'),
        ("leaf = { name = 'x', size = true }", "c:1: leaf.size: must be an integer, got true"),
        ("leaf = { name = 'x', size = 1.0 }", "c:1: leaf.size: must be an integer, got a number 1.0"),
        ("leaf = { name = 'x', size = 0 }", "c:1: leaf.size: must be at least 1, got an integer 0"),
        ("leaf = { name = 'x', share = true }", "c:1: leaf.share: must be a number, got true"),
        ("leaf = { name = 'x', share = 1.5 }", "c:1: leaf.share: must be at most 1, got a number 1.5"),
        ("leaf = { name = 'x', share = nan }", "c:1: leaf.share: must be a finite number, got a number nan"),
        ("leaf = { name = 'x', on = 1 }", "c:1: leaf.on: must be true or false, got an integer 1"),
        ("leaf = { name = 'x', kind = 'c' }", 'c:1: leaf.kind: must be "a" or "b", got a string "c"'),
    ],
)
def test_one_error_says_where_and_what_would_be_right(document: str, message: str) -> None:
    source = TomlSource.parse(document.encode(), file="c", blame=ConfigError)
    with pytest.raises(ValidationError) as failed:
        Root.model_validate(source.data)
    assert str(first_error(failed.value, Root, source)).startswith(message)


def test_an_unknown_key_comes_first_and_then_the_first_line() -> None:
    source = TomlSource.parse(b"[leaf]\nsize = 'x'\nnmae = 'y'", file="c", blame=ConfigError)
    with pytest.raises(ValidationError) as failed:
        Root.model_validate(source.data)
    assert first_error(failed.value, Root, source).key == "leaf.nmae"
    source = TomlSource.parse(b"[[leaves]]\nname = 'x'\nsize = 'x'\n[leaf]\n", file="c", blame=ConfigError)
    with pytest.raises(ValidationError) as failed:
        Root.model_validate(source.data)
    assert first_error(failed.value, Root, source).key == "leaves[0].size"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (7, "an integer 7"),
        pytest.param(16**5000, "an integer beyond 64 bits", id="huge"),
        (0.5, "a number 0.5"),
        ("a\nb", 'a string "a\\nb"'),
        ("x" * 100, f'a string "{"x" * 60}…"'),
        ("\ud800", 'a string "\\ud800"'),
        ([], "an array"),
        ({}, "a table"),
        (dt.date(2026, 1, 1), "a date"),
    ],
)
def test_describe(value: object, words: str) -> None:
    assert describe(value) == words


def test_describe_calls_a_dict_what_the_format_does() -> None:
    assert describe({}, table="an object") == "an object"


def test_unknown_key_lists_what_is_known() -> None:
    assert (
        unknown_key("scorers", ["name", "scorer"])
        == 'unknown key "scorers"; did you mean "scorer"? known: name, scorer'
    )
    assert unknown_key("zzz", ["name"]) == 'unknown key "zzz"; known: name'
