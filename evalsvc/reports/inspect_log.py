"""One arm of a job as an eval log of Inspect (JSON, version 2): a sample for every case and trial.

Inspect keeps what it has seen of one model; gates, intervals and the decision have no place there, so the record is put
into ``eval.metadata`` whole. Source: Inspect's own log format (inspect_ai, ``EvalLog``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from evalsvc.core.listing import rfc3339
from evalsvc.core.records import Arm, Job, SuiteSpec
from evalsvc.core.rows import OutcomeRow
from evalsvc.reports import format as fmt

_STOPS = {"length": "max_tokens"} | {name: name for name in ("stop", "tool_calls", "content_filter")}
_ROLES = {"developer": "system", "function": "tool"} | {name: name for name in ("system", "user", "assistant", "tool")}


def opening(job: Job, record: Mapping[str, Any], arm: Arm) -> str:
    """Everything before the samples."""
    head = {
        "version": 2,
        "status": "success",
        "eval": _spec(job, record, arm),
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": _results(job, record, arm),
        "stats": _stats(job, record, arm),
    }
    return json.dumps(head, allow_nan=False).removesuffix("}") + ', "samples": [\n'


def samples(rows: Iterable[OutcomeRow], job: Job, arm: Arm, *, first: bool) -> str:
    """The samples of one arm's answers; ``first`` where none has been written yet."""
    suites = {suite.name: suite for suite in job.suites}
    made = [_sample(row, suites[row.suite]) for row in rows if row.arm == arm.value and row.step == "answer"]
    joined = ",\n".join(json.dumps(sample, allow_nan=False) for sample in made)
    return f",\n{joined}" if joined and not first else joined


def closing() -> str:
    """What ends the log."""
    return "\n]}\n"


def _spec(job: Job, record: Mapping[str, Any], arm: Arm) -> dict[str, Any]:
    spec, asked = job.arms[arm], fmt.dig(record, "job")
    return {
        "eval_id": f"{fmt.dig(asked, 'id')}-{arm.value}",
        "run_id": fmt.text(fmt.dig(asked, "id")),
        "created": fmt.dig(asked, "started_at"),
        "task": job.name,
        "task_id": fmt.text(fmt.dig(asked, "spec_sha256")),
        "dataset": {
            "name": ", ".join(suite.dataset for suite in job.suites),
            "samples": sum(suite["cases"] for suite in fmt.rows(record.get("suites"))),
            "shuffled": True,
        },
        "model": spec.model,
        "model_args": {"endpoint": spec.endpoint, "api": spec.api, "system": spec.system, **spec.params},
        "config": {"epochs": job.trials, "limit": job.limit},
        "packages": dict(fmt.dig(record, "environment") or {}),
        "metadata": {"arm": arm.value, "evalsvc": record},
        "scorers": [
            {"name": _name(suite.name, scorer.label), "options": dict(scorer.options), "metadata": {}}
            for suite in job.suites
            for scorer in suite.scorers
        ],
    }


def _name(suite: str, label: str) -> str:
    """What a score is called: Inspect has one task where a job has suites."""
    return f"{suite}/{label}"


def _results(job: Job, record: Mapping[str, Any], arm: Arm) -> dict[str, Any]:
    answers, suites = fmt.dig(record, "arms", arm.value), fmt.rows(record.get("suites"))
    return {
        "total_samples": fmt.dig(answers, "requests"),
        "completed_samples": fmt.dig(answers, "requests") - fmt.dig(answers, "infra_error"),
        "scores": [
            {
                "name": _name(suite["name"], label),
                "scorer": _name(suite["name"], label),
                "reducer": "mean" if job.trials > 1 else None,
                "params": {},
                "metrics": {name: {"name": name, "value": value} for name, value in _metrics(suite, label, arm)},
            }
            for suite in suites
            for label in suite["scores"]
        ],
    }


def _metrics(suite: Mapping[str, Any], label: str, arm: Arm) -> Iterator[tuple[str, float]]:
    for name, path in (
        ("mean", ("scores", label, arm.value)),
        ("pass_rate", ("pass_rates", label, arm.value, "rate")),
        ("corpus", ("corpus", label, arm.value)),
    ):
        value = fmt.number(fmt.dig(suite, *path))
        if value is not None:
            yield name, value


def _stats(job: Job, record: Mapping[str, Any], arm: Arm) -> dict[str, Any]:
    tokens = {key: fmt.dig(record, "arms", arm.value, "tokens", key) for key in ("input", "output")}
    times = {"started_at": "started_at", "completed_at": "finished_at"}
    usage = {job.arms[arm].model: _usage(tokens["input"], tokens["output"])} if None not in tokens.values() else {}
    return {**{key: fmt.dig(record, "job", name) for key, name in times.items()}, "model_usage": usage}


def _usage(asked: int, answered: int) -> dict[str, int]:
    return {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}


def _sample(row: OutcomeRow, suite: SuiteSpec) -> dict[str, Any]:
    """One answer. A score that is missing is left out; an answer that never came has an error in its place."""
    asked = _messages(row.input)
    sample = {
        "id": f"{row.suite}/{row.case_id}",
        "epoch": row.trial + 1,
        "input": row.input if isinstance(row.input, str) else asked,
        "target": _target(row.expected),
        "messages": [*asked, _answer(row)],
        "output": _output(row),
        "scores": {
            _name(row.suite, label): {"value": score["value"], "explanation": score.get("explanation")}
            for label, score in row.scores.items()
            if score.get("value") is not None
        },
        "metadata": {
            "suite": row.suite,
            "role": suite.role.value,
            "category": row.category,
            "status": row.status,
            "kind": row.kind,
        },
        "completed_at": rfc3339(row.finished_at),
        "total_time": row.since_scheduled_s,
    }
    if row.status == "infra_error":
        said = f"{row.kind}: {row.detail or 'no answer'}"
        sample["error"] = {"message": said, "traceback": said, "traceback_ansi": said}
    return sample


def _target(expected: Any) -> str | list[str]:
    if expected is None:
        return ""
    if isinstance(expected, str) or (isinstance(expected, list) and all(isinstance(each, str) for each in expected)):
        return expected
    return json.dumps(expected)


def _output(row: OutcomeRow) -> dict[str, Any]:
    known = row.input_tokens is not None and row.output_tokens is not None
    return {
        "model": row.model or "",
        "choices": [{"message": _answer(row), "stop_reason": _STOPS.get(row.finish_reason or "", "unknown")}],
        "completion": row.text or "",
        "usage": _usage(row.input_tokens or 0, row.output_tokens or 0) if known else None,
        "time": row.latency_s,
        "error": row.detail if row.status == "infra_error" else None,
    }


def _answer(row: OutcomeRow) -> dict[str, Any]:
    text = row.text or row.refusal or ""
    said = [{"type": "reasoning", "reasoning": row.reasoning}, {"type": "text", "text": text}]
    return {
        "role": "assistant",
        "content": said if row.reasoning else text,
        "source": "generate",
        "model": row.model,
        "tool_calls": _calls(row.tool_calls),
    }


def _messages(asked: Any) -> list[dict[str, Any]]:
    """Chat messages as Inspect writes them; a text is one of the user."""
    if isinstance(asked, str):
        return [{"role": "user", "content": asked, "source": "input"}]
    return [_message(message) for message in asked]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role = _ROLES.get(str(message.get("role")), "user")
    found: dict[str, Any] = {"role": role, "content": _content(message.get("content")), "source": "input"}
    if role == "assistant":
        found["tool_calls"] = _calls(message.get("tool_calls"))
    if role == "tool":
        found |= {"tool_call_id": _text_or_none(message.get("tool_call_id")), "function": None}
    return found


def _content(content: Any) -> str | list[dict[str, Any]]:
    return content or "" if content is None or isinstance(content, str) else [_part(part) for part in content]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part Inspect has no word for is its JSON."""
    url = fmt.dig(part, "image_url", "url")
    if isinstance(url, str):
        return {"type": "image", "image": url}
    text = part.get("text")
    return {"type": "text", "text": text if isinstance(text, str) else json.dumps(part)}


def _calls(calls: Any) -> list[dict[str, Any]] | None:
    return [_call(call, place) for place, call in enumerate(calls)] if isinstance(calls, list) and calls else None


def _call(call: Any, place: int) -> dict[str, Any]:
    """A call; arguments that are no object stay readable in ``parse_error``."""
    written = fmt.dig(call, "function", "arguments")
    arguments = _parsed(written)
    whole = isinstance(arguments, dict)
    return {
        "id": _text_or_none(fmt.dig(call, "id")) or f"call_{place}",
        "function": _text_or_none(fmt.dig(call, "function", "name")) or "",
        "arguments": arguments if whole else {},
        "parse_error": None if whole else f"no JSON object: {written}",
        "type": "function",
    }


def _parsed(written: Any) -> Any:
    try:
        return json.loads(written, parse_constant=_none, parse_float=_finite) if isinstance(written, str) else written
    except (ValueError, RecursionError):
        return None


def _none(_: str) -> None:
    """NaN and infinity are no JSON."""


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
