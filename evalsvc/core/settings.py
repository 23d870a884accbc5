"""What a user can set about the signing of decision records, about the daemon and its log."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class SigningSettings(BaseModel):
    """``[signing]`` of config.toml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key_file: str | None = Field(
        default=None, min_length=1, description="the file of the Ed25519 key (PEM) that signs decision records"
    )


class ServerSettings(BaseModel):
    """``[server]`` of config.toml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="the address `serve` listens on")
    port: int = Field(default=8321, ge=0, le=65535, description="its port; 0 takes a free one")
    hosts: str = Field(
        default="", description="host names it answers to beside its own address and localhost, with commas between"
    )
    https: bool = Field(default=False, description="a proxy in front of it ends TLS: cookies go over HTTPS only")
    jobs_at_once: int = Field(default=4, ge=1, le=100, description="jobs that run at the same time; others wait")
    grace_s: float = Field(
        default=20.0,
        ge=0,
        allow_inf_nan=False,
        description="when it is stopped, requests in flight have so many seconds to end",
    )
    max_upload_mb: int = Field(default=1024, ge=1, description="the largest upload of a job and its data sets, in MiB")


def _with_commas(value: object) -> object:
    """A variable's text as the list it stands for; TOML has lists of its own."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class PluginSettings(BaseModel):
    """``[plugins]`` of config.toml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    modules: Annotated[list[str], BeforeValidator(_with_commas, json_schema_input_type=list[str])] = Field(
        default_factory=list,
        description="modules that register scorers, formats and gates, by name or as files relative to config.toml",
    )


class TelemetrySettings(BaseModel):
    """``[telemetry]`` of config.toml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what `serve` logs on stderr; libraries log from warning on"
    )
    log_format: Literal["json", "text"] = Field(
        default="json", description="json: an object a line, for machines; text: for a terminal"
    )
