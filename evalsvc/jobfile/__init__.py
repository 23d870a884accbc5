"""job.toml ⇄ `Job`: the job file's grammar, its errors with file, line and key, and what it rests on as one hash."""

from evalsvc.jobfile.models import schema
from evalsvc.jobfile.reader import JobFile, read, read_upload

__all__ = ["JobFile", "read", "read_upload", "schema"]
