"""The provider contract: `complete` gives a completion or raises one `ProviderError`, never anything else."""

from __future__ import annotations

from typing import Protocol

from evalsvc.core.records import Completion, Request


class Provider(Protocol):
    """One endpoint as the engine sees it."""

    async def complete(self, request: Request) -> Completion:
        """Ask once. Raises `ProviderError` for everything that is not a completion."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
