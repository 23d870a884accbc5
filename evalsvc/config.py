"""Settings: found, read and overlaid; every error names the file and line, or the variable, it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalsvc.core.invalid import explain, first_error, unknown_key
from evalsvc.core.records import RECORDED
from evalsvc.core.settings import PluginSettings, ServerSettings, SigningSettings, TelemetrySettings
from evalsvc.core.toml_source import KeyPath, TomlSource, dotted
from evalsvc.engine.settings import EngineSettings
from evalsvc.errors import ConfigError
from evalsvc.providers.settings import EndpointSettings
from evalsvc.store.settings import StoreSettings

_DEFAULT_FILE = Path("config.toml")
_PREFIX = "EVALSVC_"
#: What a key file's path may begin with: the folder in which systemd puts a service's credentials.
_CREDENTIALS = "$CREDENTIALS_DIRECTORY"
_SIMULATOR = "sim"
#: A line of a key's file that is as long is part of the key.
_KEY_LINE = 16
_BUILT_IN: dict[str, dict[str, Any]] = {
    "openai": {"base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"},
    _SIMULATOR: {},
}


class _ConfigTable(BaseModel):
    """The grammar of config.toml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    store: StoreSettings = Field(default=StoreSettings(), description="the database")
    server: ServerSettings = Field(default=ServerSettings(), description="the daemon")
    engine: EngineSettings = Field(default=EngineSettings(), description="limits of the engine")
    endpoints: dict[str, EndpointSettings] = Field(
        default_factory=dict, description="where models are asked, by the alias jobs use"
    )
    signing: SigningSettings = Field(default=SigningSettings(), description="the signature under decision records")
    plugins: PluginSettings = Field(default=PluginSettings(), description="scorers, formats and gates of your own")
    telemetry: TelemetrySettings = Field(default=TelemetrySettings(), description="the log of `serve`")


_SECTIONS: dict[str, type[BaseModel]] = {
    "store": StoreSettings,
    "server": ServerSettings,
    "engine": EngineSettings,
    "endpoints": EndpointSettings,
    "signing": SigningSettings,
    "plugins": PluginSettings,
    "telemetry": TelemetrySettings,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting. ``endpoints`` by alias, the built-in ones included; ``file`` is None when none was found.

    ``plugins_met``: the plug-ins are those of a ``file`` that nobody named, but that lay in the working directory.
    """

    store: StoreSettings
    server: ServerSettings
    engine: EngineSettings
    endpoints: Mapping[str, EndpointSettings]
    signing: SigningSettings
    plugins: PluginSettings
    telemetry: TelemetrySettings
    file: Path | None
    plugins_met: bool = False


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Settings of ``path``, else of ``EVALSVC_CONFIG``, else of ./config.toml, else defaults; then the environment's.

    Raises:
        ConfigError: the first thing that is wrong, with file, line and key, or with the variable.
    """
    file = _find(path, environ)
    source = TomlSource.parse(_read(file) if file else b"", file=str(file or _DEFAULT_FILE), blame=ConfigError)
    table = _validated(source)
    settings = table.model_dump(exclude_unset=True)
    endpoints = {**_BUILT_IN, **settings.get("endpoints", {})}
    _refuse_lookalikes(endpoints, source)
    settings = {**{name: {} for name in _SECTIONS}, **settings, "endpoints": endpoints}
    _overlay(settings, environ)
    _find_credentials((settings["signing"], *endpoints.values()), environ)
    plugins = PluginSettings(**settings["plugins"])
    return Config(
        store=StoreSettings(**settings["store"]),
        server=ServerSettings(**settings["server"]),
        engine=EngineSettings(**settings["engine"]),
        endpoints={name: _endpoint(name, values, table, source) for name, values in endpoints.items()},
        signing=SigningSettings(**settings["signing"]),
        plugins=plugins,
        telemetry=TelemetrySettings(**settings["telemetry"]),
        file=file,
        plugins_met=path is None and not environ.get("EVALSVC_CONFIG") and plugins == table.plugins != PluginSettings(),
    )


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of config.toml, for editors: a description and the default on every key."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **_ConfigTable.model_json_schema(), "title": "evalsvc config"}


def api_key(name: str, endpoint: EndpointSettings, environ: Mapping[str, str]) -> str | None:
    """The key to send to the endpoint called ``name``, or None where it has none.

    Raises:
        ConfigError: the variable or the file that should hold it does not. The message never holds a key.
    """
    place = f"endpoints.{name}"
    if endpoint.api_key_env is not None:
        key = environ.get(endpoint.api_key_env, "").strip()
        source = f"the environment variable {endpoint.api_key_env}"
    elif endpoint.api_key_file is not None:
        source = f"the file {endpoint.api_key_file}"
        key = _key_in_file(endpoint.api_key_file, place)
    else:
        return None
    if not key:
        raise ConfigError(f"{source} should hold its key and is not set or empty", key=place)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{source} holds no usable key: one line of printable ASCII without spaces", key=place)
    return key


def known_secrets(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every key that the configuration leads to and that can be had: what no log and no answer may show."""
    found = []
    for name, endpoint in config.endpoints.items():
        with suppress(ConfigError):  # said when a job asks it
            found.append(api_key(name, endpoint, environ))
    with suppress(OSError):  # the same, of a signature
        if config.signing.key_file is not None:
            lines = Path(config.signing.key_file).read_text(encoding="utf-8", errors="replace").split()
            found += [line for line in lines if len(line) >= _KEY_LINE and "-" not in line]
    return tuple(sorted({key for key in found if key}))


def _key_in_file(path: str, place: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read its key from the file {path}: {_reason(error)}", key=place) from None


def _find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if environ.get("EVALSVC_CONFIG"):
        return Path(environ["EVALSVC_CONFIG"])
    return _DEFAULT_FILE if _DEFAULT_FILE.exists() else None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {_reason(error)}", file=str(file)) from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _validated(source: TomlSource[ConfigError]) -> _ConfigTable:
    try:
        return _ConfigTable.model_validate(source.data)
    except ValidationError as error:
        raise first_error(error, _ConfigTable, source) from None


def _find_credentials(tables: Iterable[dict[str, Any]], environ: Mapping[str, str]) -> None:
    """Puts the folder in place of its name, in a service; elsewhere the paths stay, and reading them fails."""
    folder = environ.get(_CREDENTIALS.removeprefix("$"))
    for table in tables if folder else ():
        for key in ("key_file", "api_key_file"):
            if str(table.get(key) or "").startswith(f"{_CREDENTIALS}/"):
                table[key] = table[key].replace(_CREDENTIALS, folder, 1)


def _plain(alias: str) -> str:
    """An alias as variables can spell it."""
    return alias.lower().replace("-", "_")


def _refuse_lookalikes(aliases: Iterable[str], source: TomlSource[ConfigError]) -> None:
    met: dict[str, str] = {}
    for alias in aliases:
        other = met.setdefault(_plain(alias), alias)
        if other != alias:
            message = (
                f'differs from the endpoint "{other}" only in case or in - and _, which variables cannot tell apart'
            )
            raise source.error(("endpoints", alias), message)


def _overlay(settings: dict[str, dict[str, Any]], environ: Mapping[str, str]) -> None:
    """Puts what ``EVALSVC_SECTION__KEY`` and ``EVALSVC_ENDPOINTS__NAME__KEY`` say into ``settings``."""
    for variable in sorted(environ):
        if not variable.upper().startswith(_PREFIX) or "__" not in variable:
            continue
        section, _, key = variable[len(_PREFIX) :].lower().partition("__")
        if section not in _SECTIONS:
            raise ConfigError(unknown_key(section, _SECTIONS), key=variable)
        target = settings[section]
        if section == "endpoints":
            alias, _, key = key.rpartition("__")
            target = _named(target, alias, variable)
        target[key] = _value(_SECTIONS[section], key, environ[variable], variable)


def _named(endpoints: dict[str, Any], alias: str, variable: str) -> dict[str, Any]:
    """The endpoint a variable means; one that is not there yet is made, under the name as the variable spells it."""
    if not alias:
        raise ConfigError("must be of the form EVALSVC_ENDPOINTS__NAME__KEY", key=variable)
    found = next((known for known in endpoints if _plain(known) == _plain(alias)), alias)
    endpoints[found] = dict(endpoints.get(found, {}))
    values: dict[str, Any] = endpoints[found]
    return values


def _value(model: type[BaseModel], key: str, text: str, variable: str) -> Any:
    """The setting a variable gives; empty means none where there may be none."""
    if key not in model.model_fields:
        raise ConfigError(unknown_key(key, model.model_fields), key=variable)
    if not text and type(None) in get_args(model.model_fields[key].annotation):
        return None
    try:
        return getattr(model.model_validate_strings({key: text}), key)
    except ValidationError as error:
        raise ConfigError(explain(error.errors()[0], model), key=variable) from None


def _endpoint(
    alias: str, values: dict[str, Any], table: _ConfigTable, source: TomlSource[ConfigError]
) -> EndpointSettings:
    """One endpoint from file and variables together."""
    path: KeyPath = ("endpoints", alias)
    try:
        endpoint = EndpointSettings.model_validate(values)
    except ValidationError as error:
        message = explain(error.errors()[0], EndpointSettings)
    else:
        if alias == RECORDED:
            message = "in a job this means answers from a file, so it would never be asked: give it another name"
        elif endpoint.base_url is not None or alias == _SIMULATOR:
            return endpoint
        else:
            path, message = (*path, "base_url"), "missing; the root of an OpenAI-compatible API"
    if alias in table.endpoints:
        raise source.error(path, message)
    raise ConfigError(message, file="environment", key=dotted(path))
