"""The log of the daemon: a JSON object a line on stderr, an event's name and its values, no prose and no secrets."""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from evalsvc.core.settings import TelemetrySettings

_HIDDEN = "[hidden]"
_SECRET_KEYS = re.compile(r"(?i)authorization|cookie|password|secret|api[-_]?key|^token$")
#: What a secret looks like wherever it stands: a bearer's token, a key of a provider, a password in a URL.
_SECRET_TEXTS = re.compile(r"(?i)(?<=bearer )[^\s\"']+|\bsk-[\w-]{8,}|(?<=://)[^\s/@]+(?=@)")
_LONGEST = 4000
_OF_A_LIBRARY = "library.log"
_EXTRA = structlog.stdlib.ExtraAdder()
#: Lines that wait for a reader of stderr; those beyond are lost, and counted.
_WAITING = 10_000
_LAST_S = 2.0


@contextmanager
def logging_to(stream: TextIO, settings: TelemetrySettings, secrets: Iterable[str] = ()) -> Iterator[None]:
    """Meanwhile everything that is logged goes to ``stream``; no log call waits for whoever reads it.

    Libraries log from WARNING on; ``secrets`` are hidden wherever they stand.
    """
    handler = _Unhurried(stream)
    handler.setFormatter(_formatter(settings, secrets))
    root, ours = logging.getLogger(), logging.getLogger("evalsvc")
    before = root.handlers[:], root.level, ours.level
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    ours.setLevel(settings.log_level.upper())
    try:
        yield
    finally:
        root.handlers = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
        handler.close()


def bind(**values: str) -> None:
    """From here on every line that this task logs, and every task it starts, has these values too."""
    structlog.contextvars.bind_contextvars(**values)


def get_log(name: str) -> structlog.stdlib.BoundLogger:
    """A logger of ours: ``log.info("job.state", job=job_id, state="done")``."""
    log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
    )
    return log


def _formatter(settings: TelemetrySettings, secrets: Iterable[str]) -> logging.Formatter:
    json = settings.log_format == "json"
    last: list[Processor] = (
        [structlog.processors.JSONRenderer(sort_keys=True, default=str)]
        if json
        else [_in_one_line, structlog.dev.ConsoleRenderer(colors=False, sort_keys=True, timestamp_key="at")]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_named, structlog.contextvars.merge_contextvars],
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _Hide(secrets),
            *last,
        ],
    )


def _named(log: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A line of `logging`: ours names an event and has its values in ``extra``; what a library says is a value."""
    if event["_record"].name.partition(".")[0] == "evalsvc":
        return _EXTRA(log, method, event)
    return {**event, "event": _OF_A_LIBRARY, "said": event["event"]}


class _Hide:
    """Hides secrets, by the name of what holds them, by their look, and those that are known; cuts what is long."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = [re.escape(secret) for secret in secrets if secret]
        self._known = re.compile("|".join(known)) if known else None

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        hidden: EventDict = self._mapping(event)
        return hidden

    def _mapping(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        return {
            self._text(key): _HIDDEN if _SECRET_KEYS.search(str(key)) else self._value(value)
            for key, value in values.items()
        }

    def _value(self, value: Any) -> Any:
        if isinstance(value, bool | int | float) or value is None:
            return value
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(each) for each in value]
        return self._text(value)

    def _text(self, value: Any) -> str:
        text = str(value)
        if self._known is not None:
            text = self._known.sub(_HIDDEN, text)
        text = _SECRET_TEXTS.sub(_HIDDEN, text)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _in_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """What a terminal would obey is shown, not sent."""
    return {key: _plain(value) if isinstance(value, str) else value for key, value in event.items()}


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


class _Unhurried(logging.Handler):
    """Writes in a thread of its own: a reader of stderr that is slow holds up nobody."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; lose it where too many wait."""
        try:
            line = self.format(record)
            if self._lost:
                line = f'{{"event": "log.lost", "lines": {self._lost}}}\n{line}'
            self._lines.put_nowait(line)
            self._lost = 0
        except (queue.Full, ValueError, TypeError, RecursionError, UnicodeError):
            self._lost += 1  # what cannot be shown is counted too: a log must not end what it tells of

    def close(self) -> None:
        """Give what waits some time to be written."""
        try:
            self._lines.put(None, timeout=_LAST_S)
            self._thread.join(_LAST_S)
        except queue.Full:
            pass
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line.encode("utf-8", "replace").decode() + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                return  # nobody reads it any more
