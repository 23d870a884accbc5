"""What commands that read results share: which database, how a job is meant, how output leaves."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

PATH = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])


def of_database(function: F) -> F:
    """Adds --db and --config."""
    config = click.option(
        "--config", "config_path", type=PATH, help="Configuration [EVALSVC_CONFIG, ./config.toml, defaults]."
    )
    db = click.option("--db", type=PATH, help="Database [store.path of the configuration, evalsvc.db].")
    return db(config(function))


def database(db: Path | None, config_path: Path | None) -> Path:
    """The file to read: the one named, else that of the configuration. Raises `ConfigError`."""
    from evalsvc.app.quick_path import quick_path

    found = db or quick_path(config_path, os.environ)
    if found is None:
        from evalsvc.app.defaults import database_path

        found = database_path(config_path)
    return found


def width() -> int:
    """Columns to write for."""
    return min(shutil.get_terminal_size((100, 24)).columns, 140)


def colored() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def put(text: str) -> None:
    """Print a text as it is, in UTF-8 whatever the locale says."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
