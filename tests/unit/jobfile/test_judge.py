"""The table [judge]: who is asked, and who may not be."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest

from evalsvc import jobfile
from evalsvc.app.prepare import prepare
from evalsvc.core.records import Job, JudgeSpec
from evalsvc.errors import JobError
from evalsvc.jobfile.document import document_of, job_in
from evalsvc.jobfile.models import schema

JOB = """\
name = "judged"
[candidate]
endpoint = "sim"
model = "sim-candidate"
[baseline]
endpoint = "sim"
model = "sim-baseline"
[judge]
endpoint = "openai"
model = "gpt"
{more}
[[suites]]
name = "one"
role = "target"
dataset = "one.jsonl"
scorer = {scorer}
"""
JUDGE = '{ name = "judge", rubric = "Is it right?" }'


def write(folder: Path, *, more: str = "", scorer: str = JUDGE, text: str = JOB) -> Path:
    (folder / "one.jsonl").write_text('{"input": "a", "expected": "b"}\n')
    path = folder / "job.toml"
    path.write_text(text.format(more=more, scorer=scorer))
    return path


def read(folder: Path, more: str) -> Job:
    return jobfile.read(write(folder, more=more)).job


def test_a_whole_judge(tmp_path: Path) -> None:
    more = 'system = "Be fair."\nparams = { temperature = 0 }\napi = "responses"\nallow_self = true\ncache = false'
    assert read(tmp_path, more).judge == JudgeSpec(
        endpoint="openai",
        model="gpt",
        system="Be fair.",
        params={"temperature": 0},
        api="responses",
        allow_self=True,
        cache=False,
    )
    assert read(tmp_path, "").judge == JudgeSpec(endpoint="openai", model="gpt")


@pytest.mark.parametrize(
    ("more", "cached"),
    [
        ("", False),
        ("params = { temperature = 0 }", True),
        ("params = { temperature = 0.0 }", True),
        ("params = { temperature = 0.7 }", False),
        ("params = { temperature = 0.7 }\ncache = true", True),
        ("params = { temperature = 0 }\ncache = false", False),
    ],
)
def test_it_is_cached_where_it_would_say_the_same_again(tmp_path: Path, more: str, cached: bool) -> None:
    judge = read(tmp_path, more).judge
    assert judge is not None
    assert judge.cached is cached


def test_the_judge_is_part_of_what_the_job_is_held_to(tmp_path: Path) -> None:
    file = jobfile.read(write(tmp_path))
    assert job_in(document_of(file)) == file.job
    digests = {read(tmp_path, more).spec_sha256 for more in ("", 'system = "x"', "cache = true", "params = { a = 1 }")}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('endpoint = "openai"', 'endpoint = "https://x.org/v1"', ":9: judge.endpoint: a job holds no URL"),
        ('endpoint = "openai"', 'endpoint = "recorded"', ":9: judge.endpoint: a judge is asked"),
        ('endpoint = "openai"', "", "judge.endpoint"),
        ('model = "gpt"', "", "judge.model"),
        ('model = "gpt"', 'model = "gpt"\nmodle = "x"', ":11: judge.modle: unknown key"),
        ('model = "gpt"', 'model = "gpt"\nparams = {{ n = 3 }}', ":11: judge.params.n: trials are separate requests"),
        ('model = "gpt"', 'model = "gpt"\napi = "completions"', ":11: judge.api"),
        ('model = "gpt"', 'model = "gpt"\ncache = "yes"', ":11: judge.cache"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(JobError) as caught:
        jobfile.read(write(tmp_path, text=JOB.replace(old, new)))
    assert said in str(caught.value)


@pytest.mark.parametrize("arm", ["candidate", "baseline"])
def test_nobody_judges_himself_unless_that_is_wanted(tmp_path: Path, arm: str) -> None:
    own = JOB.replace('endpoint = "openai"\nmodel = "gpt"', f'endpoint = "sim"\nmodel = "sim-{arm}"')
    with pytest.raises(JobError, match=rf":10: judge.model: the {arm} would judge itself"):
        jobfile.read(write(tmp_path, text=own))
    assert jobfile.read(write(tmp_path, text=own, more="allow_self = true")).job.judge is not None
    elsewhere = own.replace('[judge]\nendpoint = "sim"', '[judge]\nendpoint = "openai"')
    with pytest.raises(JobError, match="or only the name is the same"):
        jobfile.read(write(tmp_path, text=elsewhere))


def test_a_judged_scorer_needs_a_judge_and_a_judge_a_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    nobody = JOB.replace('[judge]\nendpoint = "openai"\nmodel = "gpt"\n', "")
    with pytest.raises(
        JobError, match=r":13: suites\[0\]\.scorer: judge asks a judge: name one in the table \[judge\]"
    ):
        prepare(write(tmp_path, text=nobody))
    with pytest.raises(JobError, match=r":8: judge: no suite asks it"):
        prepare(write(tmp_path, scorer='"exact_match"'))
    with pytest.raises(JobError, match=r":9: judge\.endpoint: no endpoint 'elsewhere' in the configuration; known: "):
        prepare(write(tmp_path, text=JOB.replace("openai", "elsewhere")))
    prepared = prepare(write(tmp_path))
    assert set(prepared.endpoints) == {"sim", "openai"}
    assert prepared.keys["openai"] == "k"


def test_the_schema_knows_the_judge() -> None:
    valid = jsonschema_rs.validator_for(schema()["$defs"]["JudgeTable"] | {"$defs": schema()["$defs"]}).is_valid
    assert valid({"endpoint": "openai", "model": "gpt", "cache": True})
    assert not valid({"endpoint": "recorded", "model": "gpt"})
    assert not valid({"endpoint": "https://x", "model": "gpt"})
    assert not valid({"endpoint": "openai", "model": "gpt", "params": {"stream": True}})
    assert not valid({"endpoint": "openai"})
