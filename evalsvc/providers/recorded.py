"""Recorded answers in place of a model: nothing is sent, each request is answered from what was recorded for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from evalsvc.core.records import Arm, Completion, Request
from evalsvc.errors import RequestRejected


class Answers(Protocol):
    """The recorded answers of one arm."""

    def find(self, suite: str, case_id: str, trial: int) -> Completion | None:
        """The answer to a request, or None where none was recorded."""

    def close(self) -> None:
        """Close the file they are in."""


class NotRecorded(RequestRejected):
    """No answer to this request was recorded: it is missing, which is neither wrong nor to be left out."""

    kind = "not_recorded"


class RecordedProvider:
    """The provider of the arms whose answers were recorded.

    Args:
        answers: of each such arm.
    """

    def __init__(self, answers: Mapping[Arm, Answers]) -> None:
        self._answers = answers

    async def complete(self, request: Request) -> Completion:
        """See `Provider.complete`. Raises `NotRecorded`; `JobStopped` when the recording has changed meanwhile."""
        await asyncio.sleep(0)  # an answer that is there at once must not keep the loop from all others
        if request.step != "answer":
            raise RequestRejected(f"recorded answers cannot be asked anything more (step {request.step!r})")
        completion = self._answers[request.arm].find(request.case.suite, request.case.id, request.trial)
        if completion is None:
            raise NotRecorded(f"no answer to case {request.case.id!r}, trial {request.trial}, was recorded")
        return completion

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        for answers in self._answers.values():
            answers.close()
