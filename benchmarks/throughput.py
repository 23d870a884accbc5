"""Whole commands against a local nginx that answers at once: `evalsvc run` beside the bare loop, ratios first.

``python benchmarks/throughput.py [CASES] [IN_FLIGHT] [--delay-ms N] [--transport NAME]``; needs nginx.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench import Cost, Unmeasured, asking_s, evalsvc, machine, measure, nginx, write_job

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int, nargs="?", default=30_000)
    parser.add_argument("in_flight", type=int, nargs="?", default=64)
    parser.add_argument(
        "--delay-ms", type=int, default=0, help="the server answers after so long (needs its lua module)"
    )
    parser.add_argument("--transport", choices=("aiohttp", "pyreqwest"), default="aiohttp", help="of both")
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with nginx(folder, chosen.delay_ms) as port:
                write_job(folder, chosen.cases, f"http://127.0.0.1:{port}/v1", chosen.in_flight)
                loop = [sys.executable, str(HERE / "bare_loop.py"), f"http://127.0.0.1:{port}/v1/chat/completions"]
                with (folder / "config.toml").open("a") as config:
                    config.write(f'[engine]\ntransport = "{chosen.transport}"\n')
                told = [str(2 * chosen.cases), str(chosen.in_flight), str(folder / "bare.db"), chosen.transport]
                bare = measure([*loop, *told], folder)
                ours = evalsvc(folder, "e.db")
            asking = asking_s(folder, "e.db")
        except Unmeasured as reason:
            sys.exit(f"not measured: {reason}")
    report(chosen, bare, ours, asking)


def report(chosen: argparse.Namespace, bare: Cost, ours: Cost, asking: float) -> None:
    """Print ratios and figures."""
    requests = 2 * chosen.cases
    after = f"after {chosen.delay_ms} ms" if chosen.delay_ms else "at once"
    print(f"{requests} requests, {chosen.in_flight} in flight, answered {after}, {chosen.transport}; whole commands")
    print(f"evalsvc / bare loop: CPU a request {ours.cpu_s / bare.cpu_s:.2f}, rate {bare.wall_s / ours.wall_s:.2f}")
    if chosen.delay_ms:
        ideal = requests / (chosen.in_flight / chosen.delay_ms * 1000)
        print(f"of the ideal rate: bare loop {ideal / bare.wall_s:.0%}, evalsvc {ideal / ours.wall_s:.0%}")
    for name, cost in (("bare loop", bare), ("evalsvc run", ours)):
        rate, micros = requests / cost.wall_s, cost.cpu_s / requests * 1e6
        print(f"{name:12} {rate:8.0f} requests/s {micros:6.0f} µs CPU a request {cost.peak_mb:6.0f} MB peak")
    print(
        f"evalsvc from the first request to the last answer: {requests / asking:.0f} requests/s,"
        f" {bare.wall_s / asking:.2f} of the loop's rate"
    )


if __name__ == "__main__":
    main()
