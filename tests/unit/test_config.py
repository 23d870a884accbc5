from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel

from evalsvc import config
from evalsvc.core.settings import PluginSettings, ServerSettings, SigningSettings, TelemetrySettings
from evalsvc.engine.settings import EngineSettings
from evalsvc.errors import ConfigError
from evalsvc.providers.settings import EndpointSettings
from evalsvc.store.settings import StoreSettings

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.toml"
OPENAI = EndpointSettings(base_url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY")
VLLM = '[endpoints.my-vllm]\nbase_url = "http://127.0.0.1:8000/v1"\n'
SECTIONS = "store, server, engine, endpoints, signing, plugins, telemetry"
ENGINE_KEYS = "known: transport, max_row_mb, max_response_mb, max_attempts, retry_deadline_s"
ENDPOINT_KEYS = (
    "known: base_url, api_key_env, api_key_file, azure_api_version, rpm, tpm, max_in_flight, timeout_s, price_in,"
    " price_out"
)
SECRET = "sk-proj-verysecret"
SETTINGS: dict[str, type[BaseModel]] = {
    "store": StoreSettings,
    "server": ServerSettings,
    "engine": EngineSettings,
    "openai": EndpointSettings,
    "signing": SigningSettings,
    "plugins": PluginSettings,
    "telemetry": TelemetrySettings,
}

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_config(text: str) -> Path:
        path = tmp_path / "c.toml"
        path.write_text(text)
        return path

    return write_config


def error_of(path: Path | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        config.load(path, environ or {})
    return str(error.value).replace(f"{path.parent}/" if path else "", "", 1)


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = config.load(None, {})
    assert (found.file, found.signing.key_file) == (None, None)
    assert found.store.path == "evalsvc.db"
    assert found.engine.model_dump() == {
        "transport": "aiohttp",
        "max_row_mb": 16,
        "max_response_mb": 8,
        "max_attempts": 5,
        "retry_deadline_s": 600,
    }
    assert found.endpoints == {"openai": OPENAI, "sim": EndpointSettings()}
    sim = found.endpoints["sim"]
    assert (sim.base_url, sim.rpm, sim.tpm, sim.max_in_flight, sim.timeout_s) == (None, None, None, 64, 120)
    assert (sim.price_in, sim.price_out) == (None, None)


def test_the_flag_comes_before_the_variable_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text('[store]\npath = "folder"')
    Path("other.toml").write_text('[store]\npath = "variable"')
    environ = {"EVALSVC_CONFIG": "other.toml"}
    flag = write('[store]\npath = "flag"')
    assert [config.load(*given).store.path for given in ((flag, environ), (None, environ), (None, {}))] == [
        "flag",
        "variable",
        "folder",
    ]
    assert config.load(None, {}).file == Path("config.toml")


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    gone = tmp_path / "none.toml"
    assert error_of(gone) == "none.toml: cannot be read: No such file or directory"
    assert error_of(None, {"EVALSVC_CONFIG": "none.toml"}) == "none.toml: cannot be read: No such file or directory"


def test_a_full_file(write: Write) -> None:
    found = config.load(
        write(
            '[store]\npath = "x.db"\n[engine]\nmax_attempts = 2\nretry_deadline_s = 5\n[endpoints.vllm]\n'
            'base_url = "https://h:8000/v1/"\napi_key_file = "k"\nrpm = 5\ntpm = 6\nmax_in_flight = 7\n'
            "timeout_s = 8\nprice_in = 0\nprice_out = 1.5"
        ),
        {},
    )
    assert found.store == StoreSettings(path="x.db")
    assert found.engine == EngineSettings(max_attempts=2, retry_deadline_s=5)
    assert set(found.endpoints) == {"openai", "sim", "vllm"}
    assert found.endpoints["vllm"].model_dump() == {
        "base_url": "https://h:8000/v1",
        "api_key_env": None,
        "api_key_file": "k",
        "azure_api_version": None,
        "rpm": 5,
        "tpm": 6,
        "max_in_flight": 7,
        "timeout_s": 8.0,
        "price_in": 0.0,
        "price_out": 1.5,
    }


def test_a_table_of_a_built_in_name_replaces_it_as_a_whole(write: Write) -> None:
    found = config.load(write('[endpoints.openai]\nbase_url = "http://proxy/v1"\n[endpoints.sim]\nrpm = 3'), {})
    assert found.endpoints["openai"] == EndpointSettings(base_url="http://proxy/v1")  # its key goes nowhere else
    assert found.endpoints["sim"] == EndpointSettings(rpm=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[store", "1: not valid TOML: Expected ']' at the end of a table declaration"),
        ("[srver]\nport = 1", f'1: srver: unknown key "srver"; did you mean "server"? known: {SECTIONS}'),
        ("[server]\nport = 65536", "2: server.port: must be at most 65535, got an integer 65536"),
        (
            "[engine]\nmax_attempt = 1",
            '2: engine.max_attempt: unknown key "max_attempt"; did you mean "max_attempts"? ' + ENGINE_KEYS,
        ),
        ("[engine]\nmax_attempts = '5'", '2: engine.max_attempts: must be an integer, got a string "5"'),
        ("[engine]\nmax_attempts = 0", "2: engine.max_attempts: must be at least 1, got an integer 0"),
        ("[engine]\nretry_deadline_s = inf", "2: engine.retry_deadline_s: must be a finite number, got a number inf"),
        ("[store]\npath = ''", "2: store.path: must not be empty"),
        (VLLM + "rate = 1", f'3: endpoints.my-vllm.rate: unknown key "rate"; {ENDPOINT_KEYS}'),
        (VLLM + "rpm = true", "3: endpoints.my-vllm.rpm: must be an integer, got true"),
        (VLLM + "timeout_s = 0", "3: endpoints.my-vllm.timeout_s: must be greater than 0, got an integer 0"),
        (VLLM + "price_in = -1", "3: endpoints.my-vllm.price_in: must be at least 0, got an integer -1"),
        (
            VLLM + "api_key_env = 'K'\napi_key_file = 'k'",
            ("1: endpoints.my-vllm: api_key_env and api_key_file exclude each other; keep one"),
        ),
        ("[endpoints.x]\nrpm = 1", "1: endpoints.x.base_url: missing; the root of an OpenAI-compatible API"),
        (
            VLLM + "[endpoints.MY_VLLM]\nbase_url = 'http://x'",
            (
                "3: endpoints.MY_VLLM: differs from the endpoint "
                '"my-vllm" only in case or in - and _, which variables cannot tell apart'
            ),
        ),
        (
            "[endpoints.recorded]\nbase_url = 'http://x'",
            (
                "1: endpoints.recorded: in a job this means answers from a file, so it would never be asked: "
                "give it another name"
            ),
        ),
        ("[endpoints]\nx = 1", "2: endpoints.x: must be a table, got an integer 1"),
    ],
)
def test_what_is_wrong_names_file_line_and_key(write: Write, text: str, message: str) -> None:
    assert error_of(write(text)) == f"c.toml:{message}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://x/v1", "must be an http:// or https:// URL with a host"),
        ("x/v1", "must be an http:// or https:// URL with a host"),
        ("http:///v1", "must be an http:// or https:// URL with a host"),
        (f"http://u:{SECRET}@x/v1", "must hold no user name or password; name the key in api_key_env or api_key_file"),
        (f"http://{SECRET}@x/v1", "must hold no user name or password; name the key in api_key_env or api_key_file"),
        (f"http://x/v1?key={SECRET}", "must hold no query and no fragment"),
        (f"http://x/v1#{SECRET}", "must hold no query and no fragment"),
        ("http://x/v1?", "must hold no query and no fragment"),
        ("http://x:99999/v1", "must be a URL: its host or port is malformed"),
        ("http://[x/v1", "must be a URL: its host or port is malformed"),
        ("http://x /v1", "must be a URL of printable ASCII characters, without spaces"),
        ("http://x/\tv1", "must be a URL of printable ASCII characters, without spaces"),
        ("http://х/v1", "must be a URL of printable ASCII characters, without spaces"),
    ],
)
def test_a_base_url_that_is_none_is_refused_and_not_repeated(write: Write, url: str, message: str) -> None:
    path = write(f'[endpoints.x]\nbase_url = "{url}"')
    assert error_of(path) == f"c.toml:2: endpoints.x.base_url: {message}"
    variable = "EVALSVC_ENDPOINTS__X__BASE_URL"
    assert error_of(write(""), {variable: url}) == f"{variable}: {message}"


def test_a_key_in_the_wrong_place_is_not_repeated(write: Write) -> None:
    wrong = "must be the name of an environment variable, not the key itself"
    assert error_of(write(f'{VLLM}api_key_env = "{SECRET}"')) == f"c.toml:3: endpoints.my-vllm.api_key_env: {wrong}"
    assert error_of(write(f'{VLLM}api_key = "{SECRET}"')) == (
        f'c.toml:3: endpoints.my-vllm.api_key: unknown key "api_key"; did you mean "api_key_env"? {ENDPOINT_KEYS}'
    )
    variable = "EVALSVC_ENDPOINTS__MY_VLLM__API_KEY"
    assert SECRET not in error_of(write(VLLM), {variable: SECRET})


def test_variables_override_every_section(write: Write) -> None:
    environ = {
        "EVALSVC_STORE__PATH": "v.db",
        "EVALSVC_ENGINE__RETRY_DEADLINE_S": "1.5",
        "EVALSVC_engine__max_attempts": "3",
        "EVALSVC_ENDPOINTS__MY_VLLM__RPM": "600",
        "EVALSVC_ENDPOINTS__OPENAI__MAX_IN_FLIGHT": "2",
        "EVALSVC_ENDPOINTS__OPENAI__API_KEY_ENV": "",
        "EVALSVC_ENDPOINTS__NEW__BASE_URL": "http://new/",
        "EVALSVC_SIGNING__KEY_FILE": "k.pem",
        "EVALSVC_TOKEN": "not ours",
        "OTHER__KEY": "not ours",
    }
    found = config.load(write(f"[engine]\nmax_attempts = 9\nmax_row_mb = 1\n{VLLM}rpm = 1\ntpm = 2"), environ)
    assert (found.store.path, found.signing.key_file) == ("v.db", "k.pem")
    assert (found.engine.retry_deadline_s, found.engine.max_attempts, found.engine.max_row_mb) == (1.5, 3, 1)
    vllm = found.endpoints["my-vllm"]
    assert (vllm.rpm, vllm.tpm, vllm.base_url) == (600, 2, "http://127.0.0.1:8000/v1")
    assert (found.endpoints["openai"].max_in_flight, found.endpoints["openai"].api_key_env) == (2, None)
    assert found.endpoints["new"] == EndpointSettings(base_url="http://new")
    assert set(found.endpoints) == {"openai", "sim", "my-vllm", "new"}


def test_variables_leave_the_built_in_endpoints_as_they_are(write: Write) -> None:
    config.load(write(""), {"EVALSVC_ENDPOINTS__SIM__RPM": "5"})
    assert config.load(write(""), {}).endpoints["sim"].rpm is None


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("EVALSVC_ENGINE__MAX_ATTEMPTS", "five", 'must be an integer, got a string "five"'),
        ("EVALSVC_ENGINE__MAX_ATTEMPTS", "", 'must be an integer, got a string ""'),
        ("EVALSVC_ENGINE__MAX_ATTEMPTS", "0", 'must be at least 1, got a string "0"'),
        ("EVALSVC_ENGINE__RETRY_DEADLINE_S", "nan", 'must be a finite number, got a string "nan"'),
        ("EVALSVC_STORE__PATH", "", "must not be empty"),
        ("EVALSVC_STORE__PAHT", "x", 'unknown key "paht"; did you mean "path"? known: path, keep_days'),
        (
            "EVALSVC_ENGNE__X",
            "x",
            f'unknown key "engne"; did you mean "engine"? known: {SECTIONS}',
        ),
        ("EVALSVC_ENDPOINTS__SIM__RMP", "x", f'unknown key "rmp"; did you mean "rpm"? {ENDPOINT_KEYS}'),
        ("EVALSVC_ENDPOINTS__RPM", "5", "must be of the form EVALSVC_ENDPOINTS__NAME__KEY"),
    ],
)
def test_a_bad_variable_is_named(write: Write, variable: str, value: str, message: str) -> None:
    assert error_of(write(""), {variable: value}) == f"{variable}: {message}"


def test_what_variables_leave_incomplete(write: Write) -> None:
    assert error_of(write(""), {"EVALSVC_ENDPOINTS__NEW__RPM": "5"}) == (
        "environment: endpoints.new.base_url: missing; the root of an OpenAI-compatible API"
    )
    assert error_of(write(f'{VLLM}api_key_env = "K"'), {"EVALSVC_ENDPOINTS__MY_VLLM__API_KEY_FILE": "k"}) == (
        "c.toml:1: endpoints.my-vllm: api_key_env and api_key_file exclude each other; keep one"
    )


def test_api_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\r\n")
    of_file = EndpointSettings(base_url="http://x", api_key_file=str(file))
    assert config.api_key("sim", EndpointSettings(), {"OPENAI_API_KEY": SECRET}) is None
    assert config.api_key("openai", OPENAI, {"OPENAI_API_KEY": f"{SECRET}\n"}) == SECRET
    assert config.api_key("x", of_file, {}) == SECRET
    assert SECRET not in repr(of_file) + str(of_file)


def key_error(endpoint: EndpointSettings, environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as error:
        config.api_key("x", endpoint, environ)
    return str(error.value)


def test_a_key_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    where = "endpoints.x: the environment variable OPENAI_API_KEY"
    assert key_error(OPENAI, {}) == f"{where} should hold its key and is not set or empty"
    assert key_error(OPENAI, {"OPENAI_API_KEY": " "}) == f"{where} should hold its key and is not set or empty"
    unusable = f"{where} holds no usable key: one line of printable ASCII without spaces"
    for key in (f"{SECRET}\nX-Evil: 1", f"{SECRET} x", f"{SECRET}é"):
        assert key_error(OPENAI, {"OPENAI_API_KEY": key}) == unusable
    gone = EndpointSettings(base_url="http://x", api_key_file=f"{tmp_path}/none")
    assert key_error(gone, {}) == (
        f"endpoints.x: cannot read its key from the file {tmp_path}/none: No such file or directory"
    )
    (tmp_path / "empty").write_text("\n")
    empty = EndpointSettings(base_url="http://x", api_key_file=f"{tmp_path}/empty")
    assert key_error(empty, {}) == f"endpoints.x: the file {tmp_path}/empty should hold its key and is not set or empty"


def test_plug_ins_of_a_file_and_of_a_variable(write: Write) -> None:
    path = write('[plugins]\nmodules = ["ours.scorers", "more.py"]')
    assert config.load(path, {}).plugins.modules == ["ours.scorers", "more.py"]
    variable = {"EVALSVC_PLUGINS__MODULES": "a.b, c.py"}
    assert config.load(path, variable).plugins.modules == ["a.b", "c.py"]
    assert config.load(path, {"EVALSVC_PLUGINS__MODULES": ""}).plugins.modules == []


def test_plugins_of_a_file_that_nobody_named_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "config.toml"
    file.write_text('[plugins]\nmodules = ["ours.py"]\n')
    assert config.load(None, {}).plugins_met
    assert config.load(None, {"EVALSVC_STORE__PATH": "x.db", "EVALSVC_CONFIG": ""}).plugins_met
    assert not config.load(file, {}).plugins_met
    assert not config.load(None, {"EVALSVC_CONFIG": "config.toml"}).plugins_met
    assert not config.load(None, {"EVALSVC_PLUGINS__MODULES": "others.py"}).plugins_met
    file.write_text("[server]\nport = 1\n")
    assert not config.load(None, {}).plugins_met
    file.unlink()
    assert not config.load(None, {}).plugins_met


def test_modules_are_names(write: Write) -> None:
    assert error_of(write("[plugins]\nmodules = [1]"), {}).startswith("c.toml:2: plugins.modules[0]: must be a string")


def test_settings_are_frozen() -> None:
    each = (
        (StoreSettings(), "path"),
        (EngineSettings(), "max_attempts"),
        (OPENAI, "rpm"),
        (SigningSettings(), "key_file"),
    )
    for settings, key in each:
        with pytest.raises(ValueError, match="frozen"):
            setattr(settings, key, None)


def test_the_schema_describes_every_key_and_accepts_the_example() -> None:
    schema = config.schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    models: list[dict[str, Any]] = [schema, *schema["$defs"].values()]
    described = [item for model in models for item in model["properties"].items()]
    assert len(described) == len(SECTIONS.split(", ")) + sum(len(model.model_fields) for model in SETTINGS.values())
    assert [key for key, value in described if not value.get("description")] == []
    check = jsonschema_rs.validator_for(json.loads(json.dumps(schema))).is_valid
    assert check(tomllib.loads(EXAMPLE.read_text(encoding="utf-8")))
    assert not check({"srver": {}})
    assert not check({"engine": {"max_attempts": "5"}})


def test_the_example_is_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example, defaults = config.load(EXAMPLE, {}), config.load(None, {})
    assert replace(example, file=None) == defaults


def test_the_example_lists_every_setting_with_its_default_and_a_comment() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    uncommented = tomllib.loads(re.sub(r"(?m)^#(?=\w+ = )", "", text))
    for name, model in SETTINGS.items():
        section = uncommented[name] if name in uncommented else uncommented["endpoints"][name]
        assert set(section) == set(model.model_fields)
    lines = text.splitlines()
    for above, line in pairwise(lines):
        assert not re.match(r"#?\w+ = ", line) or above.startswith("# "), f"no comment above {line}"
    for line in lines:
        if key := re.match(r"#(\w+) = ", line):
            fields = {name: field for model in SETTINGS.values() for name, field in model.model_fields.items()}
            assert fields[key[1]].default is None
