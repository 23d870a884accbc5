"""What a record is bound to: the files and cases that were asked, every outcome, the scorers, the prices.

None of it is needed to decide; all of it is needed to decide again and come to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsvc.core.merkle import Tree
from evalsvc.core.records import Arm, SuiteSpec

#: What can be said of a model behind an API: its name is what the job and its server call it, and has no digest.
IDENTITY = "declared, not verified"
#: These end a record.
_LAST = ("environment", "warnings", "signature")

#: Per million tokens: (input, output).
Price = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a record comes from.

    ``files`` are SHA-256 digests by the names the job gives them; ``cases`` and ``outcomes`` the trees over what was
    asked and what came of it, ``formats`` what they are built of; ``scorers`` versions by scorer; ``prices`` None where
    the configuration gave none, ``judge_price`` the same of the judge.
    """

    files: Mapping[str, str]
    cases: Tree
    outcomes: Tree
    formats: Mapping[str, str]
    scorers: Mapping[str, str]
    prices: Mapping[Arm, Price | None]
    judge_price: Price | None = None


def bound(record: Mapping[str, Any], suites: Sequence[SuiteSpec], provenance: Provenance) -> dict[str, Any]:
    """A record with its provenance: more keys in ``job``, ``arms`` and ``evidence``, and ``scorers``."""
    body = {key: value for key, value in record.items() if key not in _LAST}
    return {
        **body,
        "job": {**record["job"], "files": _files(provenance.files)},
        "arms": {name: {**row, **_arm(provenance.prices[Arm(name)])} for name, row in record["arms"].items()},
        "evidence": {**record["evidence"], **_evidence(provenance)},
        "scorers": [row for suite in suites for row in _scorers(suite, provenance.scorers)],
        "judge": record["judge"] and {**record["judge"], "price": _price(provenance.judge_price)},
        **{key: record[key] for key in _LAST},
    }


def _files(digests: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "sha256": digest} for name, digest in sorted(digests.items())]


def _arm(price: Price | None) -> dict[str, Any]:
    return {"identity": IDENTITY, "price": _price(price)}


def _price(price: Price | None) -> dict[str, float] | None:
    return price and {"input": price[0], "output": price[1]}


def _evidence(provenance: Provenance) -> dict[str, Any]:
    return {
        "merkle_root": provenance.outcomes.root,
        "leaves": provenance.outcomes.count,
        "cases": provenance.cases.count,
        "cases_root": provenance.cases.root,
        "formats": dict(provenance.formats),
    }


def _scorers(suite: SuiteSpec, versions: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "suite": suite.name,
            "label": scorer.label,
            "name": scorer.name,
            "version": versions.get(scorer.name),
            "pass_at": scorer.pass_at,
            "options": dict(scorer.options),
        }
        for scorer in suite.scorers
    ]
