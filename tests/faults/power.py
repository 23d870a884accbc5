"""Power cuts, from a log of what a process wrote: what had been synced is kept, of the rest anything may be lost.

A disk may keep, lose and reorder whatever was not synced, in sectors of 512 bytes; a new name in a folder is there once
the folder was synced. That is harder than any file system in use; what is not modelled: a disk that says "synced" and
lies, and sectors that were not written to and are spoilt all the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from random import Random

SECTOR = 512
#: How much of what was not synced a cut keeps.
_KEPT = (0.0, 0.2, 0.5, 0.9, 1.0)

_LINE = re.compile(r"(?P<at>\d+\.\d+) (?P<name>\w+)\((?P<args>.*)\) += (?P<gives>\d+)(?:<.*>)? <(?P<took>[\d.]+)>")
_FILE = re.compile(r"(?:\d+|AT_FDCWD)<((?:\\x..)*)>")
_KNOWN = {"openat", "pwrite64", "write", "ftruncate", "fdatasync", "fsync", "rename", "unlink", "mkdir"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A system call that succeeded; ``at`` and ``done`` are Unix seconds, ``offset`` is None where it follows on."""

    name: str
    at: float
    done: float
    path: str
    to: str = ""
    data: bytes = b""
    offset: int | None = None
    flags: str = ""


def calls_of(logs: Path, database: Path) -> list[Call]:
    """What changed a database, the files beside it and its folder, in order, from the files ``logs.THREAD``.

    Raises:
        ValueError: something was changed by a call that is not understood here.
    """
    lines = (line for log in logs.parent.glob(f"{logs.name}.*") for line in log.read_text().splitlines())
    found = [call for line in lines if (call := _call(line, database)) is not None]
    return sorted(found, key=lambda call: call.at)


def _call(line: str, database: Path) -> Call | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None  # it failed, or was never finished: then nothing may be hoped of it
    name, args, at = match["name"], match["args"].split(", "), float(match["at"])
    first = _FILE.fullmatch(args[0])
    root = database.parent
    path = _text(first[1]) if first and name != "openat" else _below(args[1 if name == "openat" else 0], root)
    if not (path == str(root) or path.startswith(str(database))) or path == f"{database}-shm":
        return None  # SQLite makes the file -shm anew
    if name not in _KNOWN:
        raise ValueError(f"{name} of {path}: not understood")
    call = Call(name=name, at=at, done=at + float(match["took"]), path=path)
    return _in_full(call, args, int(match["gives"]), root)


def _in_full(call: Call, args: Sequence[str], gives: int, root: Path) -> Call | None:
    """The call with what it was given beyond a path; None where it changes nothing."""
    match call.name:
        case "openat":
            return replace(call, flags=args[2]) if "O_CREAT" in args[2] else None
        case "pwrite64" | "write":
            data = _bytes(args[1])[:gives]
            assert len(data) == gives, "the log cuts writes off"
            return replace(call, data=data, offset=int(args[3]) if call.name == "pwrite64" else None)
        case "ftruncate":
            return replace(call, offset=int(args[1]))
        case "rename":
            return replace(call, to=_below(args[1], root))
    return call


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.strip('"').replace("\\x", ""))


def _text(escaped: str) -> str:
    return _bytes(escaped).decode()


def _below(quoted: str, root: Path) -> str:
    return str(root / _text(quoted)) if quoted.startswith('"') else ""


@dataclass(slots=True)
class _File:
    """Bytes on the disk, and what was done since the last sync: (offset, data), or a new size."""

    synced: bytearray = field(default_factory=bytearray)
    size: int = 0
    folder: bool = False
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def write(self, offset: int | None, data: bytes) -> None:
        start = self.size if offset is None else offset
        self.since.append((start, data))
        self.size = max(self.size, start + len(data))

    def truncate(self, size: int) -> None:
        self.since.append((size, None))
        self.size = size

    def sync(self) -> None:
        for offset, data in self.since:
            _apply(self.synced, offset, data)
        self.since.clear()

    def after_cut(self, kept: float, chance: Random) -> bytes:
        found = bytearray(self.synced)
        for offset, data in self.since:
            if data is None:
                if chance.random() < kept:
                    _apply(found, offset, None)
                continue
            for start, piece in _sectors(offset, data):
                if chance.random() < kept:
                    _apply(found, start, piece)
        return bytes(found)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write data at an offset, or make that the size."""
    end = offset if data is None else offset + len(data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if data is None:
        del content[end:]
    else:
        content[offset:end] = data


def _sectors(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    edges = [offset, *range((offset // SECTOR + 1) * SECTOR, offset + len(data), SECTOR), offset + len(data)]
    return [(start, data[start - offset : end - offset]) for start, end in pairwise(edges)]


class Disk:
    """A folder on a disk, and the part of it that is only in memory.

    Args:
        before: what is on the disk at first, by path.
    """

    def __init__(self, before: Mapping[str, bytes]) -> None:
        self._seen = {path: _File(synced=bytearray(data), size=len(data)) for path, data in before.items()}
        self._synced = dict(self._seen)
        #: What names were given since: (folder, path, file or None where it was taken away, path it had before).
        self._named: list[tuple[str, str, _File | None, str]] = []

    def apply(self, call: Call, *, done: bool) -> None:
        """Do what a call does; a sync that was not ``done`` gives no promise."""
        file = self._seen.get(call.path)
        match call.name:
            case "openat":
                if file is None:
                    self._name(call.path, _File())
                elif "O_TRUNC" in call.flags:
                    file.truncate(0)
            case "mkdir":
                self._name(call.path, _File(folder=True))
            case "unlink":
                self._name(call.path, None)
            case "rename":
                self._name(call.to, self._seen.pop(call.path), call.path)
            case "fsync" | "fdatasync":
                if done:
                    self._sync(call.path)
            case "ftruncate":
                assert file is not None, call.path
                assert call.offset is not None
                file.truncate(call.offset)
            case _:
                assert file is not None, call.path
                file.write(call.offset, call.data)

    def _name(self, path: str, file: _File | None, before: str = "") -> None:
        if file is None:
            self._seen.pop(path, None)
        else:
            self._seen[path] = file
        self._named.append((str(Path(path).parent), path, file, before))

    def _sync(self, path: str) -> None:
        if path in self._seen:
            self._seen[path].sync()
        self._rename([each for each in self._named if each[0] == path])
        self._named = [each for each in self._named if each[0] != path]

    def _rename(
        self, named: Sequence[tuple[str, str, _File | None, str]], names: dict[str, _File] | None = None
    ) -> None:
        known = self._synced if names is None else names
        for _, path, file, before in named:
            known.pop(before, None)
            if file is None:
                known.pop(path, None)
            else:
                known[path] = file

    def after_cut(self, chance: Random) -> dict[str, bytes]:
        """What is found when there is power again. Of new names the first so many are there, as in a journal."""
        names = dict(self._synced)
        self._rename(self._named[: chance.randint(0, len(self._named))], names)
        kept = chance.choice(_KEPT)
        there = {path: file for path, file in names.items() if not file.folder and self._reachable(path, names)}
        return {path: file.after_cut(kept, chance) for path, file in there.items()}

    def _reachable(self, path: str, names: Mapping[str, _File]) -> bool:
        """Whether all folders on the way that were made since are there too."""
        return all(str(folder) in names for folder in Path(path).parents if str(folder) in self._seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A power cut: when it was (Unix seconds), and what is found afterwards."""

    at: float
    files: dict[str, bytes]


def cut(before: Mapping[str, bytes], calls: Sequence[Call], number: int, chance: Random) -> Cut:
    """The power goes just before the ``number``-th call (from 0); ``len(calls)``: after the last one."""
    at = calls[number].at if number < len(calls) else math.inf
    disk = Disk(before)
    for call in calls[:number]:
        disk.apply(call, done=call.done <= at)
    return Cut(at=at, files=disk.after_cut(chance))
