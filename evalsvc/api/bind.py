"""Which addresses the daemon may listen on, and which names it answers to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from evalsvc.errors import ConfigError


def check_bind(host: str, has_tokens: bool) -> None:
    """Refuse to listen beyond this machine while anybody may come in.

    Raises:
        ConfigError: the address is no loopback address and there is no token.
    """
    if not has_tokens and not is_loopback(host):
        raise ConfigError(
            f"{host or 'an empty address'} can be reached from other machines and no API token exists: make one first"
            " (evalsvc token create NAME --role admin), or listen on 127.0.0.1",
            key="server.host",
        )


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine. A name other than localhost is not believed."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


class Names:
    """The names and addresses a request may be meant for.

    A page of another site that makes its own name point here (DNS rebinding) sends its name in Host: only our names are
    answered. An address in Host needs no name server and proves nothing to a page, so a daemon that others may reach
    answers to every address.

    Args:
        host: what the server is bound to.
        more: names it is known by beside this machine's own.
    """

    def __init__(self, host: str, more: Iterable[str] = ()) -> None:
        self._beyond = not is_loopback(host)
        here = [socket.gethostname()] if self._beyond else []
        self._names = {name.lower().rstrip(".") for name in ("localhost", host, *here, *more)}

    def allow(self, header: str | None) -> bool:
        """Whether a Host header is ours."""
        name = host_of(header or "")
        if name is None:
            return False
        if name in self._names or is_loopback(name):
            return True
        return self._beyond and _address(name) is not None


def host_of(authority: str) -> str | None:
    """The host of ``host[:port]``, lower case, IPv6 without brackets; None where it is not that."""
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        valid = bracket and _address(host) is not None and (not port or port.startswith(":"))
        host, port = host if valid else "", port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    usable = host and (not port or (port.isascii() and port.isdigit()))
    return host.lower().rstrip(".") if usable else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
