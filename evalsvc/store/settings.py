"""What a user can set about the database."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StoreSettings(BaseModel):
    """``[store]`` of config.toml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    path: str = Field(
        default="evalsvc.db", min_length=1, description="the database file, relative to where evalsvc is started"
    )
    keep_days: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="`serve` removes jobs so many days after they were decided or cancelled",
    )
