"""Data files of others, straight out of the wheels that hold them: each is read whole, or refused for its own reason.

What they are is fixed by hash (requirements/data.txt). `benchmarks/formats.py` reads every one; these are of each sort
of outcome that it finds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from evalsvc.core.records import Role, SuiteSpec
from evalsvc.errors import JobError
from evalsvc.suites import read_suite
from evalsvc.suites.reading import WITH_ANSWERS, detect

#: Where `make test` puts the wheels; their folders of data.
WHEELS = Path(sys.prefix) / "data"
REGISTRY = ("evals", "evals/registry")
BFCL = ("bfcl_eval", "bfcl_eval/data")
ANSWERS = "possible_answer"

#: File, format, cases.
READ = [
    ("data/2d_movement/samples.jsonl", "openai-evals", 100),
    ("data/abstract2title/samples.jsonl", "openai-evals", 254),
    ("data/anagrams/samples.jsonl", "openai-evals", 357),
    ("data/balance_chemical_equation/samples.jsonl", "openai-evals", 100),
    ("data/categorize_with_distractors/samples.jsonl", "openai-evals", 102),
    ("data/chess/match.jsonl", "openai-evals", 101),
    ("data/coqa/match.jsonl", "openai-evals", 5),
    ("data/coqa/samples.jsonl", "openai-evals", 9),
    ("data/crepe/samples.jsonl", "openai-evals", 1520),
    ("data/dhammapada-reference/samples.jsonl", "openai-evals", 17),
    ("data/integer-sequence-predictions/notable-sequences.jsonl", "openai-evals", 120),
    ("data/japanese-decimal-units/samples.jsonl", "openai-evals", 21),
    ("data/logic-grid/logic-grid.jsonl", "openai-evals", 90),
    ("data/logiqa/logiqa.jsonl", "openai-evals", 1354),
    ("data/numerical-cabbala-casanova/samples.jsonl", "native", 20),
    ("data/pantone_to_hex/samples.jsonl", "openai-evals", 1341),
    ("data/russe/samples.jsonl", "openai-evals", 100),
    ("data/skill_acquisition/miskito/variants/miskito_train_all.jsonl", "openai-evals", 3),
    ("data/test_fuzzy_match/samples.jsonl", "openai-evals", 3),
    ("data/test_modelgraded/humor_people_jp.jsonl", "native", 118),
    ("data/test_modelgraded/joke_fruits.jsonl", "native", 10),
    ("data/theory_of_mind/tomi/test.jsonl", "openai-evals", 5993),
]
#: File, key, line, how the reason begins.
REFUSED = [
    ("data/Chinese_character_riddles/samples.jsonl", None, 1, "not JSON: broken off or malformed at column 204"),
    ("data/anagrams/fewshot.jsonl", None, 1, "no known format has rows of these keys: sample"),
    ("data/ballots/samples02.jsonl", None, 1, "no known format has rows of these keys: proposal_text"),
    ("data/coq-editing/samples.jsonl", "criteria", 1, 'unknown key "criteria"'),
    ("data/make_me_say/very-hard.jsonl", "input", 1, "must be a string or an array of at least one message, got"),
    ("data/non-compound-names/samples.jsonl", "id", 163, 'duplicate id "46d63fbc021f7930": an earlier row without an'),
    (
        "data/skill_acquisition/miskito/knowledge_base/miskito_language.jsonl",
        None,
        1,
        "no known format has rows of these keys: title, content",
    ),
    (
        "data/skill_acquisition/miskito/qa_pairs_by_lesson.jsonl",
        None,
        1,
        "no known format has rows of these keys: lesson, qa_pairs",
    ),
    ("data/test_metaeval/joke_fruits_labeled.jsonl", "completion", 1, 'unknown key "completion"'),
    (
        "data/test_multiio/battles/joke_animals_vs_fruits.jsonl",
        None,
        1,
        "no known format has rows of these keys: input1, input2",
    ),
    ("eval_sets/mmmu.yaml", "tests", None, "missing"),
    ("modelgraded/keywords.yaml", "input", 20, "stands twice in the same object"),
]
#: The same of BFCL, whose answers stand beside its questions where there are any.
BFCL_READ = [
    ("BFCL_v4_irrelevance.json", "bfcl", 240),
    ("BFCL_v4_live_irrelevance.json", "bfcl", 884),
    ("BFCL_v4_live_multiple.json", "bfcl", 1053),
    ("BFCL_v4_live_parallel.json", "bfcl", 16),
    ("BFCL_v4_live_parallel_multiple.json", "bfcl", 24),
    ("BFCL_v4_live_simple.json", "bfcl", 258),
    ("BFCL_v4_multiple.json", "bfcl", 200),
    ("BFCL_v4_parallel.json", "bfcl", 200),
    ("BFCL_v4_parallel_multiple.json", "bfcl", 200),
    ("BFCL_v4_simple_python.json", "bfcl", 400),
    ("unused_datasets/question/BFCL_v4_sql.json", "bfcl", 100),
]
BFCL_REFUSED = [
    ("BFCL_v4_format_sensitivity.json", None, 1, "not JSON: broken off or malformed at column 2"),
    ("BFCL_v4_live_relevance.json", "ground_truth", 1, 'no ground truth of "live_relevance_0-0-0", here or in every'),
    ("BFCL_v4_memory.json", None, 1, "a category that plays with an environment (multi-turn"),
    ("BFCL_v4_multi_turn_base.json", None, 1, "a category that plays with an environment (multi-turn"),
    ("BFCL_v4_multi_turn_long_context.json", None, 1, "a category that plays with an environment (multi-turn"),
    (
        "BFCL_v4_simple_java.json",
        "function[0].parameters.properties.params.type",
        2,
        "must be one of string, integer, number, boolean, array",
    ),
    (
        "BFCL_v4_simple_javascript.json",
        "function[0].parameters.properties.inputField.type",
        1,
        "must be one of string, integer, number, boolean, array",
    ),
    ("BFCL_v4_web_search.json", None, 1, "a category that plays with an environment (multi-turn"),
    (
        "memory_prereq_conversation/memory_notetaker.json",
        None,
        1,
        "a category that plays with an environment (multi-turn",
    ),
    ("multi_turn_func_doc/math_api.json", None, 1, "no known format has rows of these keys: name, description"),
    ("multi_turn_func_doc/web_search.json", None, 1, "no known format has rows of these keys: name, description"),
    (
        "unused_datasets/executable_eval_sanity_check/api_status_check_ground_truth_executable.json",
        None,
        1,
        "no known format has rows of these keys: idx, ground_truth",
    ),
    (
        "unused_datasets/question/BFCL_v4_chatable.json",
        "ground_truth",
        1,
        'no ground truth of "", here or in every other row',
    ),
    (
        "unused_datasets/question/BFCL_v4_exec_simple.json",
        "ground_truth[0]",
        1,
        "must be an object {function: {argument: [accepted",
    ),
    (
        "unused_datasets/question/BFCL_v4_multi_turn_composite.json",
        None,
        1,
        "a category that plays with an environment (multi-turn",
    ),
    (
        "unused_datasets/question/BFCL_v4_rest.json",
        "ground_truth",
        1,
        "must be an array of objects {function: {argument: [accepted",
    ),
]

Unpack = Callable[..., Path]


@pytest.fixture
def unpack(tmp_path: Path) -> Unpack:
    """Takes one file out of a wheel, and its answers if it has any and they are wanted."""

    def take(wheel: tuple[str, str], name: str, *, answers: bool = True) -> Path:
        package, folder = wheel
        found = next(WHEELS.glob(f"{package}-*.whl"), None)
        if found is None:
            pytest.skip(f"no wheel of {package} in {WHEELS}: `make test` could not fetch it")
        path = Path(folder, name)
        with ZipFile(found) as archive:
            for beside in (path.parent, path.parent.parent):
                member = beside / ANSWERS / path.name
                if answers and member.as_posix() in archive.namelist():
                    archive.extract(member.as_posix(), tmp_path)
                    (tmp_path / member).rename(tmp_path / "answers")
                    break
            return Path(archive.extract(path.as_posix(), tmp_path))

    return take


def read(path: Path, answers: Path) -> tuple[str, int]:
    """The format a file is read in, and its cases."""
    spec = SuiteSpec(name="s", role=Role.TARGET, dataset=path.name, format="auto", scorers=())
    name = detect(path, spec, name_for_errors=path.name)
    theirs = (answers, ANSWERS) if name in WITH_ANSWERS and answers.exists() else None
    return name, sum(1 for _ in read_suite(path, spec, name_for_errors=path.name, answers=theirs))


@pytest.mark.parametrize(("name", "wanted", "cases"), READ)
def test_samples_of_evals_are_read(unpack: Unpack, tmp_path: Path, name: str, wanted: str, cases: int) -> None:
    assert read(unpack(REGISTRY, name), tmp_path / "answers") == (wanted, cases)


@pytest.mark.parametrize(("name", "wanted", "cases"), BFCL_READ)
def test_questions_of_bfcl_are_read(unpack: Unpack, tmp_path: Path, name: str, wanted: str, cases: int) -> None:
    assert read(unpack(BFCL, name), tmp_path / "answers") == (wanted, cases)


@pytest.mark.parametrize(
    ("wheel", "name", "key", "line", "why"),
    [*((REGISTRY, *row) for row in REFUSED), *((BFCL, *row) for row in BFCL_REFUSED)],
)
def test_what_is_not_read_is_refused_for_its_own_reason(
    unpack: Unpack, tmp_path: Path, wheel: tuple[str, str], name: str, key: str | None, line: int | None, why: str
) -> None:
    path = unpack(wheel, name)
    with pytest.raises(JobError) as caught:
        read(path, tmp_path / "answers")
    error = caught.value
    assert (error.file, error.key, error.line) == (path.name, key, line)
    assert error.message.startswith(why)


@pytest.mark.parametrize(("name", "_format", "_cases"), [row for row in BFCL_READ if "irrelevance" not in row[0]])
def test_questions_of_bfcl_without_their_answers_are_refused(
    unpack: Unpack, tmp_path: Path, name: str, _format: str, _cases: int
) -> None:
    path = unpack(BFCL, name, answers=False)
    with pytest.raises(JobError, match="no ground truth of"):
        read(path, tmp_path / "answers")
