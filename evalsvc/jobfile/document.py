"""What a job is held to: the document its ``spec_sha256`` is the SHA-256 of, and the job in it.

The document is the canonical JSON (RFC 8785) of ``{"files": {name: sha256}, "job": the parsed job file with all its
defaults, "limit": --limit or null}``. It is filed before the first request; whoever has it can hash it again and read
what was to be proven.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import rfc8785
from pydantic import ValidationError

from evalsvc.core.records import Job
from evalsvc.errors import JobError
from evalsvc.jobfile.models import JobTable
from evalsvc.jobfile.reader import JobFile
from evalsvc.jobfile.specs import job_of


def document_of(file: JobFile) -> str:
    """The document of a job file that has been read; its SHA-256 is ``file.job.spec_sha256``."""
    table = JobTable.model_validate(file.source.data)
    spec = {"job": table.model_dump(mode="json"), "files": file.sha256, "limit": file.job.limit}
    return rfc8785.dumps(spec).decode()


def sha256_of(document: str) -> str:
    """What ``spec_sha256`` has to be, in hex."""
    return hashlib.sha256(document.encode()).hexdigest()


def job_in(document: str) -> Job:
    """The job a document holds, its ``spec_sha256`` included. Raises `JobError` where it holds none."""
    try:
        spec: dict[str, Any] = orjson.loads(document)
        table = JobTable.model_validate(spec["job"])
        return job_of(table, spec["limit"], sha256_of(document))
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        raise JobError(f"the filed job is not one this evalsvc reads: {wrong['msg']}") from None
    except (ValueError, LookupError, TypeError):
        raise JobError("what is filed as the job is none") from None
