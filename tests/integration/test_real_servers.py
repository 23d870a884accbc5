"""Our providers against a server nobody here wrote: llama.cpp's, with a real model of 260,000 parameters."""

from __future__ import annotations

import json
import socket
import sqlite3
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from math import exp
from pathlib import Path
from time import monotonic, sleep
from typing import Any, AnyStr

import pytest

from evalsvc.core.records import Arm, Case, Completion, Request, Score
from evalsvc.errors import ContextOverflow, ScoringError
from evalsvc.providers.factory import TransportName, make_provider
from evalsvc.scoring.base import FollowUp
from evalsvc.scoring.perplexity import Perplexity
from evalsvc.scoring.verdicts import Verdicts

pytestmark = pytest.mark.anyio
#: Log-probabilities of one model differ this much between machines: of the token taken, of the unlikely ones.
TOLERANCE, TOLERANCE_OF_OTHERS = 0.007, 0.02
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 32}
FAST = pytest.param(
    "pyreqwest", marks=pytest.mark.skipif(find_spec("pyreqwest") is None, reason="the extra [fast] is not installed")
)
every_transport = pytest.mark.parametrize("transport", ["aiohttp", FAST])


@pytest.fixture(scope="session")
def tiny(shared: Path) -> Path:
    folder = shared / "data" / "14_tiny_lm"
    if not folder.is_dir() or find_spec("xllamacpp") is None:
        pytest.skip("the tiny model or the package xllamacpp is missing")
    return folder


@pytest.fixture(scope="session")
def llama(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script, model = tiny / "serve_xllamacpp.py", tiny / "stories260K.gguf"
    with serving(script, model, tmp_path_factory.mktemp("llama")) as url:
        yield url


@pytest.fixture(scope="session")
def roomy_llama(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same server and model, with room for 2,048 tokens: it was trained on 512, and a judge is asked more."""
    folder = tmp_path_factory.mktemp("roomy_llama")
    script, model = folder / "serve.py", folder / "model.gguf"
    script.write_text(replaced((tiny / "serve_xllamacpp.py").read_text(), "p.n_ctx=512*4", "p.n_ctx=2048*4"))
    length = b"llama.context_length" + struct.pack("<I", 4)  # 4: an unsigned number of 32 bits
    weights = (tiny / "stories260K.gguf").read_bytes()
    model.write_bytes(replaced(weights, length + struct.pack("<I", 512), length + struct.pack("<I", 2048)))
    with serving(script, model, folder) as url:
        yield url


def replaced(text: AnyStr, old: AnyStr, new: AnyStr) -> AnyStr:
    assert text.count(old) == 1
    return text.replace(old, new)


@contextmanager
def serving(script: Path, model: Path, folder: Path) -> Iterator[str]:
    """The server's base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([sys.executable, script, model, str(port), "stories260K"], stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()
            server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "the server died"
            assert monotonic() < until, "the server did not come up"
            sleep(0.05)


async def ask(
    url: str,
    transport: TransportName,
    text: str,
    *,
    api: str = "chat",
    stream: bool = False,
    model: str = "m",
    **params: Any,
) -> Completion:
    request = Request(
        case=Case(suite="s", id="1", category="c", input=text),
        arm=Arm.CANDIDATE,
        job="j",
        trial=0,
        step="answer",
        endpoint="e",
        model=model,
        messages=[{"role": "user", "content": text}],
        params=params,
        api=api,
        stream=stream,
    )
    provider = make_provider(
        base_url=url, api_key=None, connections=4, timeout_s=60, max_bytes=2**23, transport=transport
    )
    try:
        return await provider.complete(request)
    finally:
        await provider.aclose()


@every_transport
@pytest.mark.parametrize("api", ["chat", "completions", "responses"])
async def test_a_stream_says_what_the_plain_answer_says(llama: str, transport: TransportName, api: str) -> None:
    options: dict[str, Any] = {"temperature": 0, "max_output_tokens" if api == "responses" else "max_tokens": 24}
    plain = await ask(llama, transport, "Once upon a time", api=api, **options)
    streamed = await ask(llama, transport, "Once upon a time", api=api, stream=True, **options)
    assert plain.text
    assert streamed.text == plain.text
    assert (streamed.input_tokens, streamed.output_tokens) == (plain.input_tokens, plain.output_tokens)
    assert (plain.output_tokens, plain.model) == (24, "stories260K")
    assert (plain.finish_reason, plain.first_token_s) == (streamed.finish_reason, None)
    assert 0 < (streamed.first_byte_s or 0) <= (streamed.first_token_s or 0) <= streamed.latency_s


@every_transport
@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_are_those_recorded(
    llama: str, tiny: Path, transport: TransportName, stream: bool
) -> None:
    rows = [json.loads(line) for line in (tiny / "greedy_reference.jsonl").read_text().splitlines()]
    for row in rows:
        got = await ask(llama, transport, row["prompt"], api="completions", stream=stream, **GREEDY, logprobs=5)
        assert got.text == row["completion"]
        tokens = got.logprobs["content"]
        assert [token["id"] for token in tokens] == row["completion_ids"]
        for token, reference in zip(tokens, row["tokens"], strict=True):
            assert token["logprob"] == pytest.approx(reference["logprob"], abs=TOLERANCE)
            top = {entry["id"]: entry["logprob"] for entry in token["top_logprobs"]}
            for i, logprob in reference["top"]:
                assert top[i] == pytest.approx(logprob, abs=TOLERANCE_OF_OTHERS)


@every_transport
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_under_a_schema_is_json_of_that_shape(
    llama: str, transport: TransportName, stream: bool
) -> None:
    shape = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "n": {"enum": [1, 2]}},
        "required": ["ok", "n"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": shape, "strict": True}}
    got = await ask(llama, transport, "Tell me.", stream=stream, temperature=0, max_tokens=200, response_format=form)
    value = json.loads(got.text)
    assert got.finish_reason == "stop"
    assert set(value) == {"ok", "n"}
    assert value["n"] in (1, 2)
    assert isinstance(value["ok"], bool)


@every_transport
async def test_an_unknown_model_is_answered_and_its_true_name_is_kept(llama: str, transport: TransportName) -> None:
    got = await ask(llama, transport, "Once", model="no-such-model", max_tokens=2)
    assert got.model == "stories260K"


@every_transport
@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_does_not_fit_is_the_models_own_failure(
    llama: str, transport: TransportName, stream: bool
) -> None:
    with pytest.raises(ContextOverflow):
        await ask(llama, transport, "Once upon a time " * 2000, stream=stream, max_tokens=2)


@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_the_perplexity_of_an_answer_is_that_of_the_recorded_probabilities(
    llama: str, tiny: Path, api: str
) -> None:
    row = json.loads((tiny / "greedy_reference.jsonl").read_text().splitlines()[0])
    logprobs: dict[str, Any] = {"logprobs": 1} if api == "completions" else {"logprobs": True, "top_logprobs": 1}
    got = await ask(llama, "aiohttp", row["prompt"], api=api, **GREEDY, **logprobs)
    found = Perplexity().follow_up(Case(suite="s", id="1", category="c", input=row["prompt"]), got)
    assert isinstance(found, Score)
    given = [token["logprob"] for token in got.logprobs["content"]]
    assert found.value == pytest.approx(exp(-sum(given) / len(given)))
    if api == "completions":  # a chat has a template around the prompt
        recorded = [token["logprob"] for token in row["tokens"]]
        assert found.value == pytest.approx(exp(-sum(recorded) / len(recorded)), abs=TOLERANCE)


async def test_a_server_that_does_not_know_echo_gives_no_perplexity_of_a_reference(llama: str) -> None:
    case = Case(suite="s", id="1", category="c", input="Once upon", expected=" a time")
    for extra in (0, 1):
        found = Perplexity(mode="reference", max_tokens=extra).follow_up(case, Completion(text=""))
        assert isinstance(found, FollowUp)
        got = await ask(llama, "aiohttp", found.messages[0]["content"], api=found.api, **found.params)
        with pytest.raises(ScoringError, match="does not know `echo`"):
            found.read(got)


#: Recorded arms of which the candidate is right, and a judge that writes what its grammar allows, whatever it is shown.
JUDGED = """
name = "judged by a server nobody here wrote"
[candidate]
endpoint = "recorded"
model = "new"
outputs = "new.jsonl"
[baseline]
endpoint = "recorded"
model = "old"
outputs = "old.jsonl"
[judge]
endpoint = "llama"
model = "stories260K"
params = { temperature = 0, max_tokens = 400 }
[[suites]]
name = "s"
role = "target"
dataset = "cases.jsonl"
scorer = { name = "judge", rubric = "Is it right?", labels = { yes = 1, no = 0 } }
"""


def test_a_real_judges_verdicts_are_read_and_it_is_not_believed(
    roomy_llama: str, tmp_path: Path, evalsvc: Callable[..., Any]
) -> None:
    for name, row in [
        ("cases", {"input": "What is {n}?", "expected": "{n}"}),
        ("new", {"output": "{n}"}),
        ("old", {"output": "no idea"}),
    ]:
        rows = [{"id": f"c{n}", **{key: text.format(n=n) for key, text in row.items()}} for n in range(2)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "config.toml").write_text(f'[endpoints.llama]\nbase_url = "{roomy_llama}"\n')
    (tmp_path / "job.toml").write_text(JUDGED)

    ran = evalsvc("run", "job.toml", "--json")
    assert ran.code == 4, ran.err
    judge = ran.record["judge"]
    assert (judge["served_models"], judge["failed"], judge["requests"]) == (["stories260K"], 0, 2 * 2 + 2 * 8)
    assert judge["canaries"]["answered"] == judge["canaries"]["asked"] == 16
    assert judge["trusted"] is False
    assert f"it fell for {judge['canaries']['fooled']} of 16 canaries (suite s, scorer judge)" in judge["distrust"]
    found = {gate["name"]: gate["verdict"] for gate in ran.record["gates"]}
    assert found["target_improvement"] == found["exact_match"] == "NOT_MEASURED"

    with closing(sqlite3.connect(tmp_path / "evalsvc.db")) as database:
        said = [text for (text,) in database.execute("SELECT text FROM outcomes WHERE step <> 'answer'")]
    assert len(said) == judge["requests"]
    for text in said:
        assert Verdicts(worth={"yes": 1, "no": 0}).read(text)[0] in ("yes", "no")
    decided = next((tmp_path / "evalsvc-out").glob("*/decision.json"))
    assert evalsvc("verify", decided).code == 0
