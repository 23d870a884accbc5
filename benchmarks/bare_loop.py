"""The least a durable evaluated request can cost: build, send, parse, score, file. No limits, no retries, no records.

Run as a process of its own by `throughput.py`: ``bare_loop.py URL REQUESTS IN_FLIGHT DATABASE TRANSPORT``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import aiohttp
import aiosqlite
import orjson
import uvloop

HEADERS = {"Content-Type": "application/json"}

#: Posts a body and gives what came back.
Post = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def on_aiohttp(url: str, in_flight: int) -> AsyncIterator[Post]:
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def post(body: bytes) -> bytes:
            async with session.post(url, data=body, headers=HEADERS) as response:
                return await response.read()

        yield post


@asynccontextmanager
async def on_pyreqwest(url: str, in_flight: int) -> AsyncIterator[Post]:
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415 - an extra

    builder = ClientBuilder().pool_max_idle_per_host(in_flight).no_proxy().http1_only()
    async with builder.build() as client:

        async def post(body: bytes) -> bytes:
            response = await client.post(url).headers(HEADERS).body_bytes(body).build().send()
            return bytes(await response.bytes())

        yield post


TRANSPORTS = {"aiohttp": on_aiohttp, "pyreqwest": on_pyreqwest}


async def main(url: str, requests: int, in_flight: int, database: str, transport: str) -> None:
    gc.set_threshold(200_000, 50, 100)
    connection = await aiosqlite.connect(database, isolation_level=None)
    await connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE o (id INTEGER, text TEXT, score REAL, s REAL)"
    )
    rows: list[tuple[int, str, float, float]] = []
    numbers = iter(range(requests))

    async def flush() -> None:
        batch = rows[:]
        rows.clear()
        await connection.execute("BEGIN IMMEDIATE")
        await connection.executemany("INSERT INTO o VALUES (?, ?, ?, ?)", batch)
        await connection.commit()

    lock = asyncio.Lock()

    async def work(post: Post) -> None:
        for number in numbers:
            body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]})
            started = perf_counter()
            data = orjson.loads(await post(body))
            text = data["choices"][0]["message"]["content"]
            rows.append((number, text, float(text.strip() == "42"), perf_counter() - started))
            if len(rows) >= 256 and not lock.locked():
                async with lock:
                    await flush()

    async with TRANSPORTS[transport](url, in_flight) as post:
        started = perf_counter()
        await asyncio.gather(*(work(post) for _ in range(in_flight)))
        await flush()
        print(f"{requests / (perf_counter() - started):.0f} requests/s in the loop")
    await connection.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), str(Path(sys.argv[4])), sys.argv[5]))
