from math import exp
from pathlib import Path

import pytest
from pydantic import ValidationError

from evalsvc.errors import JobError
from evalsvc.simulator import profile
from evalsvc.simulator.profile import Errors, Latency, Profile

GOOD = """
seed = 7
answers = ["a.jsonl", "sub/b.jsonl"]
[models.one]
accuracy = 1
categories = { edge = 0.25 }
latency = { median_s = 0.5, sigma = 0.3, min_s = 0.1 }
errors = { rate_429 = 0.5, retry_after_s = 2 }
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "profile.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_profile_is_read_with_answers_relative_to_it(tmp_path: Path) -> None:
    loaded = profile.load(write(tmp_path, GOOD))
    assert loaded.seed == 7
    assert loaded.answers == (tmp_path / "a.jsonl", tmp_path / "sub/b.jsonl")
    one = loaded.models["one"]
    assert (one.skill("edge"), one.skill("another")) == (0.25, 1.0)
    assert one.errors.rate_429 == 0.5
    assert one.flaky == 0


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("seed = 7", "seed = 7.5"), "seed"),
        (("seed = 7", 'seed = "7"'), "seed"),
        (("seed = 7", "sede = 7"), "sede"),
        (('"a.jsonl", ', '"a.jsonl", 3, '), "answers[1]"),
        (("accuracy = 1", ""), "models.one.accuracy"),
        (("accuracy = 1", "accuracy = 1.01"), "models.one.accuracy"),
        (("accuracy = 1", "accuracy = true"), "models.one.accuracy"),
        (("accuracy = 1", "accuracy = nan"), "models.one.accuracy"),
        (("accuracy = 1", "accuracy = 1\nspeed = 3"), "models.one.speed"),
        (("edge = 0.25", "edge = -0.1"), "models.one.categories.edge"),
        (("median_s = 0.5", "median_s = inf"), "models.one.latency.median_s"),
        (("median_s", "medain_s"), "models.one.latency.medain_s"),
        (("retry_after_s", "rate_4xx"), "models.one.errors.rate_4xx"),
        (("retry_after_s = 2", "rate_5xx = 0.6"), "models.one.errors"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, change: tuple[str, str], key: str) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(JobError) as caught:
        profile.load(path)
    assert (caught.value.key, caught.value.file) == (key, str(path))


def test_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        profile.load(write(tmp_path, "[models]\n"))
    assert caught.value.key == "models"


@pytest.mark.parametrize(("text", "line"), [("seed = 1\nseed = 2\n", 2), ("\n\nseed : 1\n", 3), (b"\xff", None)])
def test_what_is_no_toml_is_an_error_with_its_line(tmp_path: Path, text: str | bytes, line: int | None) -> None:
    with pytest.raises(JobError) as caught:
        profile.load(write(tmp_path, text))
    assert caught.value.line == line


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"none\.toml: cannot be read"):
        profile.load(tmp_path / "none.toml")


def test_latency_is_lognormal_with_a_floor() -> None:
    latency = Latency(median_s=0.2, sigma=0.5, min_s=0.15)
    assert latency.at(0.5) == pytest.approx(0.2)
    assert latency.at(0.8413447460685429) == pytest.approx(0.2 * exp(0.5))
    assert latency.at(0.01) == 0.15
    assert Latency().at(0.99) == 0


def test_shares_of_one_draw_may_add_up_to_one_but_no_more() -> None:
    assert Errors(rate_429=0.5, rate_hang=0.5, rate_refused=1).rate_hang == 0.5
    with pytest.raises(ValidationError, match="more than 1"):
        Errors(rate_truncated=0.5, rate_empty=0.51)


def test_the_default_profile_has_the_skills_its_names_promise() -> None:
    models = Profile.default().models
    arms = {"sim-baseline", "sim-candidate", "sim-regressed", "sim-twin"}
    assert set(models) == arms | {"sim-judge", "sim-judge-gullible"}
    assert {name for name in models if models[name].judge is None} == arms
    baseline, candidate, regressed = (models[f"sim-{name}"] for name in ("baseline", "candidate", "regressed"))
    assert models["sim-twin"] == baseline
    assert candidate.skill("edge") > baseline.skill("edge") + 0.15
    assert candidate.skill("two-step") >= baseline.skill("two-step")
    assert regressed.skill("edge") > baseline.skill("edge") + 0.1
    assert regressed.skill("two-step") < baseline.skill("two-step") - 0.2
