"""The least a durable evaluated request can cost: build, send, parse, score, file. No limits, no retries, no records.

Run as a process of its own by `throughput.py`: ``bare_loop.py URL REQUESTS IN_FLIGHT DATABASE``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from time import perf_counter

import aiohttp
import aiosqlite
import orjson
import uvloop


async def main(url: str, requests: int, in_flight: int, database: str) -> None:
    gc.set_threshold(200_000, 50, 100)
    connection = await aiosqlite.connect(database, isolation_level=None)
    await connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE o (id INTEGER, text TEXT, score REAL, s REAL)"
    )
    rows: list[tuple[int, str, float, float]] = []
    numbers = iter(range(requests))
    headers = {"Content-Type": "application/json"}

    async def flush() -> None:
        batch = rows[:]
        rows.clear()
        await connection.execute("BEGIN IMMEDIATE")
        await connection.executemany("INSERT INTO o VALUES (?, ?, ?, ?)", batch)
        await connection.commit()

    lock = asyncio.Lock()

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]})
            started = perf_counter()
            async with session.post(url, data=body, headers=headers) as response:
                data = orjson.loads(await response.read())
            text = data["choices"][0]["message"]["content"]
            rows.append((number, text, float(text.strip() == "42"), perf_counter() - started))
            if len(rows) >= 256 and not lock.locked():
                async with lock:
                    await flush()

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=in_flight), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        started = perf_counter()
        await asyncio.gather(*(work(session) for _ in range(in_flight)))
        await flush()
        print(f"{requests / (perf_counter() - started):.0f} requests/s in the loop")
    await connection.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), str(Path(sys.argv[4]))))
