"""Reads and checks a job and everything it names, before anything is created or anybody is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalsvc import config, jobfile
from evalsvc.app.cases import cases_of
from evalsvc.app.census import Census
from evalsvc.app.plugins import load_plugins, plugin_arguments
from evalsvc.app.prompts import Prompts
from evalsvc.app.work import Rehearsal, Work
from evalsvc.core.nearest import did_you_mean
from evalsvc.core.records import GATES, Arm, Case, SuiteSpec
from evalsvc.decide.verdict import gates
from evalsvc.engine.plan import planned_positions
from evalsvc.errors import JobError
from evalsvc.jobfile.reader import against_itself
from evalsvc.providers.settings import EndpointSettings
from evalsvc.scoring.base import AskingScorer, Scorer, build, is_judged
from evalsvc.suites.answers import RecordedAnswers
from evalsvc.suites.base import FORMATS
from evalsvc.suites.prompt import template_fault
from evalsvc.suites.reading import WITH_ANSWERS, detect, fitting


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob(Work):
    """A job that has been read and checked whole: every file, option, endpoint and key it names is there.

    ``counts`` are the cases of each suite and ``census`` what they look like, before ``--limit``; ``warnings`` belong
    into the record.
    """

    file: jobfile.JobFile
    counts: Mapping[str, int]
    census: Mapping[str, Census]
    warnings: Sequence[str]

    def cases(self, suite: str) -> Iterator[Case]:
        """The cases of a suite in the order of its data set."""
        spec = next(spec for spec in self.job.suites if spec.name == suite)
        return cases_of(self.file, spec, max_row_bytes=self.config.engine.max_row_mb * 2**20)

    def plain_cases(self, spec: SuiteSpec) -> Iterator[Case]:
        """The cases of a suite as they stand in its data set, whatever its prompt makes of them."""
        return cases_of(self.file, replace(spec, prompt=None), max_row_bytes=self.config.engine.max_row_mb * 2**20)

    def planned(self) -> Iterator[tuple[int, Case]]:
        """The cases that take part, with their positions.

        Raises:
            JobError: a data set is no longer what was hashed.
        """
        positions = planned_positions(self.counts, seed=self.job.seed, limit=self.job.limit)
        for suite, places in positions.items():
            for case, position in zip(self.cases(suite), places, strict=False):
                if position >= 0:
                    yield position, case
        self.file.check_unchanged()


def prepare(
    job_path: Path, *, config_path: Path | None = None, database: Path | None = None, limit: int | None = None
) -> PreparedJob:
    """Read and check a job and everything it names; nothing is created and nobody is asked.

    Raises:
        JobError, ConfigError: the first thing found wrong, with file, line, key.
    """
    settings = config.load(config_path, os.environ)
    load_plugins(settings)
    if database is not None:
        settings = replace(settings, store=settings.store.model_copy(update={"path": str(database)}))
    arguments = ("--job", str(job_path), *plugin_arguments(settings))
    return _prepared(jobfile.read(job_path, limit=limit), settings, Rehearsal(arguments=arguments))


def prepare_upload(
    raw: bytes, files: Mapping[str, Path], *, settings: config.Config, limit: int | None = None, itself: bool = False
) -> PreparedJob:
    """The same for a job that was uploaded: ``files`` are where those that came with it lie, by their path in the job.

    ``itself``: the baseline takes the candidate's place, too.

    Raises:
        JobError, ConfigError: the first thing found wrong, with file, line, key.
    """
    file = jobfile.read_upload(raw, files, limit=limit)
    return _prepared(against_itself(file) if itself else file, settings, Rehearsal(arguments=()))


def _prepared(file: jobfile.JobFile, settings: config.Config, rehearsal: Rehearsal) -> PreparedJob:
    endpoints = _endpoints(file, settings)
    _check_templates(file)
    _check_gates(file)
    prepared = PreparedJob(
        job=file.job,
        config=settings,
        file=file,
        endpoints=endpoints,
        keys={name: config.api_key(name, endpoint, os.environ) for name, endpoint in endpoints.items()},
        answers=_recorded(file, settings.engine.max_row_mb * 2**20),
        scorers={suite.name: _scorers(file, index) for index, suite in enumerate(file.job.suites)},
        rehearsal=rehearsal,
        counts={},
        formats=_formats(file, settings.engine.max_row_mb * 2**20),
        census={suite.name: Census() for suite in file.job.suites},
        warnings=[],
    )
    _check_judge(file, prepared.scorers)
    prompts = Prompts()
    counts = {suite.name: _check_cases(prepared, suite, prompts) for suite in file.job.suites}
    warnings = [*prompts.warnings(), *_guessed(prepared)]
    warnings += [warning for arm, answers in prepared.answers.items() for warning in _unclaimed(arm, answers)]
    return replace(prepared, counts=counts, warnings=warnings)


def _endpoints(file: jobfile.JobFile, settings: config.Config) -> dict[str, EndpointSettings]:
    asked = {arm.value: spec.endpoint for arm, spec in file.job.arms.items() if not spec.recorded}
    if file.job.judge is not None:
        asked["judge"] = file.job.judge.endpoint
    for table, name in asked.items():
        if name not in settings.endpoints:
            known = f"{did_you_mean(name, settings.endpoints)}known: {', '.join(sorted(settings.endpoints))}"
            raise file.error((table, "endpoint"), f"no endpoint {name!r} in the configuration; {known}")
    return {name: settings.endpoints[name] for name in asked.values()}


def _recorded(file: jobfile.JobFile, max_row_bytes: int) -> dict[Arm, RecordedAnswers]:
    """The recorded answers of each arm that has some, read and checked."""
    found = {}
    for arm, spec in file.job.arms.items():
        if spec.recorded and spec.outputs is not None:
            path, name = file.files[spec.outputs], file.names[spec.outputs]
            found[arm] = RecordedAnswers(path, model=spec.model, name=name, max_row_bytes=max_row_bytes)
    if found:
        file.check_unchanged()
    return found


def _unclaimed(arm: Arm, answers: RecordedAnswers) -> Iterator[str]:
    """A warning when answers belong to nothing that is asked. Raises `JobError` when all do."""
    count, line = answers.unclaimed()
    if count == len(answers):
        raise answers.error(f"none of its {count} answers belongs to a case of this job: are the ids alike?", line=line)
    if count:
        yield f"{arm.value}: {count} of {len(answers)} recorded answers belong to no case (the first: line {line})"


def _scorers(file: jobfile.JobFile, index: int) -> list[tuple[str, Scorer]]:

    scorers = []
    for place, spec in enumerate(file.job.suites[index].scorers):
        key = ("suites", index, *(("also", place - 1) if place else ("scorer",)))
        try:
            scorers.append((spec.label, build(spec)))
        except JobError as error:
            option = (error.key,) if error.key and error.key in spec.options else ()
            raise file.error((*key, *option), error.message) from None
        if is_judged(scorers[-1][1]) and file.job.judge is None:
            said = f"{spec.name} asks a judge: name one in the table [judge] (endpoint, model)"
            raise file.error(key, said)
        wrong = _misplaced(spec.label, scorers[-1][1], primary=place == 0) or _unaskable(file, scorers[-1][1])
        if wrong is not None:
            raise file.error(key, wrong)
    return scorers


def _misplaced(label: str, scorer: Scorer, *, primary: bool) -> str | None:
    """Why a scorer cannot stand where it does, or be called what it is; None where it can."""
    low, high = scorer.bounds
    if primary and (low < 0 or high > 1):
        return "gates need scores from 0 to 1, and its scores are others: it can stand in also, not as scorer"
    if isinstance(scorer, AskingScorer) and (label == "answer" or "/" in label):
        return f'what it asks is recorded under its label: "{label}" cannot be one (not "answer", no "/")'
    return None


def _unaskable(file: jobfile.JobFile, scorer: Scorer) -> str | None:
    """Why nobody is there for what a scorer asks the model of an arm; None where somebody is."""
    recorded = next((arm.value for arm, spec in file.job.arms.items() if spec.recorded), None)
    if recorded is None or not isinstance(scorer, AskingScorer) or scorer.judged or not scorer.calls:
        return None
    said = f"it asks the model that answered, and the answers of the {recorded} are recorded"
    return f"{said}: remove it, or name an endpoint for the {recorded}"


def _check_judge(file: jobfile.JobFile, scorers: Mapping[str, Sequence[tuple[str, Scorer]]]) -> None:
    """A judge that nobody asks is a mistake: of whoever forgot the scorer, or left the table behind."""
    if file.job.judge is not None and not any(is_judged(scorer) for found in scorers.values() for _, scorer in found):
        raise file.error(("judge",), "no suite asks it: use the scorer judge or judge_pair, or remove the table")


def _check_gates(file: jobfile.JobFile) -> None:
    for spec in file.job.gates:
        if spec.name not in gates:
            names = (*GATES, *(name for name in gates if name not in GATES))
            known = f"{did_you_mean(spec.name, names)}known: {', '.join(names)}"
            raise file.error(("gates", spec.name), f"unknown gate; {known} ([plugins] in config.toml brings others)")


def _check_templates(file: jobfile.JobFile) -> None:
    for index, spec in enumerate(file.job.suites):
        fault = None if spec.prompt is None else template_fault(spec.prompt.template)
        if fault is not None:
            raise file.error(("suites", index, "prompt", "template"), fault)


def _formats(file: jobfile.JobFile, max_row_bytes: int) -> dict[str, str]:
    """The format each suite is read in, those found by looking included."""
    found = {}
    for index, spec in enumerate(file.job.suites):
        if spec.format != "auto" and spec.format not in FORMATS:
            names = ("auto", *FORMATS)
            known = f"{did_you_mean(spec.format, names)}known: {', '.join(names)}"
            raise file.error(("suites", index, "format"), f"unknown format {spec.format!r}; {known}")
        path = file.files[spec.dataset]
        name = detect(path, spec, name_for_errors=file.names[spec.dataset], max_row_bytes=max_row_bytes)
        if spec.answers is not None and name not in WITH_ANSWERS:
            said = f"not with the format {name}: its rows hold what is expected; {', '.join(WITH_ANSWERS)} may have one"
            raise file.error(("suites", index, "answers"), said)
        found[spec.name] = name
    return found


def _guessed(prepared: PreparedJob) -> Iterator[str]:
    """What was found by looking and could as well have been another: said in the record."""
    for spec in prepared.job.suites:
        if spec.format != "auto":
            continue
        file = prepared.file
        max_row_bytes = prepared.config.engine.max_row_mb * 2**20
        first, *others = fitting(
            file.files[spec.dataset], spec, name_for_errors=file.names[spec.dataset], max_row_bytes=max_row_bytes
        )
        if others:
            named = f'format = "{first}" says so'
            yield f"suite {spec.name}: {spec.dataset} was read as {first}; it may be {' or '.join(others)} ({named})"


def _check_cases(prepared: PreparedJob, spec: SuiteSpec, prompts: Prompts) -> int:
    """Read a suite whole; raises `JobError` for a case that its scorers cannot score."""
    suite = spec.name
    count = 0
    for case in prepared.cases(suite):
        count += 1
        prepared.census[suite].add(case, spec.cluster)
        for answers in prepared.answers.values():
            answers.claim(suite, case.id, prepared.job.trials)
        if spec.prompt is None:
            prompts.add(spec.role, case)
        if spec.cluster is not None and case.metadata.get(spec.cluster) is None:
            said = f'must name the cluster of the case (cluster = "{spec.cluster}" in the job)'
            file = prepared.file.names[spec.dataset]
            raise JobError(said, file=file, line=case.line, key=f"metadata.{spec.cluster}")
        for label, scorer in prepared.scorers[suite]:
            lack = scorer.check(case)
            if lack is not None:
                file = prepared.file.names[spec.dataset]
                raise JobError(f"{lack} (scorer {label!r})", file=file, line=case.line, key=scorer.needs)
    if spec.prompt is not None:  # template and examples aside, or nothing would look like a training case
        for case in prepared.plain_cases(spec):
            prompts.add(spec.role, case)
    return count
