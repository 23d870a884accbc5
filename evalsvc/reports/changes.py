"""What a report says about each suite: scores, wins and losses, categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsvc.reports import format as fmt
from evalsvc.reports.gates import TONES
from evalsvc.reports.pictures import Claim, Forest, Span, forest, scale_for, shares


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One scorer's means in both arms."""

    label: str
    primary: bool
    candidate: str
    baseline: str
    delta: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRow:
    """One category. ``verdict`` is None where none was judged."""

    name: str
    cases: str
    candidate: str
    baseline: str
    delta: str
    range: str
    verdict: str | None
    tone: str
    picture: Forest


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRow:
    """One suite.

    ``format`` is what its data set was read as, None where the record does not say. ``won`` are the cases won by the
    candidate, tied, and won by the baseline; ``rates`` their shares of all three, and ``bar`` those as a picture.
    ``notes`` are its corpus scores, each with the signature that has to be alike where two are compared.
    """

    name: str
    role: str
    cases: str
    format: str | None
    scores: tuple[ScoreRow, ...]
    won: tuple[str, str, str]
    rates: tuple[str, str, str]
    bar: tuple[Span, ...]
    categories: tuple[CategoryRow, ...]
    notes: tuple[str, ...]


def suite_rows(record: Mapping[str, Any]) -> tuple[SuiteRow, ...]:
    """All suites of a record, in its order; their categories worst for the candidate first."""
    margins = {fmt.text(gate.get("name")): fmt.number(gate.get("threshold")) for gate in fmt.rows(record.get("gates"))}
    return tuple(_suite(suite, margins.get("general_regression")) for suite in fmt.rows(record.get("suites")))


def _suite(suite: Mapping[str, Any], margin: float | None) -> SuiteRow:
    parts = tuple(fmt.dig(suite, "wins", key) for key in ("candidate", "ties", "baseline"))
    rates = _rates([fmt.number(part) for part in parts])
    return SuiteRow(
        name=fmt.text(suite.get("name")),
        role=fmt.text(suite.get("role")),
        cases=fmt.count(suite.get("cases")),
        format=None if suite.get("format") in (None, "auto") else str(suite["format"]),
        scores=_scores(suite),
        won=(fmt.count(parts[0]), fmt.count(parts[1]), fmt.count(parts[2])),
        rates=(fmt.percent(rates[0]), fmt.percent(rates[1]), fmt.percent(rates[2])),
        bar=shares([fmt.number(part) or 0.0 for part in parts]),
        categories=_categories(suite, margin if suite.get("role") == "general" else None),
        notes=_signatures(suite),
    )


def _rates(parts: Sequence[float | None]) -> Sequence[float | None]:
    """The share of each part; unknown where a part is, or where there is nothing to share."""
    known = [part for part in parts if part is not None and part >= 0]
    whole = sum(known)
    return [part / whole for part in known] if len(known) == len(parts) and whole else [None] * len(parts)


def _signatures(suite: Mapping[str, Any]) -> tuple[str, ...]:
    whole = fmt.dig(suite, "corpus")
    found = whole.items() if isinstance(whole, Mapping) else ()
    return tuple(_signed(str(label), values) for label, values in found if fmt.dig(values, "signature"))


def _signed(label: str, values: Mapping[str, Any]) -> str:
    means = ", ".join(f"{arm} {fmt.percent(values.get(arm))}" for arm in ("candidate", "baseline"))
    return f"{label}, corpus of {fmt.count(values.get('cases'))} cases: {means} ({values['signature']})"


def _scores(suite: Mapping[str, Any]) -> tuple[ScoreRow, ...]:
    means, rates = fmt.dig(suite, "scores"), fmt.dig(suite, "pass_rates")
    found = []
    for label, pair in means.items() if isinstance(means, Mapping) else ():
        primary = label == suite.get("primary")
        found.append(_score(str(label), primary=primary, pair=pair))
        passes = {arm: fmt.dig(rates, label, arm, "rate") for arm in ("candidate", "baseline")}
        if None not in passes.values() and passes != pair:
            found.append(_score(f"{label}, passes", primary=primary, pair=passes))
        whole = fmt.dig(suite, "corpus", label)
        if isinstance(whole, Mapping):
            found.append(_score(f"{label}, corpus", primary=primary, pair=whole))
    return tuple(found)


def _score(label: str, *, primary: bool, pair: object) -> ScoreRow:
    """Scores outside [0, 1] (a perplexity) are plain numbers."""
    one, other = fmt.number(fmt.dig(pair, "candidate")), fmt.number(fmt.dig(pair, "baseline"))
    share = all(value is None or 0 <= value <= 1 for value in (one, other))
    delta = None if one is None or other is None else one - other
    write = fmt.percent if share else fmt.plain_number
    change = fmt.points(delta) if share else fmt.plain_number(delta)
    return ScoreRow(label=label, primary=primary, candidate=write(one), baseline=write(other), delta=change)


def _categories(suite: Mapping[str, Any], margin: float | None) -> tuple[CategoryRow, ...]:
    def worst(category: Mapping[str, Any]) -> float:
        delta = fmt.number(category.get("delta"))
        return math.inf if delta is None else delta

    found = sorted(fmt.rows(suite.get("categories")), key=worst)
    if not found:
        return ()
    claims = [
        Claim(estimate=fmt.number(c.get("delta")), interval=c.get("interval"), envelope=None, threshold=margin)
        for c in found
    ]
    zero = Claim(estimate=0.0, interval=None, envelope=None, threshold=margin)
    scale = scale_for([*claims, zero])
    return tuple(
        _category(category, forest(claim, scale, fmt.points)) for category, claim in zip(found, claims, strict=True)
    )


def _category(category: Mapping[str, Any], picture: Forest) -> CategoryRow:
    verdict = category.get("verdict")
    return CategoryRow(
        name=fmt.text(category.get("name")),
        cases=fmt.count(category.get("cases")),
        candidate=fmt.percent(category.get("candidate")),
        baseline=fmt.percent(category.get("baseline")),
        delta=fmt.points(category.get("delta")),
        range=fmt.interval(category.get("interval"), fmt.points),
        verdict=None if verdict is None else str(verdict),
        tone=TONES.get(str(verdict), "none"),
        picture=picture,
    )
