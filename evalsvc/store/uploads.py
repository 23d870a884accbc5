"""Files that came with jobs: kept by what they hold, under names of our own, beside the database."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from evalsvc.errors import StoreError, StoreFull, StoreUnusable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Uploads:
    """The folder of a database's uploads.

    Args:
        folder: where they are; it is made, and what had only half arrived when the last process ended is removed.

    Raises:
        StoreUnusable: it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.incoming = folder / "incoming"
        self._held: Counter[str] = Counter()
        try:
            shutil.rmtree(self.incoming, ignore_errors=True)
            self.incoming.mkdir(parents=True, mode=0o700)
            _sync(folder.parent)  # a job that is filed needs the folder itself, too
        except OSError as error:
            raise StoreUnusable(f"{self.incoming}: {error.strerror}") from error

    def path(self, digest: str) -> Path:
        """Where the file of that SHA-256 (hex) is, if it is there."""
        if not _DIGEST.fullmatch(digest):
            raise StoreError(f"{digest[:70]!r} is no SHA-256")
        return self._folder / digest

    def keep(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Take files that have arrived, on disk for good when this returns; gives the SHA-256 of each by name.

        They are not swept before `release`, although no job names them yet.

        Raises:
            StoreFull, StoreError: they cannot be kept.
        """
        try:
            kept = {name: self._keep(path) for name, path in files.items()}
            _sync(self._folder)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StoreFull(f"no room left on the disk of {self._folder}") from error
            raise StoreError(f"{self._folder}: {error.strerror}") from error
        return kept

    def release(self, digests: Collection[str]) -> None:
        """What was kept is named by a job now, or by none: it may be swept like any other."""
        self._held.subtract(digests)

    def sweep(self, needed: Collection[str]) -> None:
        """Remove what nobody needs any more."""
        for path in self._folder.iterdir():
            if _DIGEST.fullmatch(path.name) and path.name not in needed and not self._held[path.name]:
                path.unlink(missing_ok=True)

    def _keep(self, path: Path) -> str:
        _sync(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._held[digest] += 1
        path.replace(self._folder / digest)
        return digest


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
