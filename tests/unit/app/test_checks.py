from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsvc.app import checks
from evalsvc.app.checks import Level
from evalsvc.config import load
from evalsvc.providers.settings import EndpointSettings
from evalsvc.store.database import open_database

NOW = 1_795_600_000.0  # 2026-11-25


@pytest.mark.parametrize(
    ("version", "loses"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.46.1", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.53.0", False),
        ("4.0.0", False),
    ],
)
def test_which_sqlite_may_lose_commits(version: str, loses: bool) -> None:
    assert checks.loses_commits(version) is loses
    assert checks.sqlite(version).level is (Level.WARNING if loses else Level.OK)
    assert version in checks.sqlite(version).found


def test_sockets_for_all_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1] if limits else (264, 264))
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    assert checks.open_files([EndpointSettings(max_in_flight=100)]).level is Level.OK
    found = checks.open_files([EndpointSettings(max_in_flight=100), EndpointSettings(max_in_flight=1)])
    assert found.level is Level.PROBLEM
    assert "266" in found.found
    assert not limits


@pytest.mark.parametrize(
    ("free", "system", "level"),
    [
        (2**30, "ext4", Level.OK),
        (2**30, None, Level.OK),
        (2**30 - 1, "xfs", Level.WARNING),
        (100 * 2**20 - 1, "ext4", Level.PROBLEM),
        (2**40, "nfs4", Level.PROBLEM),
        (2**40, "cifs", Level.PROBLEM),
        (2**40, "fuse.sshfs", Level.PROBLEM),
        (2**40, "overlay", Level.OK),
    ],
)
def test_the_disk(free: int, system: str | None, level: Level) -> None:
    assert checks.disk(Path("x.db"), free=free, system=system).level is level


def test_the_clocks() -> None:
    assert checks.monotonic_clock(monotonic=True, resolution=1e-9).level is Level.OK
    assert checks.monotonic_clock(monotonic=True, resolution=0.016).level is Level.PROBLEM
    assert checks.monotonic_clock(monotonic=False, resolution=1e-9).level is Level.PROBLEM
    assert checks.wall_clock(NOW, newest=None).level is Level.OK
    assert checks.wall_clock(NOW, newest=NOW - 1).level is Level.OK
    assert checks.wall_clock(NOW, newest=NOW + 61).level is Level.WARNING
    assert checks.wall_clock(0.0, newest=None).level is Level.PROBLEM
    assert checks.wall_clock(5e9, newest=None).level is Level.PROBLEM


@pytest.mark.parametrize(
    ("url", "more", "level"),
    [
        ("https://x.example/v1", {"api_key_env": "K"}, Level.OK),
        ("https://x.example/v1", {}, Level.OK),
        ("http://x.example/v1", {}, Level.OK),
        ("http://x.example/v1", {"api_key_env": "K"}, Level.WARNING),
        ("http://127.0.0.1:8000/v1", {"api_key_env": "K"}, Level.OK),
        ("http://[::1]:8000/v1", {"api_key_env": "K"}, Level.OK),
        ("https://x.example/v1", {"api_key_env": "NONE"}, Level.PROBLEM),
        ("https://x.example/v1", {"api_key_file": "/nowhere/key"}, Level.PROBLEM),
        ("https://api.openai.com/v1", {"api_key_env": "OPENAI_API_KEY"}, Level.WARNING),
        ("https://api.openai.com/v1", {"api_key_env": "MINE"}, Level.PROBLEM),
    ],
)
def test_the_key_of_an_endpoint(url: str, more: dict[str, Any], level: Level) -> None:
    found = checks.endpoint_key("x", EndpointSettings(base_url=url, **more), {"K": "sk-secret"})
    assert found.level is level
    assert "sk-secret" not in found.found + found.mend


@pytest.mark.parametrize(("mode", "level"), [(0o600, Level.OK), (0o640, Level.OK), (0o644, Level.WARNING)])
def test_who_may_read_a_key(tmp_path: Path, mode: int, level: Level) -> None:
    (tmp_path / "key").write_text("sk-secret")
    (tmp_path / "key").chmod(mode)
    endpoint = EndpointSettings(base_url="https://x.example/v1", api_key_file=str(tmp_path / "key"))
    assert checks.endpoint_key("x", endpoint, {}).level is level


def test_the_built_in_simulator_needs_no_key() -> None:
    assert checks.endpoint_key("sim", EndpointSettings(), {}).level is Level.OK


@pytest.mark.parametrize(
    ("host", "tokens", "level"),
    [("127.0.0.1", 0, Level.OK), ("0.0.0.0", 0, Level.PROBLEM), ("0.0.0.0", 1, Level.OK)],
)
def test_the_address(tmp_path: Path, host: str, tokens: int, level: Level) -> None:
    (tmp_path / "c.toml").write_text(f'[server]\nhost = "{host}"\n')
    assert checks.server(load(tmp_path / "c.toml", {}), tokens=tokens).level is level


def test_a_signing_key_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[signing]\nkey_file = "{tmp_path}/c.toml"\n')
    assert checks.signing(load(tmp_path / "c.toml", {})).level is Level.PROBLEM
    (tmp_path / "c.toml").write_text("")
    assert checks.signing(load(tmp_path / "c.toml", {})).level is Level.OK


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    assert checks.database(tmp_path / "x.db")[1].level is Level.OK
    assert checks.database(tmp_path / "no" / "x.db")[1].level is Level.PROBLEM
    (tmp_path / "x.db").write_text("none")
    facts, check = checks.database(tmp_path / "x.db")
    assert (facts, check.level) == (None, Level.PROBLEM)


@given(st.text(max_size=20))
def test_a_terminal_of_any_encoding(encoding: str) -> None:
    found = checks.terminal(is_terminal=True, encoding=encoding, environ={})
    assert (found.level is Level.OK) == (encoding.lower().replace("-", "") == "utf8")
    assert checks.terminal(is_terminal=False, encoding=encoding, environ={}).level is Level.OK


def test_every_check_that_is_not_ok_says_what_to_mend(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "c.toml").write_text(
        '[server]\nhost = "0.0.0.0"\n[store]\npath = "/nowhere/x.db"\n[signing]\nkey_file = "/nowhere/key"\n'
        '[endpoints.up]\nbase_url = "http://x.example/v1"\napi_key_env = "NONE"\nmax_in_flight = 99999999\n'
    )
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, 10))
    found = [*checks.of_machine(), *checks.of_configuration(load(tmp_path / "c.toml", {}), {})]
    assert {check.name for check in found if check.level is Level.PROBLEM} == {
        "open files",
        "database",
        "server",
        "signing key",
        "endpoint up",
    }
    assert all(bool(check.mend) == (check.level is not Level.OK) for check in found)


def test_a_database_of_an_older_evalsvc_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make() -> None:
        async with open_database(tmp_path / "e.db"):
            pass

    anyio.run(make)
    monkeypatch.setattr("evalsvc.store.database._migrations", lambda: [(1, ""), (999, "")])
    facts, check = checks.database(tmp_path / "e.db")
    assert (facts, check.level) == (None, Level.OK)
    assert "brings it up to date" in check.found
    (tmp_path / "other.db").write_bytes(b"")
    assert checks.database(tmp_path / "other.db")[1].level is Level.OK
    monkeypatch.setattr("evalsvc.store.database._migrations", lambda: [(0, "")])
    assert checks.database(tmp_path / "e.db")[1].level is Level.PROBLEM
