"""The suites that come with evalsvc: every case can be scored, its right answer scores 1 and the wrong ones 0."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import jsonschema_rs
import orjson
import pytest

import evalsvc.scoring  # noqa: F401 - importing the package registers its scorers
from evalsvc import jobfile
from evalsvc.core.records import Case, Completion, SuiteSpec
from evalsvc.errors import JobError
from evalsvc.jobfile import shipped
from evalsvc.scoring.base import Scorer, build
from evalsvc.suites import read_suite

ROOT = Path(__file__).resolve().parents[4]
#: By suite: the example whose job uses it, and its cases by category.
SUITES = {
    "general_knowledge": (
        "general_knowledge",
        dict.fromkeys(("geography", "science", "history", "language", "mathematics"), 10),
    ),
    "ab_prompts": ("ab_report", dict.fromkeys(("explain", "rewrite", "summarise", "draft"), 5)),
    "extraction": ("extraction", dict.fromkeys(("contact", "event", "order"), 8)),
    "injection": ("safety", dict.fromkeys(("override", "role-play", "smuggled", "pressure"), 5)),
    "refusal": ("safety", dict.fromkeys(("privacy", "instructions", "harm", "harmless"), 5)),
}


def spec_of(name: str) -> SuiteSpec:
    job = jobfile.read(ROOT / "examples" / SUITES[name][0] / "job.toml").job
    return next(suite for suite in job.suites if suite.dataset == f"shipped:{name}")


def cases_of(name: str) -> list[Case]:
    return list(read_suite(shipped.path_of(f"shipped:{name}"), spec_of(name), name_for_errors=name))


def scorers_of(name: str) -> list[Scorer]:
    return [build(spec) for spec in spec_of(name).scorers]


def right(case: Case) -> str:
    if isinstance(case.expected, dict):
        return orjson.dumps(case.expected).decode()
    return case.expected if isinstance(case.expected, str) else str(case.expected[0])


def test_every_suite_that_comes_along_has_an_example() -> None:
    assert shipped.names() == sorted([*SUITES, "tool_calling"])


@pytest.mark.parametrize("name", SUITES)
def test_cases_are_what_is_promised_and_ask_different_things(name: str) -> None:
    cases = cases_of(name)
    assert Counter(case.category for case in cases) == SUITES[name][1]
    assert len({str(case.input) for case in cases}) == len(cases)


@pytest.mark.parametrize("name", SUITES)
def test_the_right_answer_scores_1(name: str) -> None:
    for case in cases_of(name):
        accepted = case.expected if isinstance(case.expected, list) else [right(case)]
        for scorer in scorers_of(name):
            assert scorer.check(case) is None
            for text in accepted:
                assert scorer.score(case, Completion(text=text)).value == pytest.approx(1.0), case.id


@pytest.mark.parametrize("name", SUITES)
def test_the_right_answer_of_another_case_passes_only_where_it_is_the_same(name: str) -> None:
    spec, cases = spec_of(name), cases_of(name)
    scorer = build(spec.scorers[0])
    for case in cases:
        for other in cases:
            score = scorer.score(case, Completion(text=right(other))).value
            assert score is not None
            assert (score >= spec.scorers[0].pass_at) == (right(other) == right(case)), (case.id, other.id)


def test_letters_are_spread_and_say_what_is_right() -> None:
    cases = cases_of("general_knowledge")
    assert set(Counter(case.expected for case in cases).values()) <= {12, 13}
    for case in cases:
        lines = str(case.input).splitlines()
        options = dict(line.split(") ", 1) for line in lines[1:5])
        assert list(options) == list("ABCD")
        assert len(set(options.values())) == 4
        assert options[case.expected] == case.metadata["answer"]


def test_what_is_extracted_keeps_its_schema() -> None:
    for case in cases_of("extraction"):
        assert jsonschema_rs.is_valid(case.schema, case.expected)
        assert not jsonschema_rs.is_valid(case.schema, {})


@pytest.mark.parametrize("broken", ["nothing", "../general_knowledge", ""])
def test_a_suite_that_does_not_come_along(tmp_path: Path, broken: str) -> None:
    text = (ROOT / "examples/extraction/job.toml").read_text()
    (tmp_path / "job.toml").write_text(text.replace("shipped:extraction", f"shipped:{broken}"))
    with pytest.raises(JobError, match="known: ab_prompts, ") as caught:
        jobfile.read(tmp_path / "job.toml")
    assert caught.value.key == "suites[0].dataset"


def test_an_upload_has_to_bring_it() -> None:
    raw = (ROOT / "examples/extraction/job.toml").read_bytes()
    with pytest.raises(JobError, match="did not come with the job"):
        jobfile.read_upload(raw, {})
    path = shipped.path_of("shipped:extraction")
    assert jobfile.read_upload(raw, {"shipped:extraction": path}).files == {"shipped:extraction": path}
