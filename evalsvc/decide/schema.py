"""The JSON Schema of a decision record (``evalsvc.decision/1``), with a description on every key.

A record may hold more keys than these; none of these may be missing but where it says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from evalsvc.core.records import Arm, Decision, Role, Verdict
from evalsvc.decide.record import PERCENTILES, SCHEMA

Schema = dict[str, Any]

_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$"
_SHA256 = "^[0-9a-f]{64}$"


def _of(kind: str, said: str, **more: Any) -> Schema:
    return {"type": kind, "description": said, **more}


def _text(said: str, **more: Any) -> Schema:
    return _of("string", said, **more)


def _number(said: str, **more: Any) -> Schema:
    return _of("number", said, **more)


def _count(said: str) -> Schema:
    return _of("integer", said, minimum=0)


def _hash(said: str) -> Schema:
    return _text(said, pattern=_SHA256)


def _one_of(values: Collection[str], said: str) -> Schema:
    return {"enum": [str(value) for value in values], "description": said}


def _list(said: str, items: Schema, **more: Any) -> Schema:
    return _of("array", said, items=items, **more)


def _or_null(schema: Schema) -> Schema:
    """The same, or null."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def _table(said: str, keys: Mapping[str, Schema], *, optional: Collection[str] = ()) -> Schema:
    return _of("object", said, properties=dict(keys), required=[key for key in keys if key not in optional])


def _map(said: str, values: Schema) -> Schema:
    return _of("object", said, additionalProperties=values)


def _per_arm(said: str, value: Schema, **more: Schema) -> Schema:
    return _table(said, {**{arm.value: value for arm in Arm}, **more})


def _interval(said: str) -> Schema:
    bound = _or_null(_number("a bound, null where none exists"))
    return _or_null(_list(f"{said}; null where there is none", bound, minItems=2, maxItems=2))


def _latency(said: str) -> Schema:
    seconds = {name: _or_null(_number("seconds; null where it is infinite or unknown")) for name in PERCENTILES}
    mean = _or_null(_number("seconds; null where one sample is infinite, or none is there"))
    return _table(said, {"n": _count("samples"), "mean": mean, **seconds})


def _job() -> Schema:
    file = _table("a file", {"name": _text("its name in the job file"), "sha256": _hash("SHA-256 of its bytes")})
    return _table(
        "the job that was decided",
        {
            "id": _text("the job's id"),
            "name": _text("the job's name"),
            "spec_sha256": _hash("SHA-256 of job file, data sets and --limit together, filed before the first request"),
            "seed": _of("integer", "fixes the order of cases, sides and resampling"),
            "trials": _of("integer", "requests for each case and arm", minimum=1),
            "limit": _or_null(_of("integer", "cases of each suite at most (--limit)", minimum=1)),
            "started_at": _text("when it first started, RFC 3339 in UTC", pattern=_TIME),
            "finished_at": _text("when it was decided, RFC 3339 in UTC", pattern=_TIME),
            "simulated": _of("boolean", "whether a simulator gave any of the answers"),
            "evidence": _one_of(["interval", "point"], "the rule: what is held against thresholds"),
            "stop": _one_of(["never", "hybrid", "anytime"], "whether the job might stop before all was asked"),
            "files": _list("every file the job names; only in a filed record", file),
        },
        optional=["files"],
    )


def _arm() -> Schema:
    tokens = _or_null(_count("of all answers; null where the server told none"))
    price = {"input": _number("of a million input tokens"), "output": _number("of a million output tokens")}
    return _table(
        "one model",
        {
            "endpoint": _text("the alias of its endpoint"),
            "model": _text("its name in the job"),
            "identity": _text("what that name is worth; only in a filed record"),
            "served_models": _list("what the server said it was", _text("a name")),
            "fingerprints": _list("what the server said of its configuration", _text("a fingerprint")),
            "requests": _count("requests with an outcome"),
            "ok": _count("usable answers"),
            "model_error": _count("the model's own failures: they score 0"),
            "infra_error": _count("failures on the way: their scores are missing"),
            "kinds": _map("outcomes other than ok, by kind", _count("how many")),
            "attempts": _count("HTTP tries"),
            "retries": _map("tries that failed and were repeated, by reason", _count("how many")),
            "latency": _latency("service time of one sample a case, in seconds"),
            "ttft": _or_null(_latency("time to the first token; null where nothing was streamed")),
            "since_scheduled": _latency("from when a request should have started, all waits included"),
            "lag_tainted": _count("latencies taken while the event loop lagged"),
            "tokens": _table("tokens, every attempt counted", {"input": tokens, "output": tokens}),
            "price": _or_null(_table("prices the cost is computed with; only in a filed record", price)),
            "cost": _or_null(_number("what the tokens cost; null where no price is known")),
            "follow_ups": _or_null(_follow_ups()),
        },
        optional=["identity", "price", "follow_ups"],
    )


def _follow_ups() -> Schema:
    tokens = _or_null(_count("of all replies; null where the server told none"))
    return _table(
        "what scorers asked it beyond its answers; null: nothing",
        {
            "requests": _count("requests with an outcome"),
            "failed": _count("those that gave nothing to go by"),
            "attempts": _count("HTTP tries"),
            "tokens": _table("tokens, every attempt counted", {"input": tokens, "output": tokens}),
            "cost": _or_null(_number("what the tokens cost; null where no price is known")),
        },
    )


def _judge() -> Schema:
    tokens = _or_null(_count("of all replies; null where the server told none"))
    counts = {
        "asked": _count("answers that deserve nothing it was asked about"),
        "answered": _count("those that got a verdict"),
        "fooled": _count("those it gave more than the middle of its scale, or preferred"),
    }
    share = {
        "count": _count("how many"),
        "n": _count("of how many"),
        "rate": _number("their share", minimum=0, maximum=1),
        "wilson": _interval("of the share"),
    }
    effect = {
        "n": _count("cases with a score of both models"),
        "raw": _number("mean of candidate minus baseline"),
        "raw_interval": _interval("of that"),
        "equal_length": _number("the same between answers of equal length"),
        "equal_length_interval": _interval("of that"),
        "slope": _number("what an answer gains by being e times as long"),
    }
    length = {
        "longer_won": _table("cases that the longer answer won", share),
        "effect": _or_null(_table("what length explains, of one scorer; null where it cannot be told", effect)),
    }
    biases = {
        "flip_rate": _or_null(_table("pairs whose verdict hangs on their order", share)),
        "first_position_rate": _or_null(_table("verdicts for what is shown first, of those that are no tie", share)),
        "length_bias": _or_null(_table("how length sways it", length)),
    }
    scorer = {
        "suite": _text("the suite"),
        "label": _text("what its scores are called"),
        "trusted": _of("boolean", "whether its own canaries hold"),
        "canaries": _table("its canaries", counts),
        **biases,
    }
    by_name = _map("the same by canary", _table("one canary", counts))
    return _table(
        "the judge, and whether it may be believed",
        {
            "endpoint": _text("the alias of its endpoint"),
            "model": _text("its name in the job"),
            "served_models": _list("what the server said it was", _text("a name")),
            "trusted": _of("boolean", "whether its scores may gate anything"),
            "distrust": _or_null(_text("why they may not")),
            "canaries": _table("answers that deserve nothing", {**counts, "by_name": by_name}),
            **biases,
            "scorers": _list("the same for each scorer that asks it", _table("a judged scorer", scorer)),
            "requests": _count("requests with an outcome"),
            "failed": _count("those that gave nothing to go by"),
            "attempts": _count("HTTP tries"),
            "tokens": _table("tokens, every attempt counted", {"input": tokens, "output": tokens}),
            "cost": _or_null(_number("what the tokens cost; null where no price is known")),
            "cached": _count("requests answered with what it said before"),
            "price": _or_null(_of("object", "prices the cost is computed with; only in a filed record")),
        },
        optional=["price"],
    )


def _gate() -> Schema:
    probability = {"minimum": 0, "maximum": 1}
    return _table(
        "a claim and what was found",
        {
            "name": _text("the gate"),
            "required": _of("boolean", "whether the decision depends on it"),
            "waived": _or_null(_text("why it was waived")),
            "verdict": _one_of(list(Verdict), "what was found"),
            "claim": _text("what was to be proven"),
            "threshold": _number("what the interval is held against"),
            "estimate": _or_null(_number("over complete cases")),
            "interval": _interval("over complete cases"),
            "interval_missing": _interval("with what is missing at its worst and at its best"),
            "level": _number("level of the interval", **probability),
            "p_pass": _or_null(_number("p-value of: not better than the threshold", **probability)),
            "p_fail": _or_null(_number("p-value of: not worse than the threshold", **probability)),
            "n": _count("complete cases, never trials"),
            "n_needed": _or_null(_count("cases in all that would about settle an open gate")),
            "method": _text("the statistical method"),
            "missing": _per_arm("answers without a score", _count("how many")),
            "reason": _text("what was found, in a sentence"),
            "needs": _or_null(_text("what would settle an open gate")),
            "wilson": _interval("of rates: the interval people expect to see; it decides nothing"),
            "p95": _or_null(_of("object", "of latency_p99: the same for the 95th percentile; it decides nothing")),
            "point_rule_false_pass": _number("of the point rule: how often it passes when there is no difference"),
            "judged_at": _or_null(_count("cases of the job's order that a look judged it on; null: all")),
            "smallest_effect": _or_null(_number("of target_improvement: the smallest difference it could have proven")),
            "heterogeneity": _or_null(_of("object", "of general_regression: how unlike its categories differ")),
            "clusters": _of("object", "where cases come in clusters: how many, and how alike their cases are"),
        },
        optional=[
            *("wilson", "p95", "point_rule_false_pass", "judged_at"),
            *("smallest_effect", "heterogeneity", "clusters"),
        ],
    )


def _suite() -> Schema:
    mean = _or_null(_number("mean score, null without a complete case", minimum=0, maximum=1))
    passes = _table(
        "passes of one arm",
        {
            "passes": _count("cases that pass"),
            "n": _count("complete cases"),
            "rate": _or_null(_number("passes over cases")),
            "wilson": _interval("of the rate"),
        },
    )
    category = _table(
        "a category of the suite",
        {
            "name": _text("the category"),
            "cases": _count("its cases"),
            **{arm.value: mean for arm in Arm},
            "delta": _or_null(_number("candidate minus baseline")),
            "interval": _interval("of the difference"),
            "verdict": _or_null(_one_of(list(Verdict), "of the regression claim; null outside general suites")),
            "n": _count("complete cases"),
        },
    )
    return _table(
        "a set of cases and how both models did",
        {
            "name": _text("the suite"),
            "role": _one_of(list(Role), "what it is for"),
            "format": _text("the format its data set was read in; auto where it was not told"),
            "cases": _count("its cases"),
            "primary": _text("label of the scorer gates use"),
            "scores": _map("mean scores by label", _per_arm("of both arms", _or_null(_number("mean score")))),
            "pass_rates": _map(
                "passes by label; null for scores that are not from 0 to 1",
                _or_null(_per_arm("of both arms", passes)),
            ),
            "wins": _per_arm("cases by the sign of the difference", _count("cases won"), ties=_count("cases alike")),
            "categories": _list("its categories", category),
            "corpus": _map("scores of all answers together, by label", _of("object", "of both arms")),
        },
        optional=["corpus", "format"],
    )


def _scorer() -> Schema:
    return _table(
        "a scorer of a suite",
        {
            "suite": _text("the suite"),
            "label": _text("what its scores are called"),
            "name": _text("the scorer"),
            "version": _or_null(_text("evalsvc's version, or the SHA-256 of a plug-in's source")),
            "pass_at": _number("a case passes on a score of at least this"),
            "options": _of("object", "its options, as the job gives them"),
        },
    )


def _evidence() -> Schema:
    formats = {name: _text("a format of docs/record.md") for name in ("tree", "case", "outcome")}
    bound = {
        "merkle_root": _or_null(_hash("root of the Merkle tree over all outcomes")),
        "leaves": _count("outcomes under that root"),
        "cases": _count("cases under cases_root"),
        "cases_root": _hash("root of the Merkle tree over all cases"),
        "formats": _table("how the trees are built", formats),
    }
    outcomes = {"outcomes": _count("outcomes the decision rests on")}
    optional = [key for key in bound if key != "merkle_root"]
    return _table("what the record rests on", {**outcomes, **bound}, optional=optional)


def schema() -> Schema:
    """The JSON Schema (2020-12) of a decision record."""
    signature = {"keyid": _hash("SHA-256 of the public key (DER)"), "envelope": _text("file of the signed envelope")}
    record = _table(
        "a decision and everything it rests on",
        {
            "schema": {"const": SCHEMA, "description": "name and version of this schema"},
            "job": _job(),
            "decision": _one_of(list(Decision), "the decision"),
            "reasons": _list("a sentence for every gate that made it", _text("a reason"), minItems=1),
            "arms": _per_arm("both models", _arm()),
            "gates": _list("every gate, the seven first", _gate(), minItems=7),
            "suites": _list("every suite", _suite()),
            "judge": _or_null(_judge()),
            "sequential": _or_null(_of("object", "where looking early has led; null where the job asks all")),
            "calibration": _or_null(_of("object", "how often these gates flip on the baseline; null: not known")),
            "evidence": _evidence(),
            "scorers": _list("every scorer of every suite; only in a filed record", _scorer()),
            "environment": _map("versions of what made the record", _text("a version")),
            "warnings": _list("what could explain a verdict away", _text("a warning")),
            "signature": _or_null(_table("who signed; null where nobody did", signature)),
        },
        optional=["judge", "sequential", "calibration", "scorers"],
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "evalsvc decision record", **record}
