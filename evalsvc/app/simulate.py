"""The rehearsal server, with what it must know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from evalsvc import jobfile
from evalsvc.core.records import Case, Role, ScorerSpec, SuiteSpec
from evalsvc.errors import ConfigError
from evalsvc.simulator import profile as profiles
from evalsvc.simulator.answers import AnswerBook
from evalsvc.simulator.replay import Replay
from evalsvc.simulator.server import build_app, serve
from evalsvc.suites.base import read_suite

#: The simulator reads what `run` has let pass.
_ANY_ROW = 2**30


async def simulate(
    *,
    profile_path: Path | None,
    replay_path: Path | None,
    job_path: Path | None,
    host: str,
    port: int,
    ready: Callable[[str], None],
) -> None:
    """Serve the simulator until cancelled; ``ready`` is told its base URL. Raises `JobError` for a bad file."""
    if replay_path is not None:
        web = build_app(replay=Replay.load(replay_path))
    else:
        profile = profiles.load(profile_path) if profile_path else profiles.Profile.default()
        web = build_app(profile=profile, book=AnswerBook.from_cases(_known_cases(job_path, profile.answers)))
    try:
        await serve(web, host, port, ready=lambda chosen: ready(f"http://{host}:{chosen}/v1"))
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _known_cases(job_path: Path | None, datasets: Sequence[Path]) -> Iterator[Case]:

    if job_path is not None:
        file = jobfile.read(job_path)
        for spec in file.job.suites:
            yield from read_suite(file.files[spec.dataset], spec, name_for_errors=spec.dataset, max_row_bytes=_ANY_ROW)
    for path in datasets:
        scorer = ScorerSpec(name="exact_match", label="exact_match")
        spec = SuiteSpec(name=path.stem, role=Role.TARGET, dataset=str(path), format="auto", scorers=(scorer,))
        yield from read_suite(path, spec, name_for_errors=str(path), max_row_bytes=_ANY_ROW)
