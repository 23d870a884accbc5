"""The shapes in which recorded answers come, one answer or several a row; the first row tells which shape a file has.

========  =============================================================================================================
native    ``{"id", "output", "suite", "trial", "tool_calls", "finish_reason", "latency_s", "model", "input_tokens",
          "output_tokens"}``: ``id`` and ``output`` (or ``tool_calls``) are required
by model  ``{"id", "outputs": {model: text or {"output", ...}}, ...}``: the answers of several models beside a case
lm-eval   a row of lm-eval's ``samples_*.jsonl``: the raw responses, one a repeat
batch     a row of an OpenAI Batch output file: ``{"custom_id", "response": {"status_code", "body"}}``
========  =============================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from evalsvc.core.invalid import unknown_key
from evalsvc.core.records import Completion
from evalsvc.core.toml_source import KeyPath
from evalsvc.suites.strict_json import Fault
from evalsvc.suites.values import describe, identity, label, missing_or_wrong, natural, obj, objects, text, wrong

Row = dict[str, Any]

#: The keys of a native row.
KEYS = (
    "id",
    "output",
    "suite",
    "trial",
    "tool_calls",
    "finish_reason",
    "latency_s",
    "model",
    "input_tokens",
    "output_tokens",
)


class AnswerKey(NamedTuple):
    """Which request an answer answers. ``suite`` is empty where the row names none."""

    suite: str
    case_id: str
    trial: int


class Shape(Protocol):
    """How rows of one shape are read. Both methods raise `Fault` for a row that is wrong."""

    def keys(self, row: Row) -> list[AnswerKey]:
        """The answers a row holds; the row is checked whole."""

    def completion(self, row: Row, trial: int) -> Completion:
        """One of them."""


def shape_of(first: Row, model: str) -> Shape:
    """The shape of a file by its first row. ``model`` is the arm's, where a row has answers of several."""
    if "resps" in first:
        return _LmEval(first)
    if "custom_id" in first and "response" in first:
        return _Batch()
    return _ByModel(model) if "outputs" in first else _Native()


class _Native:
    def keys(self, row: Row) -> list[AnswerKey]:
        for key in row:
            if key not in KEYS:
                raise Fault(unknown_key(key, KEYS), (key,))
        self.completion(row, 0)
        trial = natural(row.get("trial"), ("trial",)) or 0
        return [AnswerKey(label(row.get("suite"), ("suite",)), _id(row), trial)]

    @staticmethod
    def completion(row: Row, trial: int) -> Completion:  # noqa: ARG004 - a row is one answer
        return _completion(row, ())


class _ByModel:
    def __init__(self, model: str) -> None:
        self._model = model

    def keys(self, row: Row) -> list[AnswerKey]:
        outputs = row.get("outputs")
        if type(outputs) is not dict:
            raise missing_or_wrong(row, "outputs", "an object of answers by model")
        if outputs.get(self._model) is None:
            return []
        self.completion(row, 0)
        return [AnswerKey("", _id(row), 0)]

    def completion(self, row: Row, trial: int) -> Completion:  # noqa: ARG002 - a row is one answer
        answer = row["outputs"][self._model]
        path: KeyPath = ("outputs", self._model)
        if type(answer) is str:
            return Completion(text=answer)
        if type(answer) is not dict:
            raise wrong(path, 'a string, or an object with "output"', answer)
        return _completion(answer, path)


class _LmEval:
    """Of a task with several filters each document stands there once a filter, with the same responses."""

    def __init__(self, first: Row) -> None:
        self._filter = first.get("filter")

    def keys(self, row: Row) -> list[AnswerKey]:
        if row.get("filter") != self._filter:
            return []
        case_id = _id(row, "doc_id")
        return [AnswerKey("", case_id, trial) for trial in range(len(_responses(row)))]

    @staticmethod
    def completion(row: Row, trial: int) -> Completion:
        return Completion(text=_responses(row)[trial])


class _Batch:
    @staticmethod
    def keys(row: Row) -> list[AnswerKey]:
        case_id = _id(row, "custom_id")
        if _body(row) is None:
            return []  # the request failed: no answer was recorded
        _Batch.completion(row, 0)
        return [AnswerKey("", case_id, 0)]

    @staticmethod
    def completion(row: Row, trial: int) -> Completion:  # noqa: ARG004 - a row is one answer
        path: KeyPath = ("response", "body")
        body = _body(row) or {}
        choices = body.get("choices")
        if type(choices) is not list or not choices or type(choices[0]) is not dict:
            raise missing_or_wrong(body, "choices", "the choices of a chat completion", path)
        inner = (*path, "choices", 0, "message")
        message = choices[0].get("message")
        if type(message) is not dict:
            raise missing_or_wrong(choices[0], "message", "an object", inner[:-1])
        usage = obj(body.get("usage"), (*path, "usage")) or {}
        return Completion(
            text=text(message.get("content"), (*inner, "content")) or "",
            finish_reason=text(choices[0].get("finish_reason"), (*inner[:-1], "finish_reason")),
            refusal=text(message.get("refusal"), (*inner, "refusal")),
            tool_calls=objects(message.get("tool_calls"), (*inner, "tool_calls")),
            model=label(body.get("model"), (*path, "model")) or None,
            input_tokens=natural(usage.get("prompt_tokens"), (*path, "usage", "prompt_tokens")),
            output_tokens=natural(usage.get("completion_tokens"), (*path, "usage", "completion_tokens")),
        )


def _id(row: Row, key: str = "id") -> str:
    if row.get(key) is None:
        raise missing_or_wrong(row, key, "the id of the case it answers, a string or an integer")
    return identity(row[key], (key,))


def _completion(answer: Mapping[str, Any], path: KeyPath) -> Completion:
    calls = _calls(answer.get("tool_calls"), (*path, "tool_calls"))
    output = answer.get("output")
    if type(output) is not str and not (output is None and calls):
        lack = "missing" if "output" not in answer else f"must be a string, got {describe(output)}"
        raise Fault(f"{lack}; the text of the answer (leave the row out where there is none)", (*path, "output"))
    _check_seconds(answer.get("latency_s"), (*path, "latency_s"))
    return Completion(
        text=output or "",
        finish_reason=text(answer.get("finish_reason"), (*path, "finish_reason")),
        tool_calls=calls,
        model=label(answer.get("model"), (*path, "model")) or None,
        input_tokens=natural(answer.get("input_tokens"), (*path, "input_tokens")),
        output_tokens=natural(answer.get("output_tokens"), (*path, "output_tokens")),
    )


def _calls(value: Any, path: KeyPath) -> list[dict[str, Any]] | None:
    """Tool calls as a chat completion has them; ``{"name", "arguments"}`` is made into one."""
    calls = objects(value, path)
    if calls is None:
        return None
    return [call if "function" in call else _call(call, (*path, index)) for index, call in enumerate(calls)]


def _call(call: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    if type(call.get("name")) is not str:
        raise missing_or_wrong(call, "name", "the name of the function that is called", path)
    arguments = call.get("arguments", {})
    if type(arguments) is not str:
        arguments = orjson.dumps(arguments).decode()
    return {"type": "function", "function": {"name": call["name"], "arguments": arguments}}


def _check_seconds(value: Any, path: KeyPath) -> None:
    """A latency that was measured elsewhere: it may stand there, and is never judged."""
    if value is not None and not (type(value) in (int, float) and value >= 0):
        raise wrong(path, "a number of seconds of at least 0", value)


def _responses(row: Row) -> list[str]:
    """The repeats of a row of lm-eval: ``resps`` has one list of them a request."""
    requests = row.get("resps")
    if type(requests) is not list or not requests or type(requests[0]) is not list or not requests[0]:
        raise missing_or_wrong(row, "resps", "an array of arrays of responses", ())
    for index, response in enumerate(requests[0]):
        if type(response) is not str:
            raise Fault(
                f"must be a text, got {describe(response)}: this task compared log-likelihoods, no answer was recorded",
                ("resps", 0, index),
            )
    if len(requests) > 1:
        raise Fault(f"must hold one request a document, got {len(requests)}", ("resps",))
    return list(requests[0])


def _body(row: Row) -> dict[str, Any] | None:
    response = obj(row.get("response"), ("response",))
    if response is None or response.get("status_code", 200) != 200:
        return None
    return obj(response.get("body"), ("response", "body"))
