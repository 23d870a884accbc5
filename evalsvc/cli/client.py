"""The daemon over HTTP, as the commands that ask it need it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import click

from evalsvc.errors import EvalsvcError, InputError, JobNotFound

if TYPE_CHECKING:
    import httpx2

DEFAULT_URL = "http://127.0.0.1:8321"
#: In these nothing more happens to a job.
ENDED = {"done", "failed", "cancelled"}
#: How long a daemon that is being started anew may be away before a command that waits gives up, in seconds.
_LATEST = re.compile(r"latest(?:~(\d{1,4}))?")
_PATIENCE_S = 60.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_TIMEOUT_S = 60.0
_JOB = "job.toml"
_DEALING_S = 1800.0
#: The stream says that it is there every 15 s.
_SILENCE_S = 60.0

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class DaemonError(EvalsvcError):
    """The daemon refused, or cannot be reached."""


class _Unreachable(DaemonError):
    """Trying again may help."""


class _Busy(DaemonError):
    """It is asked too much at once; after ``seconds`` it may have time."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


def of_daemon(function: F) -> F:
    """Adds --url and --token-file."""
    token = click.option(
        "--token-file", type=click.Path(path_type=Path), help="File with the API token [the variable EVALSVC_TOKEN]."
    )
    url = click.option("--url", help=f"The daemon [EVALSVC_URL, {DEFAULT_URL}].")
    return url(token(function))


def asked_for(url: str | None) -> str | None:
    """The daemon that was named, or None where none was."""
    return url or os.environ.get("EVALSVC_URL") or None


def client(url: str | None, token_file: Path | None) -> Client:
    """A client of the daemon that was named, else of the one on this machine. Raises `InputError`."""
    return Client(asked_for(url) or DEFAULT_URL, _token(token_file))


def _token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get("EVALSVC_TOKEN", "").strip() or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise InputError(f"cannot be read: {reason}", file=str(path)) from None


def _check_url(url: str) -> None:
    """Raise `InputError` where it cannot be a daemon's."""
    wrong = InputError(f"must be an http:// or https:// URL, got {url[:80]!a}", key="--url")
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:
        raise wrong from None
    if not good:
        raise wrong
    if parts.query or parts.fragment or parts.path.rstrip("/").endswith("/api/v1"):
        raise InputError(f"names the daemon alone, as in {DEFAULT_URL}, without /api/v1, ? or #", key="--url")


class Client:
    """The daemon at ``url``; ``token`` is sent with every request where there is one."""

    def __init__(self, url: str, token: str | None) -> None:
        _check_url(url)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InputError("holds no usable token: one line of printable ASCII", key="EVALSVC_TOKEN")
        self.url = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def submit(self, job: Path, files: Mapping[str, Path], *, key: str, **query: int | None) -> dict[str, Any]:
        """File a job, its file and those it names; sent again with the same key, it is filed once.

        Raises:
            InputError: something in it is wrong, with file, line and key.
            DaemonError: the daemon refused, or is not there.
        """
        source = job.read_bytes()

        def send() -> dict[str, Any]:
            with ExitStack() as stack:
                parts: list[tuple[str, Any]] = [("job", (_JOB, source))]
                for name, path in files.items():
                    parts.append((name, ("data", stack.enter_context(path.open("rb")))))
                params = {name: value for name, value in query.items() if value is not None}
                sent: dict[str, Any] = self._ask(
                    "POST", "/jobs", files=parts, params=params, headers={"Idempotency-Key": key}
                )
                return sent

        try:
            return _patiently(send, _FIRST_WAIT_S * 10)
        except InputError as error:  # the daemon knows the file by the name of its part
            file = str(job) if error.file == _JOB else error.file
            raise InputError(error.message, file=file, line=error.line, key=error.key) from None

    def job(self, job_id: str) -> dict[str, Any]:
        """One job. Raises `JobNotFound`, `DaemonError`."""
        found: dict[str, Any] = self._ask("GET", f"/jobs/{quote(job_id, safe='')}")
        return found

    def jobs(self, limit: int) -> list[dict[str, Any]]:
        """The newest jobs."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while len(found) < limit:
            params = {"limit": min(200, limit - len(found)), **({"after": after} if after else {})}
            page = self._ask("GET", "/jobs", params=params)
            found += page["items"]
            after = page["next"]
            if after is None:
                break
        return found

    def find(self, wanted: str) -> str:
        """The id that is meant by an id, the beginning of one, ``latest`` or ``latest~1``. Raises `JobNotFound`."""
        if not wanted:
            raise JobNotFound(f"no job '' at {self.url}: name an id, the beginning of one, or `latest`")
        latest = _LATEST.fullmatch(wanted)
        if latest:
            before = int(latest[1] or 0)
            newest = self.jobs(before + 1)
            if len(newest) <= before:
                raise JobNotFound(f"{self.url} has {len(newest) or 'no'} job{'s' * (len(newest) > 1)}")
            return str(newest[before]["id"])
        try:
            return str(self.job(wanted)["id"])
        except JobNotFound:
            found = [each["id"] for each in self.jobs(1000) if each["id"].startswith(wanted)]
            if len(found) != 1:
                some = f"{len(found)} jobs begin with {wanted[:40]!a}" if found else f"no job {wanted[:40]!a}"
                raise JobNotFound(f"{some} at {self.url}") from None
            return str(found[0])

    def decision(self, job_id: str) -> dict[str, Any]:
        """The record. Raises `DaemonError` while there is none."""
        record: dict[str, Any] = self._ask("GET", f"/jobs/{job_id}/decision")
        return record

    def outcomes(self, job_id: str) -> Iterator[dict[str, Any]]:
        """What is recorded of a job, in the order it was filed."""
        after: int | None = 0
        while after is not None:
            page = self._ask("GET", f"/jobs/{job_id}/outcomes", params={"limit": 200, "after": after})
            yield from page["items"]
            after = page["next"]

    def envelope(self, job_id: str) -> dict[str, Any]:
        """The signed envelope of the record. Raises `DaemonError` where there is none."""
        found: dict[str, Any] = self._ask("GET", f"/jobs/{job_id}/decision", params={"format": "dsse"})
        return found

    def calibrate(self, job_id: str, resamples: int, key: str) -> dict[str, Any]:
        """Deal the answers of a decided job to both arms of it, and judge; that may take minutes.

        Raises `InputError` where ``key`` says that it is of another baseline, other suites or other gates.
        """
        path, params = f"/jobs/{job_id}/calibration", {"resamples": resamples, "key": key}
        found: dict[str, Any] = _when_free(lambda: self._ask("POST", path, read_s=_DEALING_S, params=params))
        return found

    def report(self, job_id: str, name: str, *, arm: str, width: int, color: bool) -> Iterator[str]:
        """A job's report in one of the formats of `evalsvc report`, piece by piece."""
        query: dict[str, str | int | bool] = {"format": name, "arm": arm, "width": width, "color": color}
        yield from self._drawn(f"/jobs/{job_id}/report", query)

    def comparison(self, first: str, second: str, **query: str | int | bool) -> Iterator[str]:
        """What changed from one job to another, piece by piece."""
        yield from self._drawn(f"/jobs/{first}/compare/{second}", query)

    def _drawn(self, path: str, query: Mapping[str, str | int | bool]) -> Iterator[str]:
        with ExitStack() as stack:
            response = _when_free(lambda: self._begun(stack, path, query))
            response.encoding = "utf-8"
            yield from response.iter_text()

    def _begun(self, stack: ExitStack, path: str, query: Mapping[str, str | int | bool]) -> httpx2.Response:
        """An answer that comes piece by piece, closed with the stack; what is refused is raised."""
        with ExitStack() as opened:
            http = opened.enter_context(self._http(_TIMEOUT_S))
            response = opened.enter_context(http.stream("GET", path, params=query))
            if response.status_code != 200:
                response.read()
                _check(response)
            stack.push(opened.pop_all())
        return response

    def act(self, job_id: str, what: str) -> dict[str, Any]:
        """``cancel`` or ``resume`` a job. Raises `DaemonError` where it is not in a state for that."""
        done: dict[str, Any] = self._ask("POST", f"/jobs/{job_id}/{what}")
        return done

    def follow(self, job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a job, (name, data), from its first until it has ended.

        A daemon that goes away meanwhile may come back within a minute.
        """
        last, since = 0, time.monotonic()
        wait = _FIRST_WAIT_S
        while True:
            try:
                for id_, name, data in self._stream(job_id, last):
                    last, since, wait = id_, time.monotonic(), _FIRST_WAIT_S
                    yield name, data
                if self.job(job_id)["state"] in ENDED:
                    return
                since = time.monotonic()
            except _Unreachable:
                if time.monotonic() - since > _PATIENCE_S:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    def _stream(self, job_id: str, last: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
        headers = {"Last-Event-ID": str(last), "Accept": "text/event-stream"}
        with self._http(_SILENCE_S) as http, http.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
            if response.status_code != 200:
                response.read()
                _check(response)
                return
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                    fields = {}

    def _ask(self, method: str, path: str, *, read_s: float = _TIMEOUT_S, **options: Any) -> Any:
        with self._http(read_s) as http:
            response = http.request(method, path, **options)
            _check(response)
            return response.json()

    @contextmanager
    def _http(self, read_s: float) -> Iterator[httpx2.Client]:
        import httpx2

        timeout = httpx2.Timeout(_TIMEOUT_S, read=read_s)
        try:
            with httpx2.Client(
                base_url=f"{self.url}/api/v1", headers=self._headers, timeout=timeout, trust_env=False
            ) as http:
                yield http
        except httpx2.InvalidURL as error:
            raise InputError(f"is no URL: {error}", key="--url") from None
        except httpx2.HTTPError as error:
            raise _Unreachable(f"no daemon answers at {self.url}: {str(error) or type(error).__name__}") from None
        except ValueError as error:
            raise DaemonError(f"{self.url} does not answer as an evalsvc daemon: {error}") from None


def _patiently(send: Callable[[], T], seconds: float) -> T:
    """Once more, where no answer came: a connection may break, and the key makes sure that it counts once."""
    try:
        return send()
    except _Unreachable:
        time.sleep(seconds)
        return send()


def _when_free(ask: Callable[[], T]) -> T:
    """Ask until the daemon is not too busy; within a minute."""
    latest = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except _Busy as error:
            if time.monotonic() + error.seconds > latest:
                raise
            time.sleep(error.seconds)


def _check(response: httpx2.Response) -> None:
    """Raise what an answer says is wrong."""
    if response.status_code < 400:
        return
    try:
        error = response.json()["error"]
        where = error.get("where") or {}
        message = str(error["message"])
    except (ValueError, LookupError, TypeError, AttributeError):
        message, where, error = f"HTTP {response.status_code}", {}, {}
    if response.status_code == 404 and error.get("code") == "job_not_found":
        raise JobNotFound(message)
    if response.status_code == 422:
        raise InputError(message, file=where.get("file"), line=where.get("line"), key=where.get("key"))
    if response.status_code == 401:
        message += ": set EVALSVC_TOKEN, or name a file with --token-file"
    if response.status_code == 503 and error.get("code") == "busy":
        after = response.headers.get("Retry-After", "")
        raise _Busy(f"the daemon refused: {message}", int(after) if re.fullmatch(r"[0-9]{1,4}", after) else 1)
    raise DaemonError(f"the daemon refused: {message}")
