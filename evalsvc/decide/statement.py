"""A record as an in-toto Statement (in-toto attestation framework, v1): what is signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
#: The predicate is a record of the schema ``evalsvc.decision/1``. A name, not an address.
PREDICATE = "urn:evalsvc:decision/1"
#: The envelope's file beside ``decision.json``.
ENVELOPE_FILE = "decision.dsse.json"


def statement(record: Mapping[str, Any]) -> dict[str, Any]:
    """The statement of a bound record, its ``signature`` null. The subjects are what it was made of, by digest."""
    job, evidence = record["job"], record["evidence"]
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": "job", "digest": {"sha256": job["spec_sha256"]}},
            *({"name": f"file:{file['name']}", "digest": {"sha256": file["sha256"]}} for file in job["files"]),
            {"name": "cases", "digest": {"rfc6962Sha256": evidence["cases_root"]}},
            {"name": "outcomes", "digest": {"rfc6962Sha256": evidence["merkle_root"]}},
        ],
        "predicateType": PREDICATE,
        "predicate": {**record, "signature": None},
    }


def record_in(stated: Any) -> dict[str, Any]:
    """The record a statement holds. Raises ValueError where it holds none, or its subjects are not the record's."""
    if not isinstance(stated, dict) or stated.get("_type") != STATEMENT or stated.get("predicateType") != PREDICATE:
        raise ValueError(f"it holds no {STATEMENT} of the type {PREDICATE}")
    try:
        whole = statement(stated["predicate"])
    except (LookupError, TypeError):
        raise ValueError("its predicate is no record") from None
    if whole != stated:
        raise ValueError("its subjects are not those of its record, or its record is not unsigned")
    record: dict[str, Any] = stated["predicate"]
    return record
