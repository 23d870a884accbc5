"""The short way to the database's path gives what the whole configuration gives, or gives up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalsvc.app.defaults import database_path
from evalsvc.app.quick_path import quick_path
from evalsvc.errors import ConfigError

FILES = {
    "none": None,
    "empty": "",
    "path": '[store]\npath = "mine.db"\n',
    "other": '[engine]\nmax_attempts = 2\n[endpoints.x]\nbase_url = "http://x"\n',
    "inline": 'store = { path = "a b/é.db" }\n',
    "mark": '\ufeff[store]\npath = "mine.db"\n',
    "no path": "[store]\n",
    "empty path": '[store]\npath = ""\n',
    "number": "[store]\npath = 3\n",
    "no table": 'store = "mine.db"\n',
    "no TOML": "[store\n",
    "deep": "a = " + "[" * 5000 + "]" * 5000,
}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "path": {"EVALSVC_STORE__PATH": "env.db"},
    "lower": {"evalsvc_store__path": "env.db"},
    "empty": {"EVALSVC_STORE__PATH": ""},
    "two": {"EVALSVC_STORE__PATH": "env.db", "evalsvc_store__path": "other.db"},
    "file": {"EVALSVC_CONFIG": "named.toml"},
    "no file": {"EVALSVC_CONFIG": ""},
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("text", FILES)
@pytest.mark.parametrize("named", [True, False])
def test_both_ways_lead_to_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, environment: str, named: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.upper().startswith("EVALSVC_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENTS[environment].items():
        monkeypatch.setenv(name, value)
    for file in ("config.toml", "named.toml", "given.toml"):
        content = FILES[text]
        if content is not None:
            Path(file).write_text(content.replace("mine", file.removesuffix(".toml")), encoding="utf-8")
    config_path = Path("given.toml") if named else None
    found = quick_path(config_path, os.environ)
    try:
        right = database_path(config_path)
    except ConfigError:
        # the path itself is never wrong where the short way gives one; the rest of the configuration may be
        assert (
            found is None or ENVIRONMENTS[environment].get("EVALSVC_STORE__PATH") or "evalsvc_store__path" in os.environ
        )
    else:
        assert found in {None, right}
        assert found == right or text == "mark" or environment in {"two", "empty"}
