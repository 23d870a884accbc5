"""When everything is answered: evidence → verdicts → decision → record."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
from anyio.to_thread import run_sync

import evalsvc
from evalsvc.core import canonical
from evalsvc.core.evidence import ArmTotals, FollowUpTotals
from evalsvc.core.listing import rfc3339
from evalsvc.core.merkle import Tree
from evalsvc.core.records import Arm, Job
from evalsvc.core.states import JobState
from evalsvc.decide import decide, judge_all, record
from evalsvc.decide.calibration import key_of, objections
from evalsvc.decide.provenance import Price, Provenance, bound
from evalsvc.decide.statement import ENVELOPE_FILE, statement
from evalsvc.engine.corpus import corpus_scores
from evalsvc.engine.looks import stored_looks
from evalsvc.scoring.base import SCORERS, AskingScorer, Scorer
from evalsvc.store.commitments import CASE_FORMAT, OUTCOME_FORMAT, TREE_FORMAT, Commitments
from evalsvc.store.database import SQLITE_VERSION
from evalsvc.store.jobs import JobRow, JobStore
from evalsvc.store.views import Views

if TYPE_CHECKING:
    from evalsvc.core.dsse import Signer

_LIBRARIES = (
    *("aiohttp", "aiosqlite", "cryptography", "jsonschema-rs", "numpy", "openai", "orjson", "rapidfuzz", "regex"),
    *("rfc8785", "scipy", "tenacity", "uvloop"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a record says that no row of its job can: `verify` takes it from the record.

    ``environment`` and ``scorers`` (by name) are versions; ``prices`` per million tokens, (input, output), None where
    the configuration gives none, and ``judge_price`` the judge's; ``warnings`` stand after those that the rows
    themselves give; ``formats`` are those the suites' data sets were read in, by suite.
    """

    environment: Mapping[str, str]
    scorers: Mapping[str, str]
    prices: Mapping[Arm, Price | None]
    judge_price: Price | None
    warnings: Sequence[str]
    formats: Mapping[str, str]


class Finalizer:
    """Decides a job that has been asked.

    Args:
        jobs, views, commitments: where the job and its outcomes live.
        prices: (input, output) per million tokens of an arm, or None where the configuration gives none.
        judge_price: the same of the judge.
        signer: signs the record, where a key is configured.
        formats: what each suite's data set was read in, those found by looking included.
    """

    def __init__(
        self,
        *,
        jobs: JobStore,
        views: Views,
        commitments: Commitments,
        prices: Mapping[Arm, Price | None],
        judge_price: Price | None = None,
        signer: Signer | None = None,
        formats: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._jobs = jobs
        self._views = views
        self._commitments = commitments
        self._prices = prices
        self._judge_price = judge_price
        self._signer = signer
        self._formats = formats

    async def run(self, job: Job, job_id: str, *, warnings: list[str], now: float) -> dict[str, Any]:
        """Judge, decide, sign, and file the record. ``warnings`` are put after those that the evidence itself gives."""
        await self._jobs.move(job_id, JobState.DECIDING)
        row = await self._jobs.get(job_id)
        told = Circumstances(
            environment=environment(),
            scorers=scorer_versions(job),
            prices=self._prices,
            judge_price=self._judge_price,
            warnings=warnings,
            formats=self._formats,
        )
        plain = await make_record(job, row, self._views, told, finished_at=now)
        # the trees come last: their marks and the evidence, a number for each answer both, never lie in memory together
        cases, outcomes = await self._commitments.cases(job_id), await self._commitments.outcomes(job_id)
        made, envelope = self._signed(committed(plain, job, row, told, cases, outcomes))
        await self._jobs.finish(
            job_id, made, now=now, envelope=envelope, case_marks=cases.marks, outcome_marks=outcomes.marks
        )
        return made

    def _signed(self, made: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The record and its envelope; where there is no key, the record as it is."""
        if self._signer is None:
            return made, None
        envelope = self._signer.sign(canonical.dumps(statement(made)))
        return {**made, "signature": {"keyid": self._signer.keyid, "envelope": ENVELOPE_FILE}}, envelope


async def make_record(
    job: Job, row: JobRow, views: Views, told: Circumstances, *, finished_at: float
) -> dict[str, Any]:
    """Evidence → verdicts → decision → record, yet without what it commits to (`committed`).

    Both the finalizer and `verify` go this one way.

    Args:
        job: what was asked.
        row: the job as it is filed.
        views: give the evidence.
        told: what the rows cannot say.
        finished_at: Unix seconds.
    """
    stopping = await stored_looks(views, job, row.id)
    ends = {} if stopping is None else stopping.closed
    evidence = await views.evidence(job, row.id, ends=ends, judged=judged_labels(job))
    results = await run_sync(judge_all, evidence, job, stopping)  # other jobs' latencies are measured meanwhile
    calibration = await _calibration(views, row, until=finished_at)
    return record.build(
        _read_in(job, told.formats),
        row.id,
        evidence,
        results,
        decide(results, objections(job, calibration)),
        started_at=rfc3339(row.started_at or row.created_at),
        finished_at=rfc3339(finished_at),
        environment=told.environment,
        costs={arm: _cost(evidence.totals[arm], told.prices[arm]) for arm in Arm},
        follow_up_costs={arm: _cost(asked, told.prices[arm]) for arm, asked in evidence.follow_ups.items()},
        judge_cost=_cost(evidence.asked_judge, told.judge_price),
        warnings=[*_resumed(row), *told.warnings],
        stopping=stopping,
        calibration=calibration,
        corpus=await corpus_scores(job, row.id, views, ends),
        no_shares=_no_shares(job),
    )


def committed(
    made: Mapping[str, Any], job: Job, row: JobRow, told: Circumstances, cases: Tree, outcomes: Tree
) -> dict[str, Any]:
    """A record with what it commits to: its files, and the trees over its cases and outcomes; unsigned."""
    provenance = Provenance(
        files=_files(row.document),
        cases=cases,
        outcomes=outcomes,
        formats={"tree": TREE_FORMAT, "case": CASE_FORMAT, "outcome": OUTCOME_FORMAT},
        scorers=told.scorers,
        prices=told.prices,
        judge_price=told.judge_price,
    )
    return bound(made, job.suites, provenance)


def _read_in(job: Job, formats: Mapping[str, str]) -> Job:
    """The job, its formats those that were found where it says ``auto``."""
    found = {suite.name: formats.get(suite.name, "auto") for suite in job.suites if suite.format == "auto"}
    return replace(
        job, suites=tuple(replace(suite, format=found.get(suite.name, suite.format)) for suite in job.suites)
    )


async def _calibration(views: Views, row: JobRow, *, until: float) -> dict[str, Any] | None:
    """The newest calibration stored before a job was decided, its time in words."""
    found = await views.calibration(key_of(row.document), until=until) if row.document else None
    return None if found is None else {**found, "created_at": rfc3339(found["created_at"])}


def _files(document: str) -> dict[str, str]:
    """The SHA-256 of every file the job names, by name."""
    digests: dict[str, str] = orjson.loads(document)["files"] if document else {}
    return digests


def _asking(name: str) -> type[AskingScorer] | None:
    plugin = SCORERS[name] if name in SCORERS else Scorer  # noqa: SIM401 - a registry has no `get`
    return plugin if issubclass(plugin, AskingScorer) else None


def judged_labels(job: Job) -> dict[str, list[str]] | None:
    """By suite the labels of scores that ask the judge; None for a job none of whose scores asks anybody."""
    asking = {suite.name: [(s.label, each) for s in suite.scorers if (each := _asking(s.name))] for suite in job.suites}
    if not any(asking.values()):
        return None
    judged = {suite: [label for label, each in found if each.judged] for suite, found in asking.items()}
    return {suite: labels for suite, labels in judged.items() if labels}


def _no_shares(job: Job) -> dict[str, list[str]]:
    """By suite the labels of scores that reach beyond 0 to 1, and so are no shares of anything."""
    return {suite.name: [s.label for s in suite.scorers if _reaches_beyond(s.name)] for suite in job.suites}


def _reaches_beyond(name: str) -> bool:
    low, high = SCORERS[name].bounds if name in SCORERS else Scorer.bounds
    return low < 0 or high > 1


def scorer_versions(job: Job) -> dict[str, str]:
    """By name the version of each scorer of a job that is here: evalsvc's, or the SHA-256 of a plug-in's source."""
    names = {scorer.name for suite in job.suites for scorer in suite.scorers}
    return {name: _version_of(SCORERS[name]) for name in sorted(names) if name in SCORERS}


def _version_of(scorer: type[Scorer]) -> str:
    if scorer.__module__.startswith("evalsvc."):
        return f"evalsvc {evalsvc.__version__}"
    source = sys.modules[scorer.__module__].__file__
    digest = sha256(Path(source).read_bytes()).hexdigest() if source else "unknown"
    return f"{scorer.__module__} sha256:{digest}"


@cache
def environment() -> Mapping[str, str]:
    """What made a record: versions of everything that can change a number in it."""
    return {
        "evalsvc": evalsvc.__version__,
        "python": platform.python_version(),
        "sqlite": SQLITE_VERSION,
        "platform": platform.platform(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _cost(totals: ArmTotals | FollowUpTotals | None, price: Price | None) -> float | None:
    if totals is None or price is None or totals.input_tokens is None or totals.output_tokens is None:
        return None
    return (totals.input_tokens * price[0] + totals.output_tokens * price[1]) / 1e6


def _resumed(row: JobRow) -> list[str]:
    if not row.resumes:
        return []
    times = "once" if row.resumes == 1 else f"{row.resumes} times"
    return [f"stopped and resumed {times}: latencies were measured in more than one sitting"]
