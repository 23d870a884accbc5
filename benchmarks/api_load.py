"""A daemon under load: many jobs queued, clients that poll, readers of events, while one job runs as fast as it can.

``python benchmarks/api_load.py [--queued N] [--clients N] [--readers N] [--scrape-s S] [--drips N] [--pairs N]
[--seconds S]``; needs nginx. Stretches with the load and without take turns, so that what else the machine does falls
on both.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, perf_counter

import aiohttp
import numpy as np
from bench import Unmeasured, machine, nginx, write_job
from daemon import Daemon, called, cpu_s, daemon

_EACH_S = 1.0
_DRIP_S = 0.5
_HEAD_S = 10.0
_IN_FLIGHT = 64
_CONFIG = """
[endpoints.mute]
base_url = "http://127.0.0.1:{port}/v1"
timeout_s = 86400.0
[server]
jobs_at_once = 2
"""


@dataclass(slots=True)
class Seen:
    """What clients saw: seconds by route, answers that were none, events."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)
    events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some seconds: outcomes a second, and CPU seconds a second of the daemon, the clients and the upstream."""

    rate: float
    daemon: float
    clients: float
    upstream: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queued", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--scrape-s", type=float, default=15.0, help="between scrapes; 15 as deploy/prometheus has it")
    parser.add_argument("--drips", type=int, default=0, help="further sockets that send a head byte by byte")
    parser.add_argument("--pairs", type=int, default=4, help="stretches with the load, and as many without")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each lasts")
    parser.add_argument("--cases", type=int, default=500_000, help="of the job that runs; it must not end before")
    chosen = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        try:
            asyncio.run(run(chosen, Path(name)))
        except Unmeasured as reason:
            sys.exit(f"not measured: {reason}")


async def run(chosen: argparse.Namespace, folder: Path) -> None:
    """A daemon, its queue, and stretches in turn."""
    async with AsyncExitStack() as stack:
        mute = await stack.enter_async_context(_mute())
        port = stack.enter_context(nginx(folder))
        write_job(folder, chosen.cases, f"http://127.0.0.1:{port}/v1", _IN_FLIGHT)
        with (folder / "config.toml").open("a") as config:
            config.write(_CONFIG.format(port=mute))
        here = stack.enter_context(daemon(folder))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(here.url, connector=aiohttp.TCPConnector(limit=0))
        )
        began = perf_counter()
        running, waiting = await _fill(here, session, folder, chosen.queued)
        print(f"{chosen.queued} jobs queued in {perf_counter() - began:.1f} s", flush=True)
        seen, alone, loaded = Seen(), list[Stretch](), list[Stretch]()
        upstream = called("nginx", os.getpid())
        for _ in range(chosen.pairs):
            alone.append(await _stretch(here, session, running, upstream, chosen.seconds))
            async with _load(here, session, running, waiting, chosen, seen):
                loaded.append(await _stretch(here, session, running, upstream, chosen.seconds))
        async with session.get(f"/api/v1/jobs/{running}") as answer:
            state = (await answer.json())["state"]
        if state != "running":
            raise Unmeasured(f"the job is {state}: it needs more cases (--cases)")
    report(chosen, seen, alone, loaded)


async def _fill(here: Daemon, session: aiohttp.ClientSession, folder: Path, queued: int) -> tuple[str, str]:
    """Queue the jobs, then start the one that runs; gives its id and that of one that waits.

    Two jobs whose endpoint never answers hold the daemon's places while the others are filed. One stays: as long as it
    has two requests left, no other job is small enough to overtake.
    """
    big, rows = (folder / "job.toml").read_text(), (folder / "cases.jsonl").read_bytes()
    small = rows.splitlines(keepends=True)
    mute = big.replace('"bench"', '"mute"')
    await here.submit(session, mute, small[0], priority=2)
    plug = await here.submit(session, mute, small[0], priority=2)
    few = b"".join(small[:20])
    ids = [await here.submit(session, big, few) for _ in range(queued)]
    running = await here.submit(session, big, rows, priority=1)
    async with session.post(f"/api/v1/jobs/{plug}/cancel") as answer:
        answer.raise_for_status()
    while not (await here.job(session, running))["progress"]["recorded"]:  # noqa: ASYNC110 - in another process
        await asyncio.sleep(0.1)
    return running, ids[len(ids) // 2] if ids else plug


async def _stretch(
    here: Daemon, session: aiohttp.ClientSession, running: str, upstream: list[int], seconds: float
) -> Stretch:
    async def now() -> tuple[float, float, float, float, float]:
        recorded = (await here.job(session, running))["progress"]["recorded"]
        clients = os.times()
        nginx_s = sum(cpu_s(pid) for pid in upstream)
        return monotonic(), recorded, cpu_s(here.pid), clients.user + clients.system, nginx_s

    await asyncio.sleep(1.0)  # until the change is over
    before = await now()
    await asyncio.sleep(seconds)
    wall, *took = (b - a for a, b in zip(before, await now(), strict=True))
    recorded, ours, clients, theirs = (each / wall for each in took)
    return Stretch(rate=recorded, daemon=ours, clients=clients, upstream=theirs)


@asynccontextmanager
async def _load(
    here: Daemon, session: aiohttp.ClientSession, running: str, waiting: str, chosen: argparse.Namespace, seen: Seen
) -> AsyncIterator[None]:
    jobs = "/api/v1/jobs"
    routes = {
        "a running job": f"{jobs}/{running}",
        "a queued job": f"{jobs}/{waiting}",
        "the newest 50 jobs": f"{jobs}?limit=50",
        "50 outcomes": f"{jobs}/{running}/outcomes?limit=50",
        "/healthz": "/healthz",
    }
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_poll(session, routes, number, chosen.clients, seen)) for number in range(chosen.clients)
        ]
        scrape = _poll(session, {"/metrics": "/metrics"}, 0, 1, seen, each_s=chosen.scrape_s)
        tasks.append(group.create_task(scrape))
        tasks += [group.create_task(_read(session, running, seen)) for _ in range(chosen.readers)]
        with _dripping(here, chosen.drips):
            yield
        for task in tasks:
            task.cancel()


async def _poll(
    session: aiohttp.ClientSession, routes: dict[str, str], number: int, of: int, seen: Seen, *, each_s: float = _EACH_S
) -> None:
    """A request every so many seconds, each on another route; its time counts from when it was due."""
    due = perf_counter() + number / of * each_s
    names = list(routes)
    for name in cycle(names[number % len(names) :] + names[: number % len(names)]):
        await asyncio.sleep(due - perf_counter())
        try:
            async with session.get(routes[name]) as answer:
                await answer.read()
                if answer.status != 200:
                    seen.failed.append(f"{name}: {answer.status}")
        except aiohttp.ClientError as error:
            seen.failed.append(f"{name}: {error}")
        seen.seconds[name].append(perf_counter() - due)
        due += each_s


async def _read(session: aiohttp.ClientSession, running: str, seen: Seen) -> None:
    async with session.get(f"/api/v1/jobs/{running}/events", timeout=aiohttp.ClientTimeout()) as answer:
        async for line in answer.content:
            seen.events += line.startswith(b"event:")


@contextmanager
def _dripping(here: Daemon, sockets: int) -> Iterator[None]:
    """A process of its own: what it does must not hold up the clients whose waits are measured."""
    if not sockets:
        yield
        return
    process = get_context("spawn").Process(target=_drip_all, args=(here.address, sockets), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _drip_all(address: tuple[str, int], sockets: int) -> None:
    async def drip() -> None:
        await asyncio.gather(*(_drip(address, number, _HEAD_S * number / sockets) for number in range(sockets)))

    asyncio.run(drip())


async def _drip(address: tuple[str, int], number: int, after_s: float) -> None:
    """A head that comes byte by byte, again and again, each from an address of its own as far as loopback has them."""
    await asyncio.sleep(after_s)  # the daemon ends them all after the same time: they come one after the other
    local = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0)
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(*address, local_addr=local)
            try:
                for byte in b"GET /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"y" * 1000:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(_DRIP_S)
            finally:
                writer.close()


@asynccontextmanager
async def _mute() -> AsyncIterator[int]:
    """A server that takes requests and never answers; its port."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while await reader.read(65536):
                pass
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def report(chosen: argparse.Namespace, seen: Seen, alone: list[Stretch], loaded: list[Stretch]) -> None:
    """Print ratios and figures."""
    dripping = f", {chosen.drips} sockets that drip" if chosen.drips else ""
    print(
        f"{chosen.queued} jobs queued, {chosen.clients} clients a request a second, {chosen.readers} readers of"
        f" events{dripping}; {chosen.pairs} stretches of {chosen.seconds:g} s of each kind, in turn"
    )
    print(f"{'route':22} {'requests':>8} {'p50':>9} {'p99':>9} {'max':>9}")
    everything = [each for seconds in seen.seconds.values() for each in seconds]
    for name, seconds in [*seen.seconds.items(), ("all", everything)]:
        p50, p99 = np.percentile(seconds, [50, 99]) * 1000
        print(f"{name:22} {len(seconds):8} {p50:6.1f} ms {p99:6.1f} ms {max(seconds) * 1000:6.1f} ms")
    print(f"failed: {len(seen.failed)} {sorted(set(seen.failed))[:5]}; events read: {seen.events}")
    print(f"{'':8} {'outcomes/s':>10}   CPU of 1 core: {'daemon':>6} {'clients':>8} {'nginx':>6}")
    for name, stretches in (("alone", alone), ("loaded", loaded)):
        rate, ours, clients, theirs = (
            np.mean([getattr(s, key) for s in stretches]) for key in ("rate", "daemon", "clients", "upstream")
        )
        print(f"{name:8} {rate:10.0f}   {'':14} {ours:6.0%} {clients:8.0%} {theirs:6.0%}")
    pairs = [b.rate / a.rate for a, b in zip(alone, loaded, strict=True)]
    shown = ", ".join(f"{each:.2f}" for each in pairs)
    print(f"loaded / alone: {sum(s.rate for s in loaded) / sum(s.rate for s in alone):.3f} (pair by pair: {shown})")


if __name__ == "__main__":
    main()
