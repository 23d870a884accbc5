"""Debian's strace as a launcher: the command after it is killed, or refused, at the N-th system call of a kind.

Signals are not sent under ``--seccomp-bpf`` (strace 6.1 forgets all but the first), so only what needs no signal has
it: other system calls then cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

#: What SQLite changes its files by; nothing else in evalsvc uses these.
WRITES = ("pwrite64", "fdatasync", "ftruncate")
#: All by which files change. Those of the second line are traced to notice that they were used.
_CHANGES = (
    *("openat", "pwrite64", "write", "ftruncate", "fdatasync", "fsync", "rename", "unlink", "mkdir"),
    *("pwritev", "pwritev2", "writev", "fallocate", "copy_file_range", "renameat", "renameat2", "linkat", "link"),
)


def killed_at(call: str, number: int) -> tuple[str, ...]:
    """SIGKILL at the ``number``-th such call (from 1) of a thread, before it takes effect."""
    return _injecting(call, f"signal=KILL:when={number}")


def refused(call: str, error: str, when: str) -> tuple[str, ...]:
    """An error of errno.h instead of such calls; ``when`` as strace has it: "7", "7..20", "7+"."""
    return (*_injecting(call, f"error={error}:when={when}"), "--seccomp-bpf")


def counted(log: Path, calls: Iterable[str] = WRITES) -> tuple[str, ...]:
    """Writes one line a call to a file."""
    return ("strace", "-f", "-qq", "--seccomp-bpf", "-e", "signal=none", "-e", _trace(calls), "-o", str(log))


def recorded(logs: Path) -> tuple[str, ...]:
    """Writes every change of a file with all its bytes to ``logs.THREAD``, for `faults.power`."""
    said = ("-ttt", "-T", "-y", "-xx", "-s", str(2**25))
    quiet = ("-e", "signal=none", "-e", _trace(_CHANGES))
    return ("strace", "-ff", "-f", "-qq", "--seccomp-bpf", *said, *quiet, "-o", str(logs))


def _injecting(call: str, what: str) -> tuple[str, ...]:
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-e", _trace([call]), "-e", f"inject={call}:{what}")


def _trace(calls: Iterable[str]) -> str:
    return f"trace={','.join(calls)}"


def tracee(tracer: int) -> int:
    """The process that strace started."""
    (child,) = Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split()
    return int(child)
