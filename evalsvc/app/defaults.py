"""What the configuration says where a command line does not."""

from __future__ import annotations

import os
from pathlib import Path

from evalsvc import config


def database_path(config_path: Path | None) -> Path:
    """The database of the configuration. Raises `ConfigError`."""
    return Path(config.load(config_path, os.environ).store.path)
