"""The cases of a job file: each suite read from its data set, put as the job says."""

from __future__ import annotations

from collections.abc import Iterator

from evalsvc import jobfile
from evalsvc.core.records import Case, SuiteSpec
from evalsvc.suites.reading import read_suite


def cases_of(file: jobfile.JobFile, spec: SuiteSpec, *, max_row_bytes: int) -> Iterator[Case]:
    """The cases of a suite as they are asked, in the order of its data set. Raises `JobError` while iterating."""
    shown = None if spec.prompt is None else spec.prompt.examples
    return read_suite(
        file.files[spec.dataset],
        spec,
        name_for_errors=file.names[spec.dataset],
        max_row_bytes=max_row_bytes,
        examples=None if shown is None else (file.files[shown], file.names[shown]),
        answers=None if spec.answers is None else (file.files[spec.answers], file.names[spec.answers]),
    )
