"""The rehearsal server, with what it must know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from evalsvc import jobfile
from evalsvc.app.cases import cases_of
from evalsvc.core.records import Case, Role, ScorerSpec, SuiteSpec
from evalsvc.errors import ConfigError
from evalsvc.simulator import profile as profiles
from evalsvc.simulator.answers import AnswerBook
from evalsvc.simulator.replay import Replay
from evalsvc.simulator.server import build_app, serve
from evalsvc.suites.reading import read_suite

#: The simulator reads what `run` has let pass.
_ANY_ROW = 2**30


async def simulate(
    *,
    profile_path: Path | None,
    replay_path: Path | None,
    job_path: Path | None,
    uploaded: bytes | None = None,
    host: str,
    port: int,
    ready: Callable[[str], None],
) -> None:
    """Serve the simulator until cancelled; ``ready`` is told its base URL. Raises `JobError` for a bad file.

    ``uploaded`` is a job that has no folder: JSON with the text of ``job`` and where its ``files`` lie.
    """
    if replay_path is not None:
        web = build_app(replay=Replay.load(replay_path))
    else:
        profile = profiles.load(profile_path) if profile_path else profiles.Profile.default()
        web = build_app(
            profile=profile, book=AnswerBook.from_cases(known_cases(_job(job_path, uploaded), profile.answers))
        )
    try:
        await serve(web, host, port, ready=lambda chosen: ready(f"http://{host}:{chosen}/v1"))
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _job(path: Path | None, uploaded: bytes | None) -> jobfile.JobFile | None:
    if uploaded is None:
        return None if path is None else jobfile.read(path)
    told = json.loads(uploaded)
    return jobfile.read_upload(told["job"].encode(), {name: Path(place) for name, place in told["files"].items()})


def known_cases(file: jobfile.JobFile | None, datasets: Sequence[Path]) -> Iterator[Case]:
    """The cases whose right answers the simulator knows: those of a job as they are asked, and of data sets."""
    if file is not None:
        for spec in file.job.suites:
            yield from cases_of(file, spec, max_row_bytes=_ANY_ROW)
    for path in datasets:
        scorer = ScorerSpec(name="exact_match", label="exact_match")
        spec = SuiteSpec(name=path.stem, role=Role.TARGET, dataset=str(path), format="auto", scorers=(scorer,))
        yield from read_suite(path, spec, name_for_errors=str(path), max_row_bytes=_ANY_ROW)
