"""Work that a client waits for: it ends when the client goes away, or the daemon stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from evalsvc.api.problems import ApiError
from evalsvc.errors import EvalsvcError

T = TypeVar("T")


async def for_client(receive: Receive, work: Callable[[], Awaitable[T]], closing: anyio.Event | None = None) -> T:
    """What ``work`` gives, cancelled when nobody waits for it any more.

    Args:
        receive: of the request, whose body has been read.
        work: what is waited for.
        closing: set when the daemon stops.

    Raises:
        ClientDisconnect: the client went.
        ApiError: the daemon stops (503); or ``work`` raised it.
        EvalsvcError: as ``work``.
    """
    found: list[T] = []
    refusal: ApiError | EvalsvcError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel_when_gone, receive, tasks.cancel_scope)
        if closing is not None:
            tasks.start_soon(_cancel_when_set, closing, tasks.cancel_scope)
        try:
            found.append(await work())
        except (ApiError, EvalsvcError) as error:  # as it is: the group would wrap it
            refusal = error
        tasks.cancel_scope.cancel()
    if refusal is not None:
        raise refusal
    if found:
        return found[0]
    if closing is not None and closing.is_set():
        raise ApiError(503, "the daemon is stopping", headers={"Retry-After": "5"})
    raise ClientDisconnect


async def cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    """Wait until the client goes, then cancel."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _cancel_when_set(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
