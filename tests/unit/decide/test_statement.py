from __future__ import annotations

import json
from typing import Any

import pytest

from evalsvc.core.merkle import Tree, leaf_hash
from evalsvc.core.records import Arm, Role, ScorerSpec, SuiteSpec
from evalsvc.decide.provenance import Provenance, bound
from evalsvc.decide.statement import record_in, statement

SCORER = ScorerSpec(name="numeric", label="value", pass_at=0.5, options={"tolerance": 0.1})
SUITE = SuiteSpec(name="sums", role=Role.TARGET, dataset="b.jsonl", format="auto", scorers=(SCORER,))
CASES, OUTCOMES = Tree([leaf_hash(b"case")]), Tree([leaf_hash(b"one"), leaf_hash(b"two")])


@pytest.fixture
def record() -> dict[str, Any]:
    built: dict[str, Any] = {
        "schema": "evalsvc.decision/1",
        "job": {"id": "J", "spec_sha256": "ab" * 32},
        "arms": {arm.value: {"model": arm.value} for arm in Arm},
        "evidence": {"outcomes": 2, "merkle_root": None},
        "judge": {"endpoint": "j"},
        "environment": {},
        "warnings": [],
        "signature": None,
    }
    provenance = Provenance(
        files={"b.jsonl": "2", "a.jsonl": "1"},
        cases=CASES,
        outcomes=OUTCOMES,
        formats={"tree": "t"},
        scorers={"numeric": "evalsvc 1"},
        prices={Arm.CANDIDATE: (0.0, 2.0), Arm.BASELINE: None},
        judge_price=(1.0, 3.0),
    )
    return bound(built, (SUITE,), provenance)


def test_what_a_record_is_bound_to(record: dict[str, Any]) -> None:
    assert record["job"]["files"] == [{"name": "a.jsonl", "sha256": "1"}, {"name": "b.jsonl", "sha256": "2"}]
    assert record["evidence"] == {
        "outcomes": 2,
        "merkle_root": OUTCOMES.root,
        "leaves": 2,
        "cases": 1,
        "cases_root": CASES.root,
        "formats": {"tree": "t"},
    }
    assert record["arms"]["candidate"] == {
        "model": "candidate",
        "identity": "declared, not verified",
        "price": {"input": 0.0, "output": 2.0},
    }
    assert record["arms"]["baseline"]["price"] is None
    assert record["judge"] == {"endpoint": "j", "price": {"input": 1.0, "output": 3.0}}
    assert record["scorers"] == [
        {
            "suite": "sums",
            "label": "value",
            "name": "numeric",
            "version": "evalsvc 1",
            "pass_at": 0.5,
            "options": {"tolerance": 0.1},
        }
    ]
    assert list(record)[-3:] == ["environment", "warnings", "signature"]


def test_a_statement_names_what_the_record_was_made_of(record: dict[str, Any]) -> None:
    stated = statement({**record, "signature": {"keyid": "k"}})
    assert stated["_type"] == "https://in-toto.io/Statement/v1"
    assert stated["predicateType"] == "urn:evalsvc:decision/1"
    assert [(each["name"], each["digest"]) for each in stated["subject"]] == [
        ("job", {"sha256": "ab" * 32}),
        ("file:a.jsonl", {"sha256": "1"}),
        ("file:b.jsonl", {"sha256": "2"}),
        ("cases", {"rfc6962Sha256": CASES.root}),
        ("outcomes", {"rfc6962Sha256": OUTCOMES.root}),
    ]
    assert stated["predicate"] == record  # unsigned, whatever it was
    assert record_in(json.loads(json.dumps(stated))) == record


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "urn:evalsvc:decision/2"},
        {"predicate": None},
        {"predicate": {}},
        {"subject": []},
        {"more": 1},
    ],
)
def test_what_is_no_statement_of_a_record(record: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^it"):
        record_in({**statement(record), **change})
    with pytest.raises(ValueError, match=r"^it"):
        record_in([])


def test_a_record_with_a_signature_inside_is_not_the_one_that_was_signed(record: dict[str, Any]) -> None:
    stated = statement(record)
    stated["predicate"] = {**record, "signature": {"keyid": "k", "envelope": "e"}}
    with pytest.raises(ValueError, match="unsigned"):
        record_in(stated)
