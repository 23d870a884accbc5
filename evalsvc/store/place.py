"""Where a database lies: on a network file system neither SQLite's log nor file locks can be relied on."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from evalsvc.errors import StoreUnusable

#: File systems on which SQLite's log and file locks do not hold.
NETWORKED = re.compile(r"nfs\d?|cifs|smb\d?|smbfs|9p|ceph|glusterfs|lustre|afs|fuse\.(sshfs|s3fs|rclone|gcsfuse)")
#: Where a folder of the same machine is shared with a container or a virtual one: told of, not refused.
_SHARED = "9p"


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The kind of file system a file is on; None where that cannot be told."""
    with suppress(OSError):
        real, best, found = path.resolve(), -1, None
        for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            mounted, _, rest = line.partition(" - ")
            point = Path(re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), mounted.split()[4]))
            if real.is_relative_to(point) and len(point.parts) >= best:  # of two on one point the later one is seen
                best, found = len(point.parts), rest.split()[0]
        return found
    return None


def check_place(path: Path) -> None:
    """Two machines could open one database there, and what was synced could be lost. Raises `StoreUnusable`."""
    system = file_system(path)
    if system is not None and system != _SHARED and NETWORKED.fullmatch(system):
        why = "its locks and SQLite's log cannot be relied on"
        raise StoreUnusable(f"{path} is on a network file system ({system}): {why}; keep it on a local disk")
