"""What a user can set about the database."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StoreSettings(BaseModel):
    """``[store]`` of config.toml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    path: str = Field(
        default="evalsvc.db", min_length=1, description="the database file, relative to where evalsvc is started"
    )
