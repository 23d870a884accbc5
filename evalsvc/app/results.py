"""What a job leaves behind, in every format."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EISDIR
from os import strerror
from pathlib import Path
from typing import IO, Any

from evalsvc.app.reading import one_job, record_of, run
from evalsvc.app.signing import SignedView
from evalsvc.core.records import Arm, Job
from evalsvc.core.view import FlippedCase, ReportView
from evalsvc.decide.statement import ENVELOPE_FILE
from evalsvc.reports import eee, html, inspect_log, junit, markdown, rows, text
from evalsvc.store.exports import Exports
from evalsvc.store.views import Views

#: Every format, by the ending of a file that asks for it.
FORMATS = {
    "text": "txt",
    "md": "md",
    "html": "html",
    "json": "json",
    "junit": "xml",
    "csv": "csv",
    "jsonl": "jsonl",
    "inspect": "inspect.json",
    "eee": "eee.json",
}
#: Those that need no decision: they give what is recorded so far.
OF_ANY_JOB = {"csv", "jsonl"}

#: Takes a report piece by piece.
Sink = Callable[[str], object]


def write_results(view: SignedView, folder: Path) -> None:
    """Write ``decision.json``, its envelope and ``report.html``; each appears whole or not at all. Raises OSError.

    No envelope of an earlier record stays beside a record that has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {"decision.json": json.dumps(view.record, indent=1) + "\n", "report.html": html.render(view)}
    if view.envelope is None:
        (folder / ENVELOPE_FILE).unlink(missing_ok=True)
    else:
        files = {ENVELOPE_FILE: json.dumps(view.envelope) + "\n", **files}
    for name, content in files.items():
        with whole_file(folder / name) as file:
            file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A file to write that appears under its name when it is whole, or not at all. Raises OSError.

    It is on disk before it has its name, and its name when this returns: a power cut leaves no empty file.
    """
    if path.is_dir():
        raise IsADirectoryError(EISDIR, strerror(EISDIR), str(path))
    half = path.with_name(f".{path.name}.part")
    try:
        with half.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
        _sync_folder(path.parent)
    finally:
        half.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def report_text(view: ReportView, *, color: bool, width: int) -> str:
    """The report for a terminal."""
    return text.render(view, color=color, width=width)


def write_report(
    database: Path, wanted: str, name: str, sink: Sink, *, color: bool, width: int, arm: str = "candidate"
) -> str | None:
    """Write a job's report in the format called ``name``, piece by piece; of one ``arm`` where that knows one model.

    Returns:
        A remark where the report holds less than a reader may think.

    Raises:
        StoreError: there is no such job, or it is not decided and the format needs that.
    """

    async def read() -> str | None:
        async with one_job(database, wanted) as (reader, listing, job_id):
            job = await listing.job(job_id)
            if name in OF_ANY_JOB:
                await _rows(Exports(reader), job, job_id, name, sink)
                entry = await listing.entry(job_id)
                left = f"{entry.recorded:,} of {entry.total:,} answers are recorded"
                return None if entry.decision else f"job {job_id} is {entry.state}: {left}"
            record = await record_of(listing, job_id)
            if name == "junit":
                await _junit(Exports(reader), job, job_id, record, sink)
            elif name == "inspect":
                await _inspect(Exports(reader), job, job_id, record, Arm(arm), sink)
            elif name == "eee":
                sink(eee.render(job, record, Arm(arm), _bounds()))
            else:
                view = await Views(reader).report(job, job_id, record)
                sink(_whole(view, name, color=color, width=width))
            return None

    return run(read)


def _whole(view: ReportView, name: str, *, color: bool, width: int) -> str:
    if name == "json":
        flips = [_flip(flip) for flip in view.flips]
        return json.dumps({"record": view.record, "flips": flips, "flips_total": view.flips_total}, indent=1) + "\n"
    if name == "text":
        return text.render(view, color=color, width=width)
    return html.render(view) if name == "html" else markdown.render(view)


def _flip(flip: FlippedCase) -> dict[str, Any]:
    answers = {
        arm.value: {"status": each.status, "kind": each.kind, "score": each.score, "text": each.text}
        for arm, each in flip.answers.items()
    }
    place = {"suite": flip.suite, "role": flip.role, "case": flip.case_id, "category": flip.category}
    return {**place, "delta": flip.delta, "input": flip.input, "expected": flip.expected, "answers": answers}


async def _rows(exports: Exports, job: Job, job_id: str, name: str, sink: Sink) -> None:
    labels = list(dict.fromkeys(scorer.label for suite in job.suites for scorer in suite.scorers))
    if name == "csv":
        sink(rows.csv_head(labels))
    async for chunk in exports.outcomes(job_id):
        sink(rows.csv_lines(job_id, chunk, labels) if name == "csv" else rows.json_lines(job_id, chunk))


def _bounds() -> dict[str, tuple[float, float]]:
    from evalsvc.scoring.base import SCORERS  # noqa: PLC0415 - all scorers, for this format alone

    return {name: SCORERS[name].bounds for name in SCORERS}


async def _inspect(exports: Exports, job: Job, job_id: str, record: Any, arm: Arm, sink: Sink) -> None:
    sink(inspect_log.opening(job, record, arm))
    first = True
    async for chunk in exports.outcomes(job_id):
        written = inspect_log.samples(chunk, job, arm, first=first)
        sink(written)
        first = first and not written
    sink(inspect_log.closing())


async def _junit(exports: Exports, job: Job, job_id: str, record: Any, sink: Sink) -> None:
    """Every suite is read twice: a suite says how many cases of it failed before it names them."""
    gates = junit.gate_results(record)
    tallies = [junit.Tally() for _ in range(1 + len(job.suites))]
    for gate in gates:
        tallies[0].add(gate)
    for suite, tally in zip(job.suites, tallies[1:], strict=True):
        async for case in exports.cases(job_id, suite.name):
            tally.add(junit.case_result(suite, case))
    sink(junit.opening(record, tallies) + junit.suite_opening("gates", tallies[0], properties={}))
    sink("".join(junit.test_case(gate) for gate in gates) + junit.suite_closing())
    model = job.arms[Arm.CANDIDATE].model
    for suite, tally in zip(job.suites, tallies[1:], strict=True):
        properties = {"role": suite.role.value, "scorer": suite.scorers[0].label, "model": model}
        properties |= junit.judge_property(record, suite)
        sink(junit.suite_opening(suite.name, tally, properties=properties))
        async for case in exports.cases(job_id, suite.name):
            sink(junit.test_case(junit.case_result(suite, case)))
        sink(junit.suite_closing())
    sink(junit.closing())
