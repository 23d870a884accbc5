"""Plug-ins: modules of others that register scorers, formats and gates, imported once before a job is read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from evalsvc.config import Config
from evalsvc.core.records import Job
from evalsvc.errors import ConfigError
from evalsvc.reports.inert import plain

_KEY = "plugins.modules"
#: Where plug-ins register: the names that are taken have to be there before a plug-in's.
_ROOMS = ("evalsvc.scoring", "evalsvc.suites", "evalsvc.decide")


def load_plugins(config: Config) -> None:
    """Import the modules of ``[plugins]``; one that was imported before stays as it is.

    Where the configuration only lay in the folder, a line on stderr says first whose code is about to run.

    Raises:
        ConfigError: a module that is not there, fails, or registers a name that is taken; it names the module.
    """
    if config.plugins_met:
        named = plain(", ".join(config.plugins.modules))
        _say(f"evalsvc: runs the plug-ins {named}, as {config.file} in this folder says (--config names another)\n")
    load_modules(modules_of(config))


@cache
def _say(line: str) -> None:
    """Once a process: `plan --pilot` reads the configuration twice."""
    sys.stderr.write(line)


def modules_of(config: Config) -> tuple[str, ...]:
    """The modules of ``[plugins]``, files among them as absolute paths: they are relative to config.toml."""
    folder = config.file.parent if config.file is not None else Path()
    return tuple(str((folder / name).resolve()) if name.endswith(".py") else name for name in config.plugins.modules)


def check_gates(job: Job) -> None:
    """Raise `ConfigError` for a filed job that asks for a gate which nothing brings any more."""
    from evalsvc.decide import gates  # noqa: PLC0415 - statistics, which small commands do without

    for spec in job.gates:
        if spec.name not in gates:
            raise ConfigError(f"the job asks for the gate {spec.name!r}, and no module here brings it", key=_KEY)


def plugin_arguments(config: Config) -> tuple[str, ...]:
    """What tells the simulator's process to import the same: it reads the job's cases, too."""
    return tuple(part for name in modules_of(config) for part in ("--plugin", name))


def load_modules(modules: Sequence[str]) -> None:
    """Import modules by name, or by the path of a file. Raises `ConfigError` as `load_plugins`."""
    for room in _ROOMS if modules else ():
        import_module(room)
    for name in modules:
        try:
            _import(name)
        except Exception as error:  # whatever a module of somebody else raises
            why = f"{type(error).__name__}: {error}"
            raise ConfigError(f"the plug-in {name} cannot be imported: {why}", key=_KEY) from error


def _import(name: str) -> None:
    if not name.endswith(".py"):
        import_module(name)
        return
    alias = f"evalsvc_plugin:{name}"
    if alias in sys.modules:
        return
    spec = spec_from_file_location(alias, name)
    if spec is None or spec.loader is None or not Path(name).is_file():
        raise FileNotFoundError("there is no such file")
    sys.modules[alias] = module_from_spec(spec)
    try:
        spec.loader.exec_module(sys.modules[alias])
    except BaseException:
        del sys.modules[alias]
        raise
