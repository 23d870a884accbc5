"""What a process needs before it runs jobs: its memory in hand, and enough sockets."""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Iterable
from contextlib import suppress

from evalsvc.errors import ConfigError
from evalsvc.providers.settings import EndpointSettings

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 * 2**10


def manage_memory() -> None:
    """Once at the start of a process that runs jobs: no long collections, and large blocks are given back.

    Full collections in the hot path would show up as latency of the models. glibc keeps freed blocks up to the size of
    the largest one freed so far: the arrays of a large job would stay for ever. Setting its threshold to what it is at
    first stops that; elsewhere there is nothing to set.
    """
    gc.set_threshold(200_000, 50, 100)
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def settle() -> None:
    """Once a daemon is up: what is there by now stays, and no later collection looks at it."""
    gc.collect()
    gc.freeze()


def collect_garbage() -> None:
    """After each job: what it left behind in circles, milliseconds' worth; else that waits for weeks."""
    gc.collect()


def allow_sockets(endpoints: Iterable[EndpointSettings]) -> None:
    """Every request in flight needs a socket. Raises `ConfigError` when the system allows too few."""
    needed = 2 * sum(endpoint.max_in_flight for endpoint in endpoints) + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(f"{needed} open files are needed for so many requests in flight; the system allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
