"""The table of rooms: who may import whom, and which vendor lives in which room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "evalsvc"

_LEAVES = {"jobfile", "scoring", "suites", "providers", "store", "telemetry", "simulator"}
_ALL = _LEAVES | {"errors", "stats", "core", "decide", "engine", "reports", "api", "config", "app", "cli", "contracts"}

MAY_IMPORT = {
    "errors": set(),
    "stats": set(),
    "core": {"errors"},
    **{leaf: {"core", "errors"} for leaf in _LEAVES},
    "decide": {"core", "stats", "errors"},
    "reports": {"core", "decide", "errors"},
    "engine": {"errors", "stats", "core", "decide", "scoring", "suites", "providers", "store"},
    "api": {"engine", "jobfile", "store", "reports", "telemetry", "core", "errors"},
    "config": {"engine", "store", "providers", "core", "errors"},  # their settings classes only
    "app": _ALL - {"app", "cli", "contracts"},
    "cli": {"app", "jobfile", "core", "errors"},
    "contracts": {"scoring", "suites", "decide", "core", "errors"},  # for plug-ins' own tests
}

VENDORS = {
    "openai": {"providers"},
    "httpx2": {"providers", "cli"},
    "aiohttp": {"providers"},
    "pyreqwest": {"providers"},
    "aiosqlite": {"store"},
    "cryptography": {"core"},
    "sqlite3": {"store"},
    "prometheus_client": {"telemetry"},
    "structlog": {"telemetry"},
    "fastapi": {"api"},
    "python_multipart": {"api"},
    "starlette": {"api", "simulator"},
    "uvicorn": {"api", "simulator", "app"},
    "scipy": {"stats"},
    "yaml": {"suites"},
    "pyarrow": {"suites"},
    "jinja2": {"reports", "api"},
    "pydantic": {"jobfile", "config", "scoring", "simulator", "core", "store", "engine", "providers", "api"},
    "tenacity": {"engine"},
    "click": {"cli"},
    "rich": {"cli"},
}

PURE = ("scoring", "stats", "decide", "core")
_IMPURE_MODULES = {"time", "random", "secrets", "socket", "subprocess", "asyncio", "anyio", "os", "threading"}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            yield module
            if module == "evalsvc":
                yield from (f"evalsvc.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "evalsvc" and rest and rest[0] != "__version__" and (ROOT / rest[0]).with_suffix("").name in _ALL:
            assert rest[0] == room or rest[0] in MAY_IMPORT[room], f"{room} imports {name}"
        assert room in VENDORS.get(top, {room}), f"{room} imports {name}"


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) in PURE], ids=lambda p: str(p.relative_to(ROOT)))
def test_pure_rooms_do_no_io_and_know_no_clock(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))
    assert not {name.split(".")[0] for name in imports(path)} & _IMPURE_MODULES


def test_config_takes_only_settings_from_other_rooms() -> None:
    ours = {name for name in imports(ROOT / "config.py") if name.startswith("evalsvc.")}
    assert all(".settings" in name or name.split(".")[1] in ("core", "errors") for name in ours)


def test_no_circle_of_imports() -> None:
    graph = {_name(path): {n for n in imports(path) if n.startswith("evalsvc")} for path in modules()}
    names = set(graph)
    edges = {name: {target for target in targets if target in names} - {name} for name, targets in graph.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in edges[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in names - {"evalsvc"}:
        visit(name, ())


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_broad_excepts_stand_at_the_named_borders_only() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception"
    }
    assert found <= {"engine/executor.py", "engine/maintenance.py", "engine/dispatcher.py", "app/plugins.py"}
