"""Takes the looks of a job that may stop early, as its answers come in or over those that are stored.

What a look says follows from the job and the stored answers alone: not from when they came, nor in which process. So a
job that was killed goes on to the same looks, and its decision is made from looks that are all taken again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import anyio
from anyio.to_thread import run_sync

from evalsvc.core.records import Job, Outcome
from evalsvc.decide.sequential import Stopping, look
from evalsvc.store.scores import ScoreReader
from evalsvc.store.views import Stretch, Views


class Looks:
    """The looks of one job; `open_looks` makes them.

    A look is due when every case up to it has all its answers, from both arms; cases of suites that are asked no
    further are not waited for.

    Args:
        job: what is asked.
        stopping: where its looks have led, none taken yet.
        scores: its scores, none read yet.
        cases: how many there are, by stretch between two looks and by suite.
        answers: how many of theirs are durable.
    """

    def __init__(
        self, job: Job, stopping: Stopping, scores: ScoreReader, cases: Counter[Stretch], answers: Counter[Stretch]
    ) -> None:
        self.stopping = stopping
        self._job = job
        self._scores = scores
        self._cases = cases
        self._answers = answers
        self._every = stopping.every
        self._per_case = job.trials * len(job.arms)
        self._news = anyio.Event()

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count answers that have just become durable."""
        every = self._every
        self._answers.update([(o.case.position // every, o.case.suite) for o in outcomes if o.step == "answer"])
        if self._due():
            self._news.set()

    async def run(self, closed: Callable[[], None]) -> None:
        """Take each look as it falls due, up to the last; ``closed`` is called when suites need no more answers."""
        while self.stopping.next_look is not None:
            await self._news.wait()
            self._news = anyio.Event()
            before = self.stopping.open
            await self.take()
            if self.stopping.open != before:
                closed()

    async def take(self) -> Stopping:
        """Take every look that is due."""
        while self._due():
            tables = await self._scores.read(self.stopping.next_look or 0)
            self.stopping = await run_sync(look, self._job, self.stopping, tables)
        return self.stopping

    @property
    def expected(self) -> int:
        """Answers the job will have if nothing more is closed, but for those in flight when a suite was."""
        open_suites = self.stopping.open
        asked = sum(cases * self._per_case for (_, suite), cases in self._cases.items() if suite in open_suites)
        return asked + sum(answers for (_, suite), answers in self._answers.items() if suite not in open_suites)

    def _due(self) -> bool:
        stretch = self.stopping.looks
        return self.stopping.next_look is not None and all(
            self._answers[stretch, suite] == self._cases[stretch, suite] * self._per_case
            for suite in self.stopping.open
        )


async def open_looks(views: Views, job: Job, job_id: str) -> Looks | None:
    """The looks of a job, with the answers that are stored; None for a job that is asked whole."""
    if job.stop == "never":
        return None
    stopping = Stopping(planned=await views.sizes(job_id))
    cases, answers = await views.stretches(job_id, stopping.every)
    return Looks(job, stopping, views.scores(job, job_id), cases, answers)


async def stored_looks(views: Views, job: Job, job_id: str) -> Stopping | None:
    """Where the looks over the stored answers lead; None for a job that is asked whole."""
    looks = await open_looks(views, job, job_id)
    return None if looks is None else await looks.take()
