"""Many processes of evalsvc for little: one has imported everything and forks, the children are harmed.

A child differs from ``python -m evalsvc`` in nothing but who has read its modules. Strace is attached before it begins.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Any, Self


class Nursery:
    """The process that forks, as a context manager; one child at a time."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, sort: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    def run(
        self, folder: Path, arguments: Sequence[str], strace: Sequence[str] = (), kill_after_s: float | None = None
    ) -> tuple[int, str, str]:
        """``evalsvc ARGUMENTS`` in a folder: exit code (-9: killed), stdout, stderr.

        ``strace`` is a command line of strace that ends before the command; ``kill_after_s`` sends SIGKILL so late.
        """
        with tempfile.TemporaryDirectory(dir=folder) as said:
            out, err = Path(said) / "out", Path(said) / "err"
            child = self._ask({"cwd": str(folder), "argv": list(arguments), "out": str(out), "err": str(err)})
            tracer = _attached(strace, child) if strace else None
            os.kill(child, signal.SIGCONT)
            killer = Timer(kill_after_s or 0, os.kill, (child, signal.SIGKILL))
            if kill_after_s is not None:
                killer.start()
            code = self._heard()
            killer.cancel()
            if tracer is not None:
                tracer.communicate(timeout=30)
            return code, out.read_text(), err.read_text()

    def _ask(self, wanted: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def _attached(strace: Sequence[str], child: int) -> subprocess.Popen[str]:
    command = [each for each in strace if each not in {"-qq", "--seccomp-bpf"}]
    tracer = subprocess.Popen([*command, "-p", str(child)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    assert "attached" in line, line
    return tracer


def _child(wanted: dict[str, Any]) -> None:
    """Becomes ``evalsvc``, once it is told to go on."""
    os.chdir(wanted["cwd"])
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(wanted[name], os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.argv = ["evalsvc", *wanted["argv"]]
    os.kill(os.getpid(), signal.SIGSTOP)
    from evalsvc.cli.main import main as evalsvc  # noqa: PLC0415 - the harness itself has no use for it

    evalsvc()


def main() -> None:
    for module in ("app.run", "app.prepare", "app.results", "app.plan", "cli.run", "cli.progress", "app.signals"):
        __import__(f"evalsvc.{module}")
    with tempfile.TemporaryDirectory() as folder:
        rehearse(Path(folder))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        os.waitpid(child, os.WUNTRACED)  # it has stopped itself
        print(child, flush=True)  # noqa: T201
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def rehearse(folder: Path) -> None:
    """One whole job in a child tells which modules it takes: they are imported here."""
    names = folder / "modules"
    child = os.fork()
    if child == 0:
        _rehearsed(folder, names)
    os.waitpid(child, 0)
    for name in names.read_text().split():
        __import__(name)


def _rehearsed(folder: Path, names: Path) -> None:
    os.chdir(folder)
    Path("job.toml").write_text(
        'name = "r"\nseed = 1\n[candidate]\nendpoint = "recorded"\nmodel = "a"\noutputs = "a.jsonl"\n'
        '[baseline]\nendpoint = "recorded"\nmodel = "b"\noutputs = "a.jsonl"\n'
        '[[suites]]\nname = "s"\nrole = "target"\ndataset = "c.jsonl"\nscorer = "contains"\n'
    )
    Path("c.jsonl").write_text('{"id": "c", "input": "q", "expected": "42"}\n')
    Path("a.jsonl").write_text('{"id": "c", "output": "42"}\n')
    for number in (1, 2):
        os.dup2(os.open("/dev/null", os.O_WRONLY), number)
    sys.argv = ["evalsvc", "run", "job.toml", "--json"]
    try:
        from evalsvc.cli.main import main as evalsvc  # noqa: PLC0415

        evalsvc()
    finally:
        named = [name for name, module in sys.modules.items() if getattr(module, "__spec__", None) is not None]
        names.write_text(" ".join(name for name in named if name != "__main__"))
        os._exit(0)


if __name__ == "__main__":
    main()
