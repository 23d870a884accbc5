"""Recorded outputs of real models, answered by model and prompt.

A file of rows ``{"model", "prompt", "output", "tool_calls"}``, one JSON object a line; the prompt is the text of the
last user message, ``tool_calls`` are as a chat completion has them, or ``{"name", "arguments"}``; of ``output`` and
``tool_calls`` one has to be there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from evalsvc.errors import JobError
from evalsvc.simulator.answers import prompt_key
from evalsvc.simulator.brain import Reply, Tools

_KEYS = ("model", "prompt", "output", "tool_calls")


@dataclass(frozen=True, slots=True)
class _Output:
    text: str
    calls: tuple[dict[str, Any], ...] = ()


class Replay:
    """A brain that knows recorded outputs and nothing else."""

    fingerprint = "fp_sim_replay"

    def __init__(self, outputs: dict[str, dict[int, _Output]]) -> None:
        self.models = tuple(outputs)
        self._outputs = outputs

    @classmethod
    def load(cls, path: Path) -> Replay:
        """Reads a recording.

        Raises JobError with file, line and key for a bad row, and for a prompt that has two different outputs of one
        model: which of them to answer would be a guess.
        """
        outputs: dict[str, dict[int, _Output]] = {}
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        _add(outputs, line, str(path), number)
        except OSError as error:
            raise JobError(f"cannot be read: {error.strerror}", file=str(path)) from None
        if not outputs:
            raise JobError("holds no recorded output", file=str(path))
        return cls(outputs)

    def reply(self, model: str, prompt: str, tools: Tools = None) -> Reply:  # noqa: ARG002 - a recording names no tools
        """The recorded output, at once. Raises LookupError when there is none."""
        key = prompt_key(prompt)
        try:
            found = self._outputs[model][key]
        except KeyError:
            raise LookupError(f"no recorded output of {model!r} for this prompt") from None
        return Reply(id=f"chatcmpl-sim-{key:016x}", text=found.text, calls=found.calls)

    def unask(self, model: str, prompt: str, tools: Tools = None) -> None:
        """A recording is the same every time."""


def _add(outputs: dict[str, dict[int, _Output]], line: bytes, file: str, number: int) -> None:
    row = _parse(line, file, number)
    for key in row:
        if key not in _KEYS:
            raise JobError(f"unknown key; a row has {', '.join(_KEYS)}", file=file, line=number, key=key)
    calls = _calls(row.get("tool_calls"), file, number)
    for key in _KEYS[:3]:
        if not isinstance(row.get(key), str) and not (key == "output" and calls and row.get(key) is None):
            raise JobError("must be a string" if key in row else "is missing", file=file, line=number, key=key)
    output, known = _Output(row.get("output") or "", calls), outputs.setdefault(row["model"], {})
    if known.setdefault(prompt_key(row["prompt"]), output) != output:
        message = f"{row['model']!r} has another output for this prompt in an earlier row"
        raise JobError(message, file=file, line=number, key="output")


def _calls(given: Any, file: str, number: int) -> tuple[dict[str, Any], ...]:
    """Each as {"name", "arguments"}; arguments that are a text stay the text the model wrote."""
    if given is None:
        return ()
    calls = [call.get("function", call) if isinstance(call, dict) else None for call in _listed(given)]
    if not calls or not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        message = 'must be an array of calls, each {"name", "arguments"} or as a chat completion has it'
        raise JobError(message, file=file, line=number, key="tool_calls")
    return tuple({"name": call["name"], "arguments": call.get("arguments", {})} for call in calls if call)


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _parse(line: bytes, file: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise JobError("is not UTF-8", file=file, line=number) from None
    except (ValueError, RecursionError) as error:
        raise JobError(f"is not JSON: {error}", file=file, line=number) from None
    if not isinstance(row, dict):
        raise JobError("must be a JSON object", file=file, line=number)
    return row


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return row


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
