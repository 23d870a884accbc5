"""The schema of a record and real records: each follows it, and no key of theirs is left undescribed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from filed_job import TOML, file_job

from evalsvc.decide.schema import schema

pytestmark = pytest.mark.anyio

JOBS = {
    "interval": TOML,
    "point": TOML.replace("[gates.human", '[gates]\nevidence = "point"\n[gates.human'),
    "hybrid": TOML.replace("trials = 2", 'trials = 1\nstop = "hybrid"'),
    "corpus": TOML.replace('also = ["exact_match"]', 'also = ["bleu"]'),
}


def undescribed(value: Any, described: dict[str, Any], place: str = "") -> Iterator[str]:
    """Keys of a value that its schema says nothing of; an object without a list of keys may hold any."""
    if isinstance(value, dict):
        keys, others = described.get("properties"), described.get("additionalProperties", {})
        for key, inner in value.items():
            if keys is not None and key not in keys:
                yield f"{place}.{key}"
            else:
                yield from undescribed(inner, (keys or {}).get(key, others), f"{place}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from undescribed(inner, described.get("items", {}), f"{place}[]")


def keys_of(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for inner in (*described.get("properties", {}).values(), described.get("items", {})):
        if inner:
            yield inner
            yield from keys_of(inner)


@pytest.mark.parametrize("name", JOBS)
async def test_a_record_follows_it_and_holds_no_key_it_does_not_describe(tmp_path: Path, name: str) -> None:
    record = await file_job(tmp_path / "e.db", toml=JOBS[name])
    jsonschema_rs.validator_for(schema()).validate(record)
    said = "describe it in evalsvc/decide/schema.py"
    assert sorted(set(undescribed(record, schema()))) == [], said


def test_every_key_is_described() -> None:
    jsonschema_rs.meta.validate(schema())
    assert [each for each in keys_of(schema()) if not each.get("description")] == []


@pytest.mark.parametrize("value", [{}, [], {"schema": "evalsvc.decision/2"}])
def test_what_is_no_record(value: Any) -> None:
    assert not jsonschema_rs.validator_for(schema()).is_valid(value)
