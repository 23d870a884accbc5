"""Is everything here that evalsvc needs? One check a question; none changes anything."""

from __future__ import annotations

import os
import platform
import resource
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from evalsvc import __version__
from evalsvc.api.bind import check_bind, is_loopback
from evalsvc.app.process import allow_sockets
from evalsvc.app.reading import run
from evalsvc.app.signing import signer_of
from evalsvc.config import Config, api_key
from evalsvc.errors import ConfigError, SchemaOlder, StoreError
from evalsvc.providers.settings import EndpointSettings
from evalsvc.store.checkup import DatabaseFacts, database_facts
from evalsvc.store.database import SQLITE_VERSION, room
from evalsvc.store.place import NETWORKED, file_system

_MIB = 2**20
_LITTLE_ROOM, _TOO_LITTLE_ROOM = 2**30, 100 * _MIB
_RELEASED = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
_FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_COARSE_S = 1e-4


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, what was found, and what to mend (empty where nothing is)."""

    name: str
    level: Level
    found: str
    mend: str = ""


def ok(name: str, found: str) -> Check:
    """Nothing to do."""
    return Check(name=name, level=Level.OK, found=found)


def warning(name: str, found: str, mend: str) -> Check:
    """It works, with a risk."""
    return Check(name=name, level=Level.WARNING, found=found, mend=mend)


def problem(name: str, found: str, mend: str) -> Check:
    """It does not work."""
    return Check(name=name, level=Level.PROBLEM, found=found, mend=mend)


def of_machine() -> Iterator[Check]:
    """What needs no configuration."""
    yield ok(
        "evalsvc", f"{__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    yield sqlite(SQLITE_VERSION)
    clock = time.get_clock_info("perf_counter")
    yield monotonic_clock(monotonic=clock.monotonic, resolution=clock.resolution)
    yield terminal(sys.stdout.isatty(), sys.stdout.encoding, os.environ)


def of_configuration(config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    """What a configuration needs: sockets, a database, its disk, keys."""
    yield ok("configuration", str(config.file) if config.file else "none found: defaults")
    yield open_files(config.endpoints.values())
    path = Path(config.store.path)
    facts, check = database(path)
    yield check
    if path.parent.is_dir():
        yield disk(path, free=room(path.resolve()), system=file_system(path))
    yield wall_clock(time.time(), newest=facts.newest if facts else None)
    yield server(config, tokens=facts.tokens if facts else 0)
    yield signing(config)
    for alias, endpoint in config.endpoints.items():
        yield endpoint_key(alias, endpoint, environ)


def loses_commits(version: str) -> bool:
    """Whether an SQLite may lose commits when two connections write and checkpoint at once (its WAL-reset bug).

    It came with the write-ahead log in 3.7.0 and was fixed in 3.51.3, and before that in 3.50.7 and 3.44.6.
    """
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    mended_earlier = (major, minor) in {(3, 44), (3, 50)} and patch >= {44: 6, 50: 7}[minor]
    return (3, 7, 0) <= (major, minor, patch) < (3, 51, 3) and not mended_earlier


def sqlite(version: str) -> Check:
    """The SQLite library this Python is linked with."""
    if not loses_commits(version):
        return ok("SQLite", version)
    return warning(
        "SQLite",
        f"{version} can lose commits where two connections write at once (WAL-reset bug); evalsvc writes through one",
        "let no other program write the database while evalsvc has it open; fixed in SQLite 3.51.3",
    )


def open_files(endpoints: Iterable[EndpointSettings]) -> Check:
    """A socket for every request in flight of all endpoints."""
    try:
        allow_sockets(endpoints)
    except ConfigError as error:
        mend = "LimitNOFILE= in a systemd unit, ulimit -Hn in a shell, or a smaller max_in_flight"
        return problem("open files", error.message, mend)
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ok("open files", f"{allowed:,} allowed, enough for max_in_flight of all endpoints")


def database(path: Path) -> tuple[DatabaseFacts | None, Check]:
    """The database: may it be read, and by whom is it held."""
    if not path.exists():
        return None, _missing(path)
    try:
        facts = run(lambda: database_facts(path))
    except SchemaOlder as error:
        return None, ok("database", f"{error} (with a copy of it beside)")
    except StoreError as error:
        return None, problem("database", str(error), "see docs/operations.md: upgrade, or restore a backup")
    by = {True: "in use by an evalsvc process", False: "not in use", None: "in use or not: not known here"}[facts.held]
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        found = f"{path}: this user may not write it; {facts.jobs:,} jobs, {by}"
        return facts, problem("database", found, "run as the user that owns it, or give it the file and its folder")
    if path.stat().st_mode & stat.S_IWOTH:
        found = f"{path}: every user of this machine may write it; {facts.jobs:,} jobs, {by}"
        return facts, warning("database", found, f"chmod o-w {path}")
    return facts, ok("database", f"{path}: {facts.jobs:,} jobs, {by}")


def _missing(path: Path) -> Check:
    folder = path.parent
    if not folder.is_dir():
        return problem("database", f"the folder {folder} does not exist", f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        return problem("database", f"this user may not write in the folder {folder}", "run as the user that owns it")
    return ok("database", f"{path} is not there yet: the first job makes it")


def disk(path: Path, *, free: int, system: str | None) -> Check:
    """The disk of the database. ``free`` is in bytes, ``system`` the kind of its file system."""
    if system is not None and NETWORKED.fullmatch(system):
        found = f"{path} is on a network file system ({system}): its locks and SQLite's log cannot be relied on"
        return problem("disk", found, "keep the database on a local disk or a block device")
    said = f"{free / _MIB:,.0f} MiB free"
    if free < _TOO_LITTLE_ROOM:
        return problem("disk", said, "make room: jobs pause when the disk is full, and go on by themselves")
    if free < _LITTLE_ROOM:
        return warning("disk", said, "make room, or set store.keep_days")
    return ok("disk", f"{said} on {system or 'a file system of unknown kind'}")


def monotonic_clock(*, monotonic: bool, resolution: float) -> Check:
    """The clock latencies are measured on. ``resolution`` is in seconds."""
    if monotonic and resolution <= _COARSE_S:
        return ok("monotonic clock", f"resolution {resolution:.0e} s")
    found = f"{'resolution' if monotonic else 'not monotonic, resolution'} {resolution:.0e} s"
    return problem("monotonic clock", found, "latencies cannot be measured on this machine")


def wall_clock(now: float, *, newest: float | None) -> Check:
    """The clock that dates records. ``now`` and ``newest`` (the newest job's) are Unix seconds."""
    said = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    mend = "set the clock (timedatectl set-ntp true): records and tokens are dated by it"
    if not _RELEASED <= now < _FAR_AWAY:
        return problem("clock", f"{said} cannot be", mend)
    if newest is not None and newest > now + 60:
        return warning("clock", f"{said}, and the newest job was filed {newest - now:,.0f} s after that", mend)
    return ok("clock", said)


def server(config: Config, *, tokens: int) -> Check:
    """Would `serve` listen on its address?"""
    settings = config.server
    where = f"{settings.host}:{settings.port}"
    try:
        check_bind(settings.host, tokens > 0)
    except ConfigError as error:
        return problem("server", error.message, f"`serve` does not start on {where}")
    return ok("server", f"{where}, {tokens:,} API tokens made")


def signing(config: Config) -> Check:
    """The key that signs records."""
    try:
        signer, told = signer_of(config.signing)
    except ConfigError as error:
        return problem(
            "signing key", str(error), "openssl genpkey -algorithm ed25519 makes one; `serve` does not start"
        )
    if told:
        return warning("signing key", "; ".join(told), f"chmod 600 {config.signing.key_file}")
    return ok("signing key", f"{config.signing.key_file}" if signer else "none: records are not signed")


def endpoint_key(alias: str, endpoint: EndpointSettings, environ: Mapping[str, str]) -> Check:
    """Is the key of an endpoint there, and kept to those it is for?"""
    name = f"endpoint {alias}"
    if endpoint.base_url is None:
        return ok(name, "the built-in simulator, started on demand")
    try:
        key = api_key(alias, endpoint, environ)
    except ConfigError as error:
        # of the built-in one nobody may have asked for: jobs that ask it fail, others do not
        unasked = endpoint.base_url == "https://api.openai.com/v1" and endpoint.api_key_env == "OPENAI_API_KEY"
        sort = warning if unasked else problem
        return sort(name, f"no key: {error.message}", "set it where this process is started; jobs that ask it fail")
    if key is None:
        return ok(name, f"{endpoint.base_url}, no key is sent")
    if endpoint.base_url.startswith("http://") and not is_loopback(urlsplit(endpoint.base_url).hostname or ""):
        return warning(name, f"{endpoint.base_url}: its key goes over the network in the clear", "use https://")
    if endpoint.api_key_file is not None and Path(endpoint.api_key_file).stat().st_mode & stat.S_IROTH:
        found = f"every user of this machine may read its key in {endpoint.api_key_file}"
        return warning(name, found, f"chmod 600 {endpoint.api_key_file}")
    return ok(name, f"{endpoint.base_url}, key present")


def terminal(is_terminal: bool, encoding: str, environ: Mapping[str, str]) -> Check:
    """Where progress is drawn."""
    if not is_terminal:
        return ok("terminal", "stdout is none: no progress is drawn")
    if encoding.lower().replace("-", "") != "utf8":
        return warning("terminal", f"encoding {encoding}: some signs cannot be shown", "export LANG=C.UTF-8")
    return ok("terminal", f"{environ.get('TERM', 'of unknown kind')}, {encoding}")
