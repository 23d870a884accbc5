"""The HTTP server as a task of ours: it takes no signals, and stops when it is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import uvicorn

from evalsvc.api.front import Front
from evalsvc.api.limits import ApiLimits
from evalsvc.api.server import server_config
from evalsvc.errors import ConfigError

_BACKLOG = 2048
#: Seconds that answers under way have to end once the server is told to stop.
_LAST_S = 3


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `ConfigError`."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", key="server") from None


class _Uvicorn(uvicorn.Server):
    """uvicorn, without its own way of ending the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """One app on one socket.

    Args:
        app: from `make_app`.
        listener: where it listens.
        limits: those the app has.
    """

    def __init__(self, app: Front, listener: socket.socket, limits: ApiLimits) -> None:
        self._app = app
        self._listener = listener
        self._ended = anyio.Event()
        self._server = _Uvicorn(server_config(app, limits, grace_s=_LAST_S))

    @property
    def url(self) -> str:
        """Where it is reached."""
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self) -> None:
        """Serve until stopped."""
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            self._ended.set()

    async def wait_started(self) -> None:
        """Wait until it answers."""
        await self._server.begun.wait()

    async def stop(self) -> None:
        """Let answers under way end, for some seconds, then close."""
        self._app.close()
        self._server.should_exit = True
        with anyio.move_on_after(_LAST_S + 1):
            await self._ended.wait()
