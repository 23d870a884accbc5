"""Where the database is, without the rest of the configuration: checking that takes longer than reading a job."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

#: `StoreSettings.path`; a test holds the two together.
DEFAULT = "evalsvc.db"


def quick_path(config_path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The same as `defaults.database_path`, or None where only that can tell what is right, or wrong.

    What is wrong elsewhere in the configuration does not keep anybody from reading results.
    """
    named = [value for name, value in environ.items() if name.upper() == "EVALSVC_STORE__PATH"]
    if named:
        return Path(named[0]) if len(named) == 1 and named[0] else None
    given = config_path or environ.get("EVALSVC_CONFIG")
    file = Path(given or "config.toml")
    if not given and not file.exists():
        return Path(DEFAULT)
    try:
        store = tomllib.loads(file.read_text(encoding="utf-8")).get("store", {})
    except (OSError, ValueError, RecursionError):
        return None
    path = store.get("path", DEFAULT) if isinstance(store, dict) else None
    return Path(path) if path and isinstance(path, str) else None
