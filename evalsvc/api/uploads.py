"""A submitted job, taken in as it arrives: every part goes to disk under a name of ours, in bounded memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from evalsvc.api.limits import ApiLimits
from evalsvc.api.problems import ApiError, Where

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # not there when the program runs

_JOB = "job"
_NAME_BYTES = 1024
#: Bytes gathered before a thread writes them.
_CHUNK = 2**20


async def receive_parts(request: Request, folder: Path, limits: ApiLimits) -> tuple[bytes, dict[str, Path]]:
    """The job's text, and its files by the names the client gave them: those names never become a path.

    Args:
        request: its body is read; the cap on all of it is the caller's.
        folder: an empty folder of the caller's, which takes it away again.
        limits: parts, and size of the job's text.

    Raises:
        ApiError: 413, 415, 422; 503 when the disk is full.
    """
    parts = _Parts(folder, limits)
    parser = MultipartParser(_boundary(request), parts.callbacks(), max_header_count=8, max_header_size=4096)
    try:
        with _translated():
            async for chunk in request.stream():
                parser.write(chunk)
                if parts.waiting >= _CHUNK:
                    await anyio.to_thread.run_sync(parts.flush)
            parser.finalize()
            await anyio.to_thread.run_sync(parts.flush)
    finally:
        parts.close()
    if not parts.ended:
        raise _unreadable("it ends before its last part does")
    if _JOB not in parts.names:
        raise ApiError(422, "there is no part named `job` with the text of the job file", where=Where(key=_JOB))
    return bytes(parts.job), parts.files


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise ApiError(415, "send the job as multipart/form-data", where=Where(key="Content-Type"))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise _unreadable("its boundary is missing or too long")
    return boundary


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise _unreadable(str(error)[:200]) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ApiError(503, "the disk is full", code="disk_full", headers={"Retry-After": "60"}) from None


def _unreadable(reason: str) -> ApiError:
    return ApiError(422, f"the body is no multipart/form-data: {reason}", code="bad_multipart")


class _Parts:
    """The parts as the parser meets them."""

    def __init__(self, folder: Path, limits: ApiLimits) -> None:
        self._folder, self._limits = folder, limits
        self._header, self._value = bytearray(), bytearray()
        self._name: str | None = None
        self._file: BinaryIO | None = None
        self._pending: list[tuple[BinaryIO, bytes]] = []
        self._open: list[BinaryIO] = []
        self.names: set[str] = set()
        self.files: dict[str, Path] = {}
        self.job = bytearray()
        self.waiting = 0
        self.ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header,
            "on_header_value": self._on_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._named,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def flush(self) -> None:
        """Write what has gathered. Raises OSError."""
        for file, data in self._pending:
            file.write(data)
        self._pending.clear()
        self.waiting = 0
        for file in self._open:
            if self.ended or file is not self._file:
                file.close()
        self._open = [file for file in self._open if not file.closed]

    def close(self) -> None:
        """Close what a broken upload left open; nobody will read it."""
        for file in self._open:
            with suppress(OSError):
                file.close()
        self._open.clear()

    def _begin(self) -> None:
        self._name = None

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            kind, options = parse_options_header(bytes(self._value))
            if kind == b"form-data" and b"name" in options:
                self._name = _text(options[b"name"])
        self._header.clear()
        self._value.clear()

    def _named(self) -> None:
        name = self._name
        if name is None:
            raise _unreadable("a part has no name")
        if name in self.names:
            raise ApiError(422, "sent twice", where=Where(key=name))
        if len(self.names) >= self._limits.parts:
            raise ApiError(413, f"a job may have {self._limits.parts} parts at most")
        self.names.add(name)
        self._file = None
        if name != _JOB:
            self.files[name] = self._folder / f"part-{len(self.names)}"
            self._file = self.files[name].open("xb")
            self._open.append(self._file)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._pending.append((self._file, data[start:end]))
            self.waiting += end - start
            return
        self.job += data[start:end]
        if len(self.job) > self._limits.job_bytes:
            raise ApiError(413, f"a job file may have {self._limits.job_bytes} bytes at most", where=Where(key=_JOB))

    def _end(self) -> None:
        self.ended = True


def _text(name: bytes) -> str:
    """A part's name as it is: a path in the job, which is compared and never opened."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise _unreadable("a part's name is not UTF-8") from None
    if not text or len(name) > _NAME_BYTES or not text.isprintable():
        raise _unreadable(f"a part's name has to be 1 to {_NAME_BYTES} printable characters")
    return text
