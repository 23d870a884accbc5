"""The documentation cannot rot: its examples are run, its lists are held against the code, its links are followed."""

from __future__ import annotations

import json
import re
import tomllib
from array import array
from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, cast

import click
import pytest
from pydantic import BaseModel

from evalsvc import config, jobfile, suites
from evalsvc.cli import main as cli
from evalsvc.cli.decided import DECISIONS
from evalsvc.cli.run import command as run_command
from evalsvc.cli.sim import command as sim_command
from evalsvc.core.evidence import ArmScores, ArmTotals, Evidence, LatencySamples, ScoreTable
from evalsvc.core.records import FIELDS, GATES, Arm, Case, Completion, Job, Role, ScorerSpec, SuiteSpec
from evalsvc.decide import decide, judge_all, record
from evalsvc.engine.plan import planned_positions
from evalsvc.jobfile import shipped
from evalsvc.jobfile.gates import GatesTable
from evalsvc.jobfile.models import ArmTable, JobTable, JudgeTable, PromptTable, ScorerTable, SuiteTable
from evalsvc.scoring.base import SCORERS, build
from evalsvc.scoring.text import TextScorer
from evalsvc.simulator import profile
from evalsvc.simulator.replay import Replay
from evalsvc.stats.paired import cases_to_resolve_mean, point_rule_pass_probability, tango
from evalsvc.stats.quantiles import cases_to_prove_quantile
from evalsvc.stats.rates import cases_to_prove_rate, cases_to_resolve_rate, clopper_pearson
from evalsvc.suites.answer_rows import KEYS as ANSWER_KEYS
from evalsvc.suites.answers import RecordedAnswers
from evalsvc.suites.cases import KEYS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted(DOCS.glob("*.md"))]
HIDDEN_OR_BUILT = {"node_modules", "evalsvc-out"}
MODELS: dict[str, type[BaseModel]] = {
    "Top level": JobTable,
    "`[candidate]` and `[baseline]`": ArmTable,
    "The judge": JudgeTable,
    "`[[suites]]`": SuiteTable,
    "Scorers": ScorerTable,
}
PROFILE_MODELS: dict[str, type[BaseModel]] = {
    "The profile": profile.Profile,
    "`[models.NAME]`": profile.ModelProfile,
    "`judge`": profile.JudgeManner,
    "`latency`": profile.Latency,
    "`errors`": profile.Errors,
}
NAMED = {"name": "the name"}
HEAD = """\
name = "job"
[candidate]
endpoint = "sim"
model = "new"
[baseline]
endpoint = "sim"
model = "old"
"""
SUITE = """\
[[suites]]
name = "one"
role = "target"
dataset = "one.jsonl"
scorer = "exact_match"
"""


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str, *languages: str) -> Iterator[str]:
    for language, body in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if language in languages:
            yield body


def section(text: str, title: str) -> str:
    """From a heading to the next one of any level; a comment inside a fence is no heading."""
    lines, inside, fenced = [], False, False
    for line in text.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if not fenced and re.match("#+ ", line):
            inside = line.strip("# \n") == title
        elif inside:
            lines.append(line)
    assert lines, f"no section {title}"
    return "".join(lines)


def rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def defaults(text: str) -> dict[str, str]:
    """Key → what its table says is the default."""
    return {row[0].strip("`"): row[1].strip("`") for row in rows(text) if row[0].startswith("`") and len(row) > 2}


def said(value: Any) -> str:
    """A default as the tables of the docs print it."""
    if isinstance(value, BaseModel):
        return "{}"
    if value is None:
        return "none"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def field_defaults(model: type[BaseModel]) -> dict[str, str]:
    return {
        name: "required"
        if field.is_required()
        else said(field.get_default(call_default_factory=True, validated_data=NAMED))
        for name, field in model.model_fields.items()
    }


def toml_blocks(kind: str) -> list[Any]:
    found = [
        pytest.param(body, id=f"{path.relative_to(ROOT)}-{number}")
        for path in PAGES
        for number, body in enumerate(blocks(path.read_text(encoding="utf-8"), "toml"))
        if body.startswith(f"# {kind}\n")
    ]
    assert found
    return found


def whole(part: str) -> str:
    """The job that a part belongs to."""
    head = HEAD
    for arm in re.findall(r"^\[(candidate|baseline)\]$", part, re.MULTILINE):
        head = re.sub(rf"\[{arm}\]\n(.+\n){{2}}", "", head)
    return head + ("" if "[[suites]]" in part else SUITE) + part


def read_job(folder: Path, text: str) -> jobfile.JobFile:
    job = tomllib.loads(text)
    named = [suite.get(key) for suite in job["suites"] for key in ("dataset", "answers")]
    for file in named + [job[arm].get("outputs") for arm in Arm]:
        if file is not None and not file.startswith(shipped.PREFIX):
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text('{"input": "?"}\n')
    (folder / "job.toml").write_text(text)
    return jobfile.read(folder / "job.toml")


def read_rows(folder: Path, body: str) -> list[Case]:
    (folder / "rows.jsonl").write_text(body)
    spec = SuiteSpec(name="s", role=Role.TARGET, dataset="rows.jsonl", format="auto", scorers=())
    return list(suites.read_suite(folder / "rows.jsonl", spec, name_for_errors="rows.jsonl"))


def test_every_toml_block_says_what_it_is() -> None:
    kinds = {body.partition("\n")[0] for path in PAGES for body in blocks(path.read_text(encoding="utf-8"), "toml")}
    assert kinds == {"# job.toml", "# part of job.toml", "# config.toml", "# profile.toml"}


@pytest.mark.parametrize("text", toml_blocks("job.toml"))
def test_jobs_are_jobs(tmp_path: Path, text: str) -> None:
    for suite in read_job(tmp_path, text).job.suites:
        for spec in suite.scorers:
            build(spec)


@pytest.mark.parametrize("text", toml_blocks("part of job.toml"))
def test_parts_of_jobs_are_parts_of_jobs(tmp_path: Path, text: str) -> None:
    for suite in read_job(tmp_path, whole(text)).job.suites:
        for spec in suite.scorers:
            build(spec)


@pytest.mark.parametrize("text", toml_blocks("config.toml"))
def test_configurations_are_configurations(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    assert set(tomllib.loads(text).get("endpoints", {})) <= set(config.load(tmp_path / "config.toml", {}).endpoints)


@pytest.mark.parametrize("text", toml_blocks("profile.toml"))
def test_profiles_are_profiles(tmp_path: Path, text: str) -> None:
    (tmp_path / "profile.toml").write_text(text)
    assert set(profile.load(tmp_path / "profile.toml").models) == set(tomllib.loads(text)["models"])


def test_rows_are_cases_or_recorded_answers(tmp_path: Path) -> None:
    bodies = [body for path in PAGES for body in blocks(path.read_text(encoding="utf-8"), "json", "jsonl")]
    assert len(bodies) > len(list(SCORERS))
    for body in bodies:
        first = json.loads(body.splitlines()[0])
        (tmp_path / "recording.jsonl").write_text(body)
        if "prompt" in first and "output" in first:
            assert len(Replay.load(tmp_path / "recording.jsonl").models) == 2
        elif "question" in first and "options" in first:
            continue  # read with fields, by a test of its own
        elif "output" in first:
            assert len(RecordedAnswers(tmp_path / "recording.jsonl", model="m")) == 2
        else:
            assert read_rows(tmp_path, body)


@pytest.mark.parametrize("name", sorted({*suites.FORMATS} - {"native", "bfcl"}))
def test_every_format_is_described(tmp_path: Path, name: str) -> None:
    text = section(page("formats.md"), f"`{name}`")
    endings = {"jsonl": "jsonl", "yaml": "yaml", "csv": "csv"}
    for language, ending in endings.items():
        for body in blocks(text, language):
            (tmp_path / f"d.{ending}").write_text(body)
            spec = SuiteSpec(name="s", role=Role.TARGET, dataset="d", format="auto", scorers=())
            assert suites.detect(tmp_path / f"d.{ending}", spec, name_for_errors=f"d.{ending}") == name
            assert len(list(suites.read_suite(tmp_path / f"d.{ending}", spec, name_for_errors=f"d.{ending}"))) >= 1
    assert name == "parquet" or any(True for _ in blocks(text, *endings))


def test_the_table_of_formats_is_whole() -> None:
    table = page("formats.md").partition("\n## ")[0]
    assert sorted(row[0].strip("`") for row in rows(table) if row[0].startswith("`")) == sorted(suites.FORMATS)


def test_the_example_of_fields_reads_the_row_under_it(tmp_path: Path) -> None:
    text = section(page("formats.md"), "`fields`")
    (toml,), (row,) = blocks(text, "toml"), blocks(text, "json")
    (suite,) = read_job(tmp_path, HEAD + toml).job.suites
    (tmp_path / "rows.jsonl").write_text(row)
    (case,) = suites.read_suite(tmp_path / "rows.jsonl", suite, name_for_errors="rows.jsonl")
    assert case.input == "Question: Which gas do plants take in?\n\nA) Oxygen\nB) Carbon dioxide"
    assert (case.expected, case.category) == ("B", "biology")
    assert {*re.findall(r"`(\w+)`", text.partition("- The keys are ")[2].partition(". ")[0])} == {*FIELDS}


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_every_scorer_is_described(tmp_path: Path, name: str) -> None:
    text = section(page("job-file.md"), f"`{name}`")
    own = [field for field in fields(cast(Any, SCORERS[name])) if field.name not in shared_options()]
    wanted = {field.name: "required" if field.default is MISSING else said(field.default) for field in own}
    assert defaults(text) == wanted
    assert "Misleads" in text
    (toml,), (example,) = blocks(text, "toml"), blocks(text, "jsonl")
    (suite,) = read_job(tmp_path, HEAD + toml).job.suites
    assert name in {spec.name for spec in suite.scorers}
    for spec in suite.scorers:
        assert [build(spec).check(case) for case in read_rows(tmp_path, example)] == [None]


def shared_options() -> dict[str, str]:
    return {field.name: said(field.default) for field in fields(TextScorer)}


def test_options_of_every_scorer_are_described() -> None:
    assert defaults(section(page("job-file.md"), "Options of every scorer")) == shared_options()


def test_no_scorer_is_described_that_does_not_exist() -> None:
    described = re.findall(
        r"^### `(\w+)`$", page("job-file.md").partition("\n## Scorers")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert sorted(described) == sorted(SCORERS)


@pytest.mark.parametrize("title", MODELS)
def test_every_key_of_a_job_is_described(title: str) -> None:
    found = defaults(section(page("job-file.md"), title))
    if title == "`[[suites]]`":
        found = {key: value for key, value in found.items() if key not in set(Role)}
    wanted = field_defaults(MODELS[title])
    if title == "Scorers":
        wanted["label"] = "the name"
    assert found == wanted


def test_every_key_of_a_prompt_is_described() -> None:
    assert defaults(page("prompts.md")) == field_defaults(PromptTable)


def test_every_suite_that_comes_along_is_described() -> None:
    described = {row[0].strip("`"): (row[1], row[2], row[4].strip("`")) for row in rows(page("suites.md"))}
    del described["data set"]
    assert sorted(described) == [f"{shipped.PREFIX}{name}" for name in shipped.names()]
    for name, (count, categories, job) in described.items():
        lines = shipped.path_of(name).read_text(encoding="utf-8").splitlines()
        assert (str(len(lines)), categories) == (count, ", ".join({json.loads(line)["category"]: 0 for line in lines}))
        assert (ROOT / job).exists()


def test_every_key_of_a_recorded_answer_is_described() -> None:
    described = [row[0] for row in rows(section(page("job-file.md"), "Recorded answers")) if row[0].startswith("`")]
    assert sorted(re.findall(r"\w+", " ".join(described))) == sorted(ANSWER_KEYS)


def test_every_key_of_a_case_is_described() -> None:
    assert list(defaults(section(page("job-file.md"), "Native case rows"))) == list(KEYS)


def test_every_role_is_described() -> None:
    described = [row[0].strip("`") for row in rows(section(page("job-file.md"), "`[[suites]]`"))]
    assert set(Role) <= set(described)


def test_every_gate_is_described_with_its_defaults() -> None:
    text, gates = section(page("job-file.md"), "Gates"), GatesTable()
    table = {row[0].strip("`"): (row[1].strip("`"), row[2].strip("`")) for row in rows(text) if len(row) == 4}
    del table["gate"]
    for name in GATES:
        given = getattr(gates, name).model_dump(exclude={"required", "waive"})
        assert [(key, said(value)) for key, value in given.items()] == [table.pop(name)]
    assert not table
    assert {key: value for key, value in defaults(text).items() if key in {"required", "waive"}} == {
        "required": "true",
        "waive": "none",
    }
    assert defaults(section(page("job-file.md"), "`evidence`")) == {"evidence": said(gates.evidence)}


@pytest.mark.parametrize("name", GATES)
def test_every_gate_is_explained(name: str) -> None:
    told = [row[0] for row in rows(section(page("decisions.md"), f"`{name}`"))]
    assert told == ["", "claim", "evidence", "method", "n at least", "INCONCLUSIVE"]


@pytest.mark.parametrize("title", PROFILE_MODELS)
def test_every_key_of_a_profile_is_described(title: str) -> None:
    assert defaults(section(page("rehearsal.md"), title)) == field_defaults(PROFILE_MODELS[title])


def test_the_built_in_models_are_described() -> None:
    found = {row[0].strip("`"): row[1:] for row in rows(section(page("rehearsal.md"), "The built-in models"))}
    del found["model"]
    for name, model in profile.Profile.default().models.items():
        assert f"`{name}`" in section(page("rehearsal.md"), "The built-in models")
        if model.judge is not None:
            continue
        (other,) = set(model.categories.values())
        median = f"{1000 * model.latency.median_s:.0f} ms"
        assert found.pop(name) == [f"{model.accuracy:.0%}", f"{other:.0%}", median]
    assert not found


@pytest.mark.parametrize(
    ("command", "name", "title"),
    [(run_command, "job-file.md", "Running a job"), (sim_command, "rehearsal.md", "Rehearsal")],
    ids=["run", "sim"],
)
def test_every_option_of_a_command_is_described(command: click.Command, name: str, title: str) -> None:
    options = {each.opts[0] for each in command.params if isinstance(each, click.Option) and not each.hidden}
    described = {row[0].strip("`") for row in rows(section(page(name), title))} - {"option"}
    assert described == options


@pytest.mark.parametrize("path", [ROOT / "README.md", DOCS / "job-file.md"], ids=["README", "job-file"])
def test_exit_codes_are_those_of_the_command_line(path: Path) -> None:
    found = re.search(r"Exit\scodes:\s(.*?)\.\s*$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    told = {int(code): words for code, words in re.findall(r"(\d+)\s([^,]+)", found[1])}
    others = (cli.FAILED, cli.USAGE, cli.BUSY, cli.UNUSABLE, cli.INTERRUPTED)
    assert list(told) == [*DECISIONS.values(), *others]
    assert {word: code for code, word in told.items() if word in DECISIONS} == DECISIONS


def markdown() -> list[Path]:
    return [
        path
        for path in sorted(ROOT.rglob("*.md"))
        if not any(part.startswith(".") or part in HIDDEN_OR_BUILT for part in path.relative_to(ROOT).parts)
    ]


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", markdown(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_the_house_style_of_the_pages(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\N{EM DASH}" not in text
    assert "TODO" not in text


def scores_of(items: list[dict[str, Any]], model: str) -> list[float]:
    scorer = build(ScorerSpec(name="numeric", label="numeric"))
    cases = [Case(suite="gsm8k", id=each["id"], category="all", input="", expected=each["expected"]) for each in items]
    answers = [Completion(text=each["outputs"][model]["output"]) for each in items]
    return [cast(float, scorer.score(*pair).value) for pair in zip(cases, answers, strict=True)]


def evidence_of(candidate: list[float], baseline: list[float]) -> Evidence:
    """What a job's outcomes would say if these were its only suite's scores."""
    each = {Arm.CANDIDATE: array("d", candidate), Arm.BASELINE: array("d", baseline)}
    n = len(candidate)
    totals = ArmTotals(
        requests=n,
        ok=n,
        model_error=0,
        infra_error=0,
        attempts=n,
        retries={},
        kinds={},
        scoring_errors=0,
        repaired=0,
        served_models=(),
        fingerprints=(),
        input_tokens=None,
        output_tokens=None,
    )
    table = ScoreTable(
        suite="gsm8k",
        role=Role.TARGET,
        label="numeric",
        scorer="numeric",
        primary=True,
        pass_at=1.0,
        categories=("all",),
        category=array("q", [0] * n),
        arms={arm: ArmScores(mean=scores, low=scores, high=scores) for arm, scores in each.items()},
    )
    latency = {
        arm: LatencySamples(seconds=array("d", [0.02] * n), scheduled=array("d", [0.02] * n), first_token=array("d"))
        for arm in Arm
    }
    return Evidence(tables=(table,), latency=latency, totals=dict.fromkeys(Arm, totals), outcomes=2 * n, simulated=True)


def the_example(folder: Path) -> Job:
    (text,) = (body for body in blocks(page("decisions.md"), "toml") if body.startswith("# job.toml\n"))
    return read_job(folder, text).job


def test_the_worked_example_is_what_evalsvc_says(shared: Path, tmp_path: Path) -> None:
    items = [json.loads(line) for line in (shared / "data/01_gsm8k/items.jsonl").read_text().splitlines()]
    known = json.loads((shared / "data/KNOWN.json").read_text())["gsm8k_6b_pair"]
    text = section(page("decisions.md"), "One worked example")
    right, wins, losses = known["candidate_correct"], known["only_candidate"], known["only_baseline"]
    assert [row[1:] for row in rows(text)][1:] == [
        [str(known["both"]), str(wins), str(right)],
        [str(losses), str(known["neither"]), str(known["n"] - right)],
        [str(known["baseline_correct"]), str(known["n"] - known["baseline_correct"]), str(known["n"])],
    ]
    assert f"Candidate {right} of {known['n']}, {known['candidate_acc']:.1%}" in text
    assert f"baseline {known['baseline_correct']} of {known['n']}, {known['baseline_acc']:.1%}" in text
    assert f"wins {wins} cases, loses {losses} and ties {known['both'] + known['neither']}" in text
    job = the_example(tmp_path)
    both = [scores_of(items, job.arms[arm].model) for arm in (Arm.CANDIDATE, Arm.BASELINE)]
    results = {each.name: each for each in judge_all(evidence_of(both[0], both[1]), job)}
    assert decide(tuple(results.values())).decision == "ITERATE"
    for name in ("target_improvement", "exact_match", "general_regression"):
        assert re.search(rf"^{name} +{results[name].verdict} +{re.escape(results[name].reason)}$", text, re.MULTILINE)
    assert f"`p_pass` {results['target_improvement'].p_pass:.4f}" in text
    assert (results["latency_p99"].needs or "?") in " ".join(text.split())
    point = judge_all(evidence_of(both[0], both[1]), replace(job, evidence="point"))[0]
    assert f"{point.extra['point_rule_false_pass']:.1%} of the time" in text
    first = [place >= 0 for place in planned_positions({"gsm8k": known["n"]}, seed=job.seed, limit=20)["gsm8k"]]
    few = judge_all(
        evidence_of(*([each for each, taken in zip(arm, first, strict=True) if taken] for arm in both)), job
    )
    assert f"{few[0].name}  {few[0].verdict}  {few[0].reason}\n" in text


def test_every_key_of_a_record_is_explained(tmp_path: Path) -> None:
    job = the_example(tmp_path)
    seen = evidence_of([1.0, 0.0], [0.0, 0.0])
    for evidence in ("interval", "point"):
        judged = judge_all(seen, replace(job, evidence=evidence))
        built = record.build(
            job,
            "id",
            seen,
            judged,
            decide(judged),
            started_at="",
            finished_at="",
            environment={},
            costs={},
            warnings=(),
        )
        text = page("decisions.md").partition("## The decision record")[2]
        tables = (built, built["job"], built["arms"]["candidate"], *built["gates"], *built["suites"], built["evidence"])
        assert {key for table in tables for key in table} <= set(re.findall(r"`(\w+)`", text))


def test_the_numbers_of_cases_are_those_of_the_statistics() -> None:
    least = {
        "target_improvement": next(n for n in range(2, 99) if (tango(n, 0, n).low or 0) > 0.05),
        "general_regression": next(n for n in range(2, 99) if (tango(0, 0, n).low or 0) > -0.05),
        "exact_match": cases_to_prove_rate(0.85),
        "latency_p99": cases_to_prove_quantile(0.99),
        "adversarial_robustness": cases_to_prove_rate(0.90),
        "schema_compliance": cases_to_prove_rate(0.99),
    }
    text = page("decisions.md")
    for name, n in least.items():
        table = {row[0]: row[1] for row in rows(section(text, f"`{name}`"))}
        assert table["n at least"].partition(",")[0] == str(n)
    for better in (0.08, 0.10, 0.15):
        needed = cases_to_resolve_mean(0.2 - better**2, better, 0.05)
        assert re.search(rf"\b{better * 100:.0f} points (needs )?{needed:,}\b", text)
    drops = [cases_to_resolve_mean(discordance, 0.0, -0.05) for discordance in (0.05, 0.1, 0.2, 0.4)]
    assert "{}, {}, {} or {:,} if".format(*drops) in text
    assert f"true rate of 90%, {cases_to_resolve_rate(0.90, 0.85)} cases" in text
    assert f"true rate of 95%, {cases_to_resolve_rate(0.95, 0.90)} cases" in text
    assert f"{point_rule_pass_probability(100, 0.2, 0.05):.1%} of the time" in page("job-file.md")


@pytest.mark.parametrize(("threshold", "n", "passes"), [(0.85, 100, 93), (0.85, 450, 398), (0.90, 300, 281)])
def test_the_passes_quoted_are_the_fewest_that_prove_a_rate(threshold: float, n: int, passes: int) -> None:
    text = page("decisions.md")
    assert re.search(rf"\b{n}( cases)?, {passes}\b", text)
    low, lower = ((clopper_pearson(k, n).low or 0.0) for k in (passes, passes - 1))
    assert lower <= threshold < low
