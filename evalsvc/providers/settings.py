"""What a user can set about an endpoint. A key is never in here: only where it is found."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# No message of these checks repeats the value: a URL or a misplaced key may be a secret


def _plain_url(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL with a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user name or password; name the key in api_key_env or api_key_file")
    if "?" in url or "#" in url:
        raise ValueError("must hold no query and no fragment")
    return url.rstrip("/")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError("must be a URL: its host or port is malformed") from None
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be a URL of printable ASCII characters, without spaces")
    return parts


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("must be the name of an environment variable, not the key itself")
    return name


class EndpointSettings(BaseModel):
    """``[endpoints.NAME]`` of config.toml; without ``base_url`` it is the built-in simulator."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    base_url: Annotated[str, AfterValidator(_plain_url)] | None = Field(
        default=None, description="the root of the OpenAI-compatible API; only `sim` goes without"
    )
    api_key_env: Annotated[str, AfterValidator(_variable)] | None = Field(
        default=None, description="the environment variable that holds the key; no key is sent without one"
    )
    api_key_file: str | None = Field(
        default=None, min_length=1, description="the file that holds the key, instead of api_key_env"
    )
    azure_api_version: str | None = Field(
        default=None, min_length=1, description="asks Azure OpenAI, in this version of its API; off: any other server"
    )
    rpm: int | None = Field(default=None, ge=1, description="requests a minute the endpoint allows; none: no limit")
    tpm: int | None = Field(default=None, ge=1, description="tokens a minute the endpoint allows; none: no limit")
    max_in_flight: int = Field(default=64, ge=1, description="requests under way at the same time")
    timeout_s: float = Field(
        default=120.0, gt=0, allow_inf_nan=False, description="total time limit of one try, in seconds"
    )
    price_in: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="price of a million input tokens; none: cost is not known"
    )
    price_out: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="price of a million output tokens; none: cost is not known"
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("api_key_env and api_key_file exclude each other; keep one")
        return self
