"""Every error the house raises on purpose.

::

    EvalsvcError
    ├── InputError                  something a person wrote is wrong: names file, line, key and what would be right
    │   ├── ConfigError             the configuration
    │   └── JobError                the job file, a data set, a simulator profile
    ├── StoreError                  the database
    │   ├── JobNotFound
    │   ├── IllegalTransition       a job cannot go from this state to that one
    │   ├── KeyReused               an idempotency key came again with another job
    │   ├── StoreFull               there is no room on its disk: goes on once there is
    │   ├── StoreBroken             its disk failed: nothing more may be written by this process
    │   ├── StoreBusy               another process holds the database
    │   └── StoreUnusable           it cannot be opened
    │       └── SchemaMismatch      a newer evalsvc wrote it, or it is none of ours
    ├── ProviderError               one model call did not give a completion
    │   ├── TransientError          asking again may help
    │   │   ├── RateLimited         429, with the server's own waiting time if it gave one
    │   │   ├── Overloaded          5xx
    │   │   ├── Unreachable         connection refused, reset, broken off
    │   │   └── Garbled             an answer that is none: HTML, broken JSON, no choices
    │   └── PermanentError          asking again cannot help
    │       ├── AuthenticationFailed    401, 403: stops the job
    │       ├── ModelNotFound           404: stops the job
    │       ├── RequestRejected         another 4xx
    │       ├── QuotaExhausted          429, the account's money or quota is used up
    │       ├── ContextOverflow         400, the prompt does not fit: the model's own failure
    │       ├── ContentRefused          a content filter refused the prompt: the model's own failure
    │       └── DeadlineExceeded        the hard time limit of an attempt passed
    ├── EndpointDown                an endpoint stayed down longer than the caller's patience
    ├── JobStopped                  a job cannot go on (wrong key, unknown model)
    ├── Drained                     a job was left off where it was, because its process is about to end
    └── ScoringError                a scorer cannot score this answer
"""

from __future__ import annotations

from typing import Any


class EvalsvcError(Exception):
    """Root of the tree."""


class InputError(EvalsvcError):
    """Something a person wrote is wrong.

    Args:
        message: what is wrong and what would be right, one sentence.
        file: the file it stands in, if it stands in one.
        line: 1-based line in that file.
        key: the key, dotted (``suites[0].scorer``).
    """

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        self.message, self.file, self.line, self.key = message, file, line, key
        super().__init__(str(self))

    def __str__(self) -> str:
        place = self.file or ""
        if self.file and self.line is not None:
            place += f":{self.line}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigError(InputError):
    """The configuration is wrong."""


class JobError(InputError):
    """The job file or something it names is wrong."""


class StoreError(EvalsvcError):
    """The database cannot do what was asked."""


class JobNotFound(StoreError):
    """No job of that id."""


class IllegalTransition(StoreError):
    """A job cannot go from its state to the one asked for."""


class KeyReused(StoreError):
    """An idempotency key came again, with another job."""


class StoreFull(StoreError):
    """There is no room on the database's disk; nothing was written, and the same may be tried again."""


class StoreBroken(StoreError):
    """The database's disk failed; what it holds is known only after it was opened anew."""


class StoreBusy(StoreError):
    """Another process holds the database."""


class StoreUnusable(StoreError):
    """The database cannot be opened."""


class SchemaMismatch(StoreUnusable):
    """The database was written by a newer evalsvc, or is not one of ours."""


class SchemaOlder(SchemaMismatch):
    """The database was written by an older evalsvc: the next one that writes to it brings it up to date."""


class ProviderError(EvalsvcError):
    """One model call did not give a completion.

    Args:
        message: what happened, without secrets.
        status: HTTP status, if one was received.

    ``quota`` is what the answer's headers said of the endpoint's limits, filled in by the provider.
    """

    kind = "protocol"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.quota: Any = None  # a core Quota; this module knows no other


class TransientError(ProviderError):
    """Asking again may help."""


class RateLimited(TransientError):
    """429. ``retry_after`` is the server's own waiting time in seconds, or None."""

    kind = "rate_limited"

    def __init__(self, message: str, *, status: int | None = 429, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class Overloaded(TransientError):
    """5xx. ``retry_after`` as in `RateLimited`."""

    kind = "server"

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class Unreachable(TransientError):
    """The connection was refused, reset or broken off."""

    kind = "network"


class Garbled(TransientError):
    """The server answered something that is no completion."""

    kind = "protocol"


class PermanentError(ProviderError):
    """Asking again cannot help."""


class AuthenticationFailed(PermanentError):
    """401 or 403."""

    kind = "rejected"


class ModelNotFound(PermanentError):
    """404 on the endpoint or the model."""

    kind = "rejected"


class RequestRejected(PermanentError):
    """Another 4xx."""

    kind = "rejected"


class QuotaExhausted(PermanentError):
    """429, but waiting does not help: the account's money or quota is used up."""

    kind = "rate_limited"


class ContextOverflow(PermanentError):
    """The prompt does not fit the model's context."""

    kind = "context_overflow"


class ContentRefused(PermanentError):
    """A content filter refused the prompt."""

    kind = "refused"


class DeadlineExceeded(PermanentError):
    """The hard time limit of an attempt passed."""

    kind = "timeout"


class EndpointDown(EvalsvcError):
    """An endpoint stayed down longer than the caller's patience."""


class JobStopped(EvalsvcError):
    """A job cannot go on."""


class Drained(EvalsvcError):
    """A job was left off where it was, because its process is about to end."""


class ScoringError(EvalsvcError):
    """A scorer cannot score this answer."""


def sole(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of ours inside nested groups, or the group itself when there is none."""
    error: BaseException = group.subgroup(EvalsvcError) or group
    while isinstance(error, BaseExceptionGroup) and error is not group:
        error = error.exceptions[0]
    return error
