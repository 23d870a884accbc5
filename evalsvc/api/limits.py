"""What the daemon's HTTP takes from one client, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 2**20
#: How often answers may be dealt for one request.
MOST_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """Bounds of the HTTP side; times in seconds, sizes in bytes.

    ``hosts`` are names a request may be addressed to beside loopback's and the bound address's own; with ``https`` the
    session cookie is sent over HTTPS only (a proxy in front ends TLS). Of
    ``calibrations_at_once`` one deals, the others wait.
    """

    hosts: tuple[str, ...] = ()
    https: bool = False
    job_bytes: int = 4 * _MIB
    body_bytes: int = 1024 * _MIB
    small_body_bytes: int = 64 * 1024
    parts: int = 128
    header_s: float = 10.0
    body_s: float = 600.0
    idle_s: float = 30.0
    requests_at_once: int = 256
    uploads_at_once: int = 4
    calibrations_at_once: int = 3
    connections: int = 1024
    connections_per_address: int = 256
    streams: int = 128
    stream_queue: int = 256
    stream_write_s: float = 30.0
    heartbeat_s: float = 15.0
    failures_a_minute: int = 10
    session_s: float = 12 * 3600.0
