"""`evalsvc run` against servers others wrote: the LiteLLM proxy's rate limit, guidellm's mock server's timings.

``python benchmarks/servers.py``; pip installs each server in a venv of its own, kept in
``$XDG_CACHE_HOME/evalsvc-benchmarks``. A server that cannot be installed or fails is skipped with its reason.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from time import perf_counter, sleep, time

import numpy as np
from bench import Unmeasured, evalsvc, free_port, machine, outcomes, pip_environment, server, write_job

RPM = 600
LIMITED_CASES = 500
LIMITED_S = 240

#: What guidellm's mock server is told, in milliseconds (mean, standard deviation), and the tokens of an answer.
FIRST_TOKEN_MS = (200.0, 40.0)
BETWEEN_TOKENS_MS = (10.0, 2.0)
TOKENS = 20
TIMED_CASES = 500
TIMED_IN_FLIGHT = 16

#: Jobs on models alike, each with a limit of its own: its name, its endpoint's settings, and how many requests of the
#: first minute's share somebody else has used before it starts.
LIMITED = (("told", f"rpm = {RPM}", 0), ("untold", "", 0), ("shared", "", RPM // 2))

LITELLM = """
model_list:
{models}
router_settings:
  num_retries: 0
  optional_pre_call_checks: [enforce_model_rate_limits]
"""
LITELLM_MODEL = """
  - model_name: {name}
    litellm_params: {{model: openai/{name}, api_key: none, mock_response: "42", rpm: {rpm}}}
"""


def litellm(folder: Path) -> None:
    """Its 429s carry no Retry-After, and a call it refuses counts against the clock minute all the same."""
    bin_folder, port = pip_environment("litellm", "litellm[proxy]"), free_port()
    models = "".join(LITELLM_MODEL.format(name=name, rpm=RPM) for name, _, _ in LIMITED)
    (folder / "litellm.yaml").write_text(LITELLM.format(models=models))
    command = [str(bin_folder / "litellm"), "--config", "litellm.yaml", "--host", "127.0.0.1", "--port", str(port)]
    alone = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it listens on loopback only
        "LITELLM_LOG": "CRITICAL",
    }
    with server(command, folder, port, ready_s=120, env=alone):
        print(f"LiteLLM proxy, {RPM} requests a minute, {2 * LIMITED_CASES} requests, 64 in flight")
        for model, setting, used in LIMITED:
            write_job(folder, LIMITED_CASES, f"http://127.0.0.1:{port}/v1", 64, model=model, endpoint=setting)
            if time() % 60 > 30:
                sleep(60 - time() % 60)  # so that a job does not begin at the end of a clock minute
            _use_up(port, model, used)
            of_others = f" ({used} of its first minute used by others)" if used else ""
            print(f"  limit {model}{of_others}: {_limited(folder, model + '.db', used)}", flush=True)


def _use_up(port: int, model: str, requests: int) -> None:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "question"}]})
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for _ in range(requests):
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            connection.getresponse().read()


def _limited(folder: Path, database: str, used: int) -> str:
    """What became of the job, whole or, where it was not done in time, so far."""
    stopped = ""
    try:
        evalsvc(folder, database, timeout_s=LIMITED_S)
    except Unmeasured as reason:
        stopped = f"\n    STOPPED: {reason}"
    rows = outcomes(folder, database, "status, kind, attempts, finished_at - since_scheduled_s, finished_at")
    if not rows:
        return f"no outcome{stopped}"
    tries = [attempt for _, _, attempts, _, _ in rows for attempt in json.loads(attempts)]
    refused = sum(http_status == 429 for *_, http_status, _ in tries)
    start, end = min(row[3] for row in rows), max(row[4] for row in rows)
    ends = Counter(kind or status for status, kind, *_ in rows)
    said = ", ".join(f"{count} {name}" for name, count in ends.most_common())
    took, wanted = end - start, 2 * LIMITED_CASES
    fewest = fewest_seconds(wanted + used, RPM, start)
    # a request that still waits for its retry is not recorded, nor are its refused attempts
    ratio = "NOT DONE" if len(rows) < wanted else f"{took / fewest:.2f} times the fewest seconds"
    return (
        f"{ratio}, {len(tries) / len(rows):.2f} attempts a recorded request, {refused / len(tries):.1%} of them"
        f" answered 429\n    {len(rows)} of {wanted} recorded ({said}) in {took:.1f} s; {fewest:.1f} s at the fewest"
        f" with this start in the clock minute, {wanted / RPM * 60:.1f} s at an even {RPM} a minute{stopped}"
    )


def fewest_seconds(requests: int, rpm: int, start: float) -> float:
    """Seconds until the last of ``requests`` can be allowed by a limit that starts anew with every clock minute.

    A minute's share is allowed at its first instant; ``start`` is in epoch seconds. Where one minute's share is
    enough the answer is 0, so callers ask for more.
    """
    further_minutes = -(-requests // rpm) - 1
    return further_minutes * 60 - start % 60 if further_minutes else 0.0


def guidellm(folder: Path) -> None:
    """Streams with normal waits before the first token and between tokens: ours beside what it was told."""
    # it needs torch only through its dependencies; this version of it has a small build for CPUs
    bin_folder, port = pip_environment("guidellm", "torch==2.13.0", "guidellm"), free_port()
    command = [str(bin_folder / "guidellm"), "mock-server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", "constant", "--output-tokens", str(TOKENS), "--output-tokens-std", "0"]
    command += ["--ttft-ms", str(FIRST_TOKEN_MS[0]), "--ttft-ms-std", str(FIRST_TOKEN_MS[1])]
    command += ["--itl-ms", str(BETWEEN_TOKENS_MS[0]), "--itl-ms-std", str(BETWEEN_TOKENS_MS[1])]
    with server(command, folder, port, ready_s=120, env={"HF_HUB_OFFLINE": "1"}):
        base_url = f"http://127.0.0.1:{port}/v1"
        write_job(folder, TIMED_CASES, base_url, TIMED_IN_FLIGHT, arm="stream = true")
        plain = _plain_client(port)
        evalsvc(folder, "guidellm.db")
    rows = outcomes(folder, "guidellm.db", "status, kind, first_token_s, latency_s, output_tokens, tainted")
    ends = Counter(kind or status for status, kind, *_ in rows)
    timed = [row for row in rows if row[0] == "ok" and row[2] is not None]
    if not timed:
        raise Unmeasured(f"no streamed answer: {dict(ends)}")
    tokens = sorted(Counter(row[4] for row in timed).items(), key=lambda item: -item[1])
    print(f"guidellm mock server, {len(rows)} streams, {TIMED_IN_FLIGHT} in flight: {dict(ends)}")
    print(f"  {sum(row[5] for row in timed)} taken while our event loop lagged; tokens an answer: {dict(tokens[:3])}")
    told_first = NormalDist(*FIRST_TOKEN_MS)
    gaps = TOKENS - 1
    told_last = told_first + NormalDist(gaps * BETWEEN_TOKENS_MS[0], sqrt(gaps) * BETWEEN_TOKENS_MS[1])
    _compare("time to first token", told_first, [row[2] for row in timed], [first for first, _ in plain])
    _compare("latency", told_last, [row[3] for row in timed], [last for _, last in plain])


def _plain_client(port: int) -> list[tuple[float, float]]:
    """(seconds to the first token, to the last byte) as a blocking client of the standard library sees them.

    It asks as often and as many at a time as the job: what the server itself adds to its waits, both see.
    """
    body = json.dumps({"model": "constant", "stream": True, "messages": [{"role": "user", "content": "question"}]})
    waiting = iter(range(2 * TIMED_CASES))

    def ask(_: int) -> list[tuple[float, float]]:
        connection, seen = HTTPConnection("127.0.0.1", port, timeout=60), []
        with closing(connection):
            for _ in waiting:
                started = perf_counter()
                connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.readline()
                first = perf_counter() - started
                response.read()
                seen.append((first, perf_counter() - started))
        return seen

    with ThreadPoolExecutor(TIMED_IN_FLIGHT) as pool:
        return [pair for pairs in pool.map(ask, range(TIMED_IN_FLIGHT)) for pair in pairs]


def _compare(name: str, told: NormalDist, ours_s: list[float], plain_s: list[float]) -> None:
    for share in (0.5, 0.9, 0.95, 0.99):
        ours, plain = (float(np.percentile(sample, share * 100)) * 1000 for sample in (ours_s, plain_s))
        theirs = told.inv_cdf(share)
        # a sample's percentile has the standard error sqrt(p (1 - p) / n) / density
        chance = 1.96 * sqrt(share * (1 - share) / len(ours_s)) / told.pdf(theirs)
        print(
            f"  {name:19} p{share * 100:.0f}: ours / told {ours / theirs:.3f}, ours / plain client {ours / plain:.3f};"
            f" told {theirs:5.1f} ms, ours {ours - theirs:+5.1f}, plain client {plain - theirs:+5.1f},"
            f" chance alone ± {chance:.1f}"
        )


SERVERS: dict[str, Callable[[Path], None]] = {"LiteLLM proxy": litellm, "guidellm mock server": guidellm}


def main() -> None:
    """Run a job against each server in turn."""
    print(machine())
    for name, run in SERVERS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                run(Path(folder))
            except Unmeasured as reason:
                print(f"{name} skipped: {reason}", flush=True)


if __name__ == "__main__":
    main()
