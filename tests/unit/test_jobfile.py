from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import rfc8785

from evalsvc import jobfile
from evalsvc.core.records import FIELDS, GATES, Arm, Role
from evalsvc.errors import JobError
from evalsvc.jobfile.document import document_of, job_in

MINIMAL = """\
name = "job"
[candidate]
endpoint = "vllm"
model = "new"
[baseline]
endpoint = "openai"
model = "old"
[[suites]]
name = "one"
role = "target"
dataset = "one.jsonl"
scorer = "exact"
"""

FULL = """\
#:schema ./job.schema.json
name   = "support-7b v3 against gpt-4o"
seed   = 81
trials = 3
stop   = "never"

[candidate]
endpoint = "vllm"
model    = "acme/support-7b-v3"
system   = "You are ..."
params   = { temperature = 0, max_tokens = 256, nested = { list = [1, 0.5, true, "x"] } }
api      = "chat"
stream   = false

[baseline]
endpoint = "openai"
model    = "gpt-4o"

[[suites]]
name     = "tool-calling"
role     = "target"
dataset  = "one.jsonl"
format   = "native"
scorer   = { name = "numeric", tolerance = 0.01, label = "close enough", pass_at = 0.5 }
also     = ["json_schema", { name = "numeric" }]

[[suites]]
name     = "general"
role     = "general"
dataset  = "sub/two.jsonl"
scorer   = "exact"

[gates]
evidence = "point"
[gates.target_improvement]
margin = 0
[gates.general_regression]
margin = 0.02
required = false
[gates.latency_p99]
threshold = 3
[gates.schema_compliance]
floor = 0.999
[gates.human_preference]
waive = "no annotators for this internal tool"
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    (tmp_path / "sub").mkdir()
    (tmp_path / "one.jsonl").write_text('{"input": "a"}\n')
    (tmp_path / "sub" / "two.jsonl").write_text('{"input": "b"}\n')

    def write_job(text: str) -> Path:
        path = tmp_path / "job.toml"
        path.write_text(text)
        return path

    return write_job


def changed(old: str, new: str, text: str = MINIMAL) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def error_of(path: Path, **options: Any) -> str:
    with pytest.raises(JobError) as error:
        jobfile.read(path, **options)
    return str(error.value).replace(f"{path.parent}{os.sep}", "")


def test_a_full_job(write: Callable[[str], Path]) -> None:
    job = jobfile.read(write(FULL), limit=7).job
    assert (job.name, job.seed, job.trials, job.evidence, job.limit) == (
        "support-7b v3 against gpt-4o",
        81,
        3,
        "point",
        7,
    )
    candidate = job.arms[Arm.CANDIDATE]
    assert (candidate.endpoint, candidate.model, candidate.system) == ("vllm", "acme/support-7b-v3", "You are ...")
    assert candidate.params == {"temperature": 0, "max_tokens": 256, "nested": {"list": [1, 0.5, True, "x"]}}
    assert (job.arms[Arm.BASELINE].system, job.arms[Arm.BASELINE].params) == (None, {})
    first, second = job.suites
    assert (first.name, first.role, first.dataset, first.format) == (
        "tool-calling",
        Role.TARGET,
        "one.jsonl",
        "native",
    )
    assert [(s.name, s.label, s.pass_at, s.options) for s in first.scorers] == [
        ("numeric", "close enough", 0.5, {"tolerance": 0.01}),
        ("json_schema", "json_schema", 1.0, {}),
        ("numeric", "numeric", 1.0, {}),
    ]
    assert (second.role, second.format, len(second.scorers)) == (Role.GENERAL, "auto", 1)
    assert {gate.name: (gate.threshold, gate.required, gate.waived) for gate in job.gates} == {
        "target_improvement": (0.0, True, None),
        "general_regression": (-0.02, False, None),
        "exact_match": (0.85, True, None),
        "latency_p99": (3.0, True, None),
        "human_preference": (0.60, True, "no annotators for this internal tool"),
        "adversarial_robustness": (0.90, True, None),
        "schema_compliance": (0.999, True, None),
    }


def test_defaults(write: Callable[[str], Path]) -> None:
    job = jobfile.read(write(MINIMAL)).job
    assert (job.seed, job.trials, job.evidence, job.limit) == (0, 1, "interval", None)
    assert tuple(gate.name for gate in job.gates) == GATES
    assert [gate.threshold for gate in job.gates] == [0.05, -0.05, 0.85, 2.0, 0.60, 0.90, 0.99]
    assert all(gate.required and gate.waived is None for gate in job.gates)


def test_a_file_of_answers_is_one_of_the_jobs_files(write: Callable[[str], Path], tmp_path: Path) -> None:
    path = write(MINIMAL.replace("dataset", 'answers = "truth.json"\ndataset', 1))
    assert error_of(path) == "job.toml:11: suites[0].answers: cannot read truth.json: No such file or directory"
    (tmp_path / "truth.json").write_text("{}")
    read = jobfile.read(path)
    assert read.job.suites[0].answers == "truth.json"
    assert read.sha256["truth.json"] == hashlib.sha256(b"{}").hexdigest()
    before = read.job.spec_sha256
    (tmp_path / "truth.json").write_text("{} ")
    assert jobfile.read(path).job.spec_sha256 != before


def test_files_and_hash(write: Callable[[str], Path], tmp_path: Path) -> None:
    read = jobfile.read(write(FULL), limit=2)
    assert read.files == {"one.jsonl": tmp_path / "one.jsonl", "sub/two.jsonl": tmp_path / "sub/two.jsonl"}
    sha256 = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in read.files.items()}
    assert read.sha256 == sha256
    plain = tomllib.loads(FULL)
    plain["rate"] = None
    plain["candidate"]["outputs"] = None
    plain["baseline"] |= {"system": None, "params": {}, "api": "chat", "stream": False, "outputs": None}
    first, second = plain["suites"]
    first["also"] = [{"name": name, "label": name, "pass_at": 1} for name in ("json_schema", "numeric")]
    first["fields"] = {}
    second |= {"format": "auto", "fields": {}, "scorer": {"name": "exact", "label": "exact", "pass_at": 1}, "also": []}
    for suite in (first, second):
        suite |= {"answers": None, "cluster": None, "prompt": None}
    plain["judge"] = None
    plain["gates"]["calibration"] = "optional"
    gates: dict[str, dict[str, float]] = {
        "target_improvement": {"margin": 0.05},
        "general_regression": {"margin": 0.05},
        "exact_match": {"threshold": 0.85},
        "latency_p99": {"threshold": 2},
        "human_preference": {"threshold": 0.6},
        "adversarial_robustness": {"threshold": 0.9},
        "schema_compliance": {"floor": 0.99},
    }
    for name, defaults in gates.items():
        plain["gates"][name] = {"required": True, "waive": None, **defaults, **plain["gates"].get(name, {})}
    spec = rfc8785.dumps({"job": plain, "files": sha256, "limit": 2})
    assert read.job.spec_sha256 == hashlib.sha256(spec).hexdigest()


def test_the_hash_stands_for_what_is_asked_not_for_how_it_is_written(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    base = jobfile.read(write(MINIMAL)).job.spec_sha256
    same = changed('scorer = "exact"', 'scorer = { name = "exact", label = "exact" } # comment\nformat = "auto"')
    assert jobfile.read(write(same + "[gates.exact_match]\nthreshold = 0.85\n")).job.spec_sha256 == base
    others = [
        jobfile.read(write(changed('model = "new"', 'model = "newer"'))).job.spec_sha256,
        jobfile.read(write(changed('"exact"', '{ name = "exact", strip = true }'))).job.spec_sha256,
        jobfile.read(write(MINIMAL), limit=1).job.spec_sha256,
    ]
    (tmp_path / "one.jsonl").write_text('{"input": "c"}\n')
    others.append(jobfile.read(write(MINIMAL)).job.spec_sha256)
    assert len({base, *others}) == 5


def test_recorded_answers_are_a_file_of_the_job(write: Callable[[str], Path], tmp_path: Path) -> None:
    text = MINIMAL.replace('"vllm"', '"recorded"\noutputs = "sub/a.jsonl"')
    (tmp_path / "sub/a.jsonl").write_text("1")
    path = write(text)
    first = jobfile.read(path)
    assert first.job.arms[Arm.CANDIDATE].outputs == "sub/a.jsonl"
    assert [first.job.arms[arm].recorded for arm in Arm] == [True, False]
    assert first.files == {"one.jsonl": tmp_path / "one.jsonl", "sub/a.jsonl": tmp_path / "sub/a.jsonl"}
    (tmp_path / "sub/a.jsonl").write_text("2")
    assert jobfile.read(path).job.spec_sha256 != first.job.spec_sha256
    with pytest.raises(JobError, match=r"a\.jsonl: changed"):
        first.check_unchanged()


def test_an_error_of_a_scorer_option_names_its_line(write: Callable[[str], Path]) -> None:
    text = MINIMAL.replace('scorer = "exact"', '[suites.scorer]\nname = "exact"\nextract = "("')
    path = write(text)
    error = jobfile.read(path).error(("suites", 0, "scorer", "extract"), "is no regular expression")
    assert type(error) is JobError
    assert str(error) == f"{path}:14: suites[0].scorer.extract: is no regular expression"


SCORERS = "known: name, role, dataset, answers, format, fields, cluster, prompt, scorer, also"
ARMS = "known: endpoint, model, system, params, api, stream, outputs"
GATES_KNOWN = f"known: {', '.join(GATES)}, evidence, calibration"
PRINTABLE = "must be printable text on one line, without control characters"
URL = "a job holds no URL: name an endpoint of config.toml ([endpoints.NAME])"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # keys
        ("scorer =", "scorers =", f'12: suites[0].scorers: unknown key "scorers"; did you mean "scorer"? {SCORERS}'),
        (
            'name = "job"',
            'name = "job"\nx = 1',
            ('2: x: unknown key "x"; known: name, seed, trials, rate, stop, candidate, baseline, judge, suites, gates'),
        ),
        ('model = "new"\n', 'model = "new"\nkey = "sk"\n', f'5: candidate.key: unknown key "key"; {ARMS}'),
        ('name = "job"\n', "", "job.toml: name: missing; the job's name, for people"),
        ('model = "new"\n', "", "2: candidate.model: missing; the model's name as its endpoint knows it"),
        (
            'scorer = "exact"\n',
            "",
            (
                "8: suites[0].scorer: missing; the primary scorer, the one gates use: a name, or a "
                "table with its options"
            ),
        ),
        ('"exact"', '{ label = "x" }', "12: suites[0].scorer.name: missing; the scorer's name"),
        ("[[suites]]", "[suites]", "8: suites: must be an array, got a table"),
        # types and ranges
        ('name = "job"', "name = 1", "1: name: must be a string, got an integer 1"),
        ('name = "job"', 'name = "a\\tb"', f"1: name: {PRINTABLE}"),
        ('name = "one"', 'name = ""', f"9: suites[0].name: {PRINTABLE}"),
        ('"exact"', '{ name = "e", label = "\\u202e" }', f"12: suites[0].scorer.label: {PRINTABLE}"),
        ('name = "job"', 'name = "job"\nseed = "81"', '2: seed: must be an integer, got a string "81"'),
        ('name = "job"', 'name = "job"\nseed = true', "2: seed: must be an integer, got true"),
        ('name = "job"', 'name = "job"\nseed = -1', "2: seed: must be at least 0, got an integer -1"),
        ('name = "job"', 'name = "job"\ntrials = 0', "2: trials: must be at least 1, got an integer 0"),
        ('name = "job"', 'name = "job"\ntrials = 1.0', "2: trials: must be an integer, got a number 1.0"),
        (
            'name = "job"',
            'name = "job"\nstop = "soon"',
            '2: stop: must be "never", "hybrid" or "anytime", got a string "soon"',
        ),
        (
            'role = "target"',
            'role = "tarket"',
            ('10: suites[0].role: must be "target", "general", "adversarial" or "train", got a string "tarket"'),
        ),
        (
            'role = "target"',
            "role = 1",
            ('10: suites[0].role: must be "target", "general", "adversarial" or "train", got an integer 1'),
        ),
        ('"exact"', "5", "12: suites[0].scorer: must be a scorer's name or a table with its options, got an integer 5"),
        (
            '"exact"',
            '{ name = "e", pass_at = 0 }',
            ("12: suites[0].scorer.pass_at: must be greater than 0, got an integer 0"),
        ),
        (
            '"exact"',
            '{ name = "e", pass_at = 1.5 }',
            ("12: suites[0].scorer.pass_at: must be at most 1, got a number 1.5"),
        ),
        ('"exact"', '"exact"\nalso = "x"', '13: suites[0].also: must be an array, got a string "x"'),
        ('dataset = "one.jsonl"', 'dataset = ""', "11: suites[0].dataset: must not be empty"),
        # JSON
        (
            '"exact"',
            '{ name = "e", since = 2026-01-01 }',
            ("12: suites[0].scorer.since: a date or time is no JSON value; write it as a string"),
        ),
        (
            'model = "new"',
            'model = "new"\nparams = { x = [nan] }',
            ("5: candidate.params.x[0]: must be a finite number, got a number nan"),
        ),
        (
            'model = "new"',
            'model = "new"\nparams.seed = 9007199254740992',
            (
                "5: candidate.params.seed: must lie within "
                "±9007199254740991, got an integer 9007199254740992: JSON keeps no larger integer exactly"
            ),
        ),
        (
            'model = "new"',
            f'model = "new"\nparams.x = {"[" * 120}{"]" * 120}',
            ("5: candidate.params.x: nested deeper than 100 levels"),
        ),
        # arms
        ('"vllm"', '"https://x/v1"', f"3: candidate.endpoint: {URL}"),
        ('"vllm"', '""', f"3: candidate.endpoint: {PRINTABLE}"),
        ('model = "new"', 'model = "new"\nparams = "x"', '5: candidate.params: must be a table, got a string "x"'),
        (
            'model = "new"',
            'model = "new"\nparams.n = 2',
            ("5: candidate.params.n: trials are separate requests: set trials = N at the top of the job"),
        ),
        (
            'model = "old"',
            'model = "old"\nparams.stream = true',
            ("8: baseline.params.stream: how an answer travels is no parameter of the model; remove it"),
        ),
        (
            'model = "new"',
            'model = "new"\nparams.model = "x"',
            ("5: candidate.params.model: the model has a key of its own: put it beside endpoint"),
        ),
        (
            'model = "new"',
            'model = "new"\nparams.messages = []',
            ("5: candidate.params.messages: what is asked comes from the data set; a system prompt goes into system"),
        ),
        # names in one suite, names of suites
        (
            '"exact"',
            '"exact"\nalso = ["f1",\n"exact"]',
            (
                "14: suites[0].also[1]: another scorer of this suite is "
                'labelled "exact" already; give one a label of its own'
            ),
        ),
        (
            "[baseline]",
            '[[suites]]\nname = "one"\nrole = "train"\ndataset = "one.jsonl"\nscorer = "f1"\n[baseline]',
            '14: suites[1].name: another suite is called "one" already; names are unique',
        ),
        # data sets
        ('"one.jsonl"', '"nine.jsonl"', "11: suites[0].dataset: cannot read nine.jsonl: No such file or directory"),
        ('"one.jsonl"', '"sub"', "11: suites[0].dataset: cannot read sub: not a regular file"),
        ('"one.jsonl"', '"/dev/null"', "11: suites[0].dataset: cannot read /dev/null: not a regular file"),
        ('"one.jsonl"', '"one.jsonl/x"', "11: suites[0].dataset: cannot read one.jsonl/x: Not a directory"),
        # not available yet
        ('name = "job"', 'name = "job"\nrate = 0', "2: rate: must be at least 0.001, got an integer 0"),
        (
            "[baseline]",
            '[judge]\nmodel = "x"\n[baseline]',
            "5: judge.endpoint: missing; an endpoint's alias in config.toml; a job holds no URL and no key",
        ),
        (
            '"vllm"',
            '"vllm"\napi = "responses"\nstream = true',
            '5: candidate.stream: true is not available yet with api = "responses"; remove it',
        ),
        # recorded answers
        (
            '"openai"',
            '"openai"\noutputs = "a.jsonl"',
            '7: baseline.outputs: only with endpoint = "recorded": another endpoint is asked for its answers',
        ),
        (
            '"openai"',
            '"recorded"',
            '6: baseline.endpoint: "recorded" needs the file of the answers: outputs = "answers.jsonl"',
        ),
        (
            '"openai"',
            '"recorded"\noutputs = "a.jsonl"',
            "7: baseline.outputs: cannot read a.jsonl: No such file or directory",
        ),
        (
            '"exact"',
            '"exact"\nfields = { inptu = "q" }',
            f'13: suites[0].fields.inptu: unknown key "inptu"; did you mean "input"? known: {", ".join(FIELDS)}',
        ),
        ('"exact"', '"exact"\nformat = 1', "13: suites[0].format: must be a string, got an integer 1"),
        ('"exact"', '"exact"\nfields.input = ""', "13: suites[0].fields.input: must not be empty"),
        ('"exact"', '"exact"\nfields.input = 1', "13: suites[0].fields.input: must be a string, got an integer 1"),
    ],
)
def test_what_is_wrong_is_one_error(write: Callable[[str], Path], old: str, new: str, message: str) -> None:
    place = message if message.startswith("job.toml") else f"job.toml:{message}"
    assert error_of(write(MINIMAL.replace(old, new, 1))) == place


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (
            "[gates.latency_p9]",
            (f'13: gates.latency_p9: unknown key "latency_p9"; did you mean "latency_p99"? {GATES_KNOWN}'),
        ),
        ("[gates.speed]", f'13: gates.speed: unknown key "speed"; {GATES_KNOWN}'),
        (
            "[gates.exact_match]\nmargin = 1",
            ('14: gates.exact_match.margin: unknown key "margin"; known: required, waive, threshold'),
        ),
        (
            "[gates.schema_compliance]\nthreshold = 1",
            ('14: gates.schema_compliance.threshold: unknown key "threshold"; known: required, waive, floor'),
        ),
        (
            "[gates.target_improvement]\nmargin = -0.1",
            ("14: gates.target_improvement.margin: must be at least 0, got a number -0.1"),
        ),
        (
            "[gates.general_regression]\nmargin = 5",
            ("14: gates.general_regression.margin: must be less than 1, got an integer 5"),
        ),
        (
            "[gates.exact_match]\nthreshold = 85",
            ("14: gates.exact_match.threshold: must be at most 1, got an integer 85"),
        ),
        ("[gates.exact_match]\nthreshold = true", "14: gates.exact_match.threshold: must be a number, got true"),
        (
            "[gates.latency_p99]\nthreshold = 0",
            ("14: gates.latency_p99.threshold: must be greater than 0, got an integer 0"),
        ),
        (
            "[gates.exact_match]\nrequired = 0",
            ("14: gates.exact_match.required: must be true or false, got an integer 0"),
        ),
        ('[gates.exact_match]\nwaive = " "', "14: gates.exact_match.waive: must say why, in words"),
        ("[gates.exact_match]\nwaive = true", "14: gates.exact_match.waive: must be a string, got true"),
        ('[gates]\nevidence = "gut"', '14: gates.evidence: must be "interval" or "point", got a string "gut"'),
        ("[[gates]]", "13: gates: must be a table, got an array"),
    ],
)
def test_gates_that_are_wrong(write: Callable[[str], Path], gates: str, message: str) -> None:
    assert error_of(write(MINIMAL + gates)) == f"job.toml:{message}"


def test_a_gate_of_a_plug_in_stands_behind_the_seven(write: Callable[[str], Path]) -> None:
    text = MINIMAL + '[gates.ours]\nthreshold = 0.5\nwaive = "not yet"\n'
    file = jobfile.read(write(text))
    assert [gate.name for gate in file.job.gates] == [*GATES, "ours"]
    assert (file.job.gates[7].threshold, file.job.gates[7].waived) == (0.5, "not yet")
    other = jobfile.read(write(text.replace("0.5", "0.6")))
    assert other.job.spec_sha256 != file.job.spec_sha256
    assert job_in(document_of(file)) == file.job
    infinite = error_of(write(MINIMAL + "[gates.ours]\nthreshold = inf"))
    assert infinite.startswith("job.toml:14: gates.ours.threshold: must be a finite number")
    wrong = error_of(write(MINIMAL + "[gates.ours]\nthreshold = 1\nmargin = 1"))
    assert wrong == 'job.toml:15: gates.ours.margin: unknown key "margin"; known: required, waive, threshold'


def test_no_minus_zero(write: Callable[[str], Path]) -> None:
    job = jobfile.read(write(MINIMAL + "[gates.general_regression]\nmargin = 0")).job
    assert str(job.gates[1].threshold) == "0.0"


def test_a_job_without_suites(write: Callable[[str], Path]) -> None:
    text = MINIMAL.partition("[[suites]]")[0]
    assert error_of(write(text)) == "job.toml: suites: missing; at least one table [[suites]]: a named set of cases"
    assert error_of(write("suites = []\n" + text)) == "job.toml:1: suites: must not be empty"


def test_limit(write: Callable[[str], Path]) -> None:
    assert jobfile.read(write(MINIMAL), limit=1).job.limit == 1
    assert error_of(write(MINIMAL), limit=0) == "--limit: must be at least 1, got 0"


@pytest.mark.parametrize("stop", ["hybrid", "anytime"])
def test_a_job_may_stop_early_unless_it_goes_by_estimates(write: Callable[[str], Path], stop: str) -> None:
    text = changed('name = "job"', f'name = "job"\nstop = "{stop}"')
    asked_whole, may_stop = (jobfile.read(write(each)).job for each in (MINIMAL, text))
    assert (asked_whole.stop, may_stop.stop) == ("never", stop)
    assert asked_whole.spec_sha256 != may_stop.spec_sha256
    error = error_of(write(f'{text}\n[gates]\nevidence = "point"\n'))
    assert (
        error
        == f'job.toml:2: stop: "{stop}" judges by intervals; with evidence = "point" in [gates] it must be "never"'
    )


def test_a_job_file_that_cannot_be_read(write: Callable[[str], Path], tmp_path: Path) -> None:
    assert error_of(tmp_path / "none.toml") == "none.toml: cannot be read: No such file or directory"
    assert error_of(tmp_path / "sub") == "sub: cannot be read: not a regular file"
    assert error_of(write("name = ")) == "job.toml:1: not valid TOML: Invalid value"


def test_a_pipe_is_refused_without_waiting_for_its_writer(write: Callable[[str], Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert error_of(tmp_path / "pipe") == "pipe: cannot be read: not a regular file"
    message = error_of(write(changed('"one.jsonl"', '"pipe"')))
    assert message == "job.toml:11: suites[0].dataset: cannot read pipe: not a regular file"


def keys(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for model in (schema, *schema["$defs"].values()):
        yield from model.get("properties", {}).items()


def test_the_schema_describes_every_key() -> None:
    described = list(keys(jobfile.schema()))
    assert len(described) > 30
    assert [key for key, value in described if not value.get("description")] == []
    json.dumps(jobfile.schema())


def test_the_schema_accepts_what_is_accepted_and_refuses_what_is_refused() -> None:
    schema = jobfile.schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    check = jsonschema_rs.validator_for(schema).is_valid
    assert check(tomllib.loads(FULL))
    assert check(tomllib.loads(MINIMAL))
    assert check(tomllib.loads(changed('"vllm"', '"recorded"\noutputs = "x"')))
    for old, new in [
        ('name = "job"', 'name = "job"\nrate = 0'),
        ('name = "job"', 'name = "job"\nstop = "soon"'),
        ('"vllm"', '"https://x"'),
        ('"vllm"', '"vllm"\nstream = "yes"'),
        ('"vllm"', '"vllm"\napi = "batch"'),
        ('"vllm"', '"vllm"\nparams.n = 2'),
        ('"vllm"', '"vllm"\noutputs = "x"'),
        ('"vllm"', '"recorded"'),
        ('role = "target"', 'role = "tarket"'),
        ("scorer =", "scorers ="),
        ('"exact"', '"exact"\nformat = 1'),
        ('"exact"', '"exact"\nfields.inptu = "q"'),
        ('"exact"', '"exact"\n[gates.speed]'),
    ]:
        assert not check(tomllib.loads(changed(old, new))), new
