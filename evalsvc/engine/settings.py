"""What a user can set about the engine: limits on a row, an answer, the tries of a request."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """``[engine]`` of config.toml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    transport: Literal["aiohttp", "pyreqwest"] = Field(
        default="aiohttp",
        description="what carries requests; pyreqwest needs pip install 'evalsvc[fast]'",
    )
    max_row_mb: int = Field(default=16, ge=1, le=1024, description="the largest row of a data set, in MiB")
    max_response_mb: int = Field(
        default=8, ge=1, le=1024, description="the largest answer of an endpoint, unpacked, in MiB"
    )
    max_attempts: int = Field(default=5, ge=1, le=100, description="HTTP tries of one request, the first included")
    retry_deadline_s: float = Field(
        default=600.0, gt=0, allow_inf_nan=False, description="no try of a request starts later than this, in seconds"
    )
