import json
from pathlib import Path

import pytest

from evalsvc.errors import JobError
from evalsvc.simulator.replay import Replay
from evalsvc.simulator.wire import Question, completion

ROW = {"model": "m", "prompt": "p", "output": "o"}


def write(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "recorded.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def test_outputs_are_answered_by_model_and_prompt(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"model": "n", "output": "other"}, ROW | {"prompt": "q", "output": "\ud800"}, ROW]
    replay = Replay.load(write(tmp_path, *(json.dumps(row) for row in rows), ""))
    assert replay.models == ("m", "n")
    assert replay.reply("m", "p").text == "o"
    assert replay.reply("n", "p").text == "other"
    assert replay.reply("m", "q").text == "\ud800"
    with pytest.raises(LookupError):
        replay.reply("n", "q")


def test_tool_calls_are_answered_as_they_were_made(tmp_path: Path) -> None:
    plain = {"model": "m", "prompt": "p", "tool_calls": [{"name": "f", "arguments": {"x": 1}}]}
    whole = {"id": "c", "type": "function", "function": {"name": "g", "arguments": '{"broken'}}
    rows = [
        plain,
        ROW | {"prompt": "q", "tool_calls": [whole, whole]},
        plain,
        ROW | {"prompt": "r", "tool_calls": None},
    ]
    replay = Replay.load(write(tmp_path, *(json.dumps(row) for row in rows)))
    question = Question(model="m", prompt="p", characters=1)
    messages = []
    for prompt in "pqr":
        body = completion(question, replay.reply("m", prompt), created=1, fingerprint="x")
        messages.append(body["choices"][0]["message"])
        assert body["choices"][0]["finish_reason"] == ("stop" if prompt == "r" else "tool_calls")
    assert [message["content"] for message in messages] == [None, "o", "o"]
    calls = [[call["function"] for call in message.get("tool_calls", ())] for message in messages]
    assert calls == [[{"name": "f", "arguments": '{"x": 1}'}], [{"name": "g", "arguments": '{"broken'}] * 2, []]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("{", None),
        ("[]", None),
        ("NaN", None),
        ('{"model": "m", "prompt": "p", "output": NaN}', None),
        ('{"model": "m", "model": "m", "prompt": "p", "output": "o"}', None),
        (b'{"model": "\xff"}', None),
        ("[" * 100_000, None),
        (json.dumps(ROW | {"outptu": ""}), "outptu"),
        (json.dumps({"model": "m", "prompt": "p"}), "output"),
        (json.dumps(ROW | {"prompt": ["p"]}), "prompt"),
        (json.dumps(ROW | {"output": "another"}), "output"),
        (json.dumps(ROW | {"tool_calls": [{"name": "f"}]}), "output"),
        (json.dumps(ROW | {"tool_calls": []}), "tool_calls"),
        (json.dumps(ROW | {"tool_calls": [{"arguments": {}}]}), "tool_calls"),
        (json.dumps(ROW | {"tool_calls": [{"function": "f"}]}), "tool_calls"),
        (json.dumps(ROW | {"tool_calls": "f()"}), "tool_calls"),
        (json.dumps({"model": "m", "prompt": "p", "output": 1, "tool_calls": [{"name": "f"}]}), "output"),
    ],
)
def test_a_bad_row_is_named_with_file_line_and_key(tmp_path: Path, line: str | bytes, key: str | None) -> None:
    path = write(tmp_path, json.dumps(ROW), "", line)
    with pytest.raises(JobError) as caught:
        Replay.load(path)
    assert (caught.value.file, caught.value.line, caught.value.key) == (str(path), 3, key)


def test_an_empty_or_missing_recording_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no recorded output"):
        Replay.load(write(tmp_path, "", ""))
    with pytest.raises(JobError, match="cannot be read"):
        Replay.load(tmp_path / "none.jsonl")
