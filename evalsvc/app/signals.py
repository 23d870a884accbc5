"""Work that SIGINT and SIGTERM can stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import anyio

from evalsvc.errors import sole


async def until_signal(work: Callable[[], Awaitable[None]]) -> int | None:
    """Work until it is done or SIGINT or SIGTERM comes; gives the signal. A second one ends the process at once."""
    caught: list[int] = []

    async def watch(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if caught:
                    os._exit(130)
                caught.append(number)
                scope.cancel()

    try:
        async with anyio.create_task_group() as watchers:
            with anyio.CancelScope() as scope:
                watchers.start_soon(watch, scope)
                await work()
            watchers.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise sole(group) from group
    return caught[0] if caught else None
