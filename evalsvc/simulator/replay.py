"""Recorded outputs of real models, answered by model and prompt.

A file of rows ``{"model": str, "prompt": str, "output": str}``, one JSON object a line; the prompt is the text of the
last user message.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from evalsvc.errors import JobError
from evalsvc.simulator.answers import prompt_key
from evalsvc.simulator.brain import Reply, Tools

_KEYS = ("model", "prompt", "output")


class Replay:
    """A brain that knows recorded outputs and nothing else."""

    fingerprint = "fp_sim_replay"

    def __init__(self, outputs: dict[str, dict[int, str]]) -> None:
        self.models = tuple(outputs)
        self._outputs = outputs

    @classmethod
    def load(cls, path: Path) -> Replay:
        """Reads a recording.

        Raises JobError with file, line and key for a bad row, and for a prompt that has two different outputs of one
        model: which of them to answer would be a guess.
        """
        outputs: dict[str, dict[int, str]] = {}
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

    def reply(self, model: str, prompt: str, tools: Tools = None) -> Reply:  # noqa: ARG002 - a recording has none
        """The recorded output, at once. Raises LookupError when there is none."""
        key = prompt_key(prompt)
        try:
            return Reply(id=f"chatcmpl-sim-{key:016x}", text=self._outputs[model][key])
        except KeyError:
            raise LookupError(f"no recorded output of {model!r} for this prompt") from None

    def unask(self, model: str, prompt: str, tools: Tools = None) -> None:
        """A recording is the same every time."""


def _add(outputs: dict[str, dict[int, str]], line: bytes, file: str, number: int) -> None:
    row = _parse(line, file, number)
    for key in row:
        if key not in _KEYS:
            raise JobError(f"unknown key; a row has {', '.join(_KEYS)}", file=file, line=number, key=key)
    for key in _KEYS:
        if not isinstance(row.get(key), str):
            raise JobError("must be a string" if key in row else "is missing", file=file, line=number, key=key)
    known = outputs.setdefault(row["model"], {})
    if known.setdefault(prompt_key(row["prompt"]), row["output"]) != row["output"]:
        message = f"{row['model']!r} has another output for this prompt in an earlier row"
        raise JobError(message, file=file, line=number, key="output")


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
