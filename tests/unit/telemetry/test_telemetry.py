"""What is shown of jobs: the latest only, as the database and the engine tell it; hostile names change nothing."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from time import thread_time
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from counted import A, B, a_job, an_outcome, lost, shown, value
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsvc.core.events import NoTelemetry
from evalsvc.core.events import Telemetry as Told
from evalsvc.core.progress import Progress
from evalsvc.core.records import GATES, Arm, Outcome, Role
from evalsvc.core.states import JobState
from evalsvc.telemetry import Telemetry, make_telemetry
from evalsvc.telemetry import telemetry as module

RECORD: dict[str, Any] = {
    "decision": "HOLD",
    "gates": [{"name": name, "verdict": "PASS"} for name in GATES],
    "arms": {
        "candidate": {
            "latency": {"n": 2, "p50": 0.25, "p95": 3.0, "p99": None},
            "tokens": {"input": 7, "output": None},
            "cost": 0.5,
        },
        "baseline": {"latency": {"n": 0, "p50": None, "p95": None, "p99": None}, "tokens": {}, "cost": None},
    },
}


@dataclass
class Load:
    in_flight: int
    limit: int
    reason: str = ""


@pytest.fixture
def telemetry() -> Telemetry:
    return make_telemetry()


def test_it_is_what_the_engine_tells() -> None:
    told: list[Told] = [make_telemetry(), NoTelemetry()]
    for each in told:
        each.committed(0.1)
        each.lagged(0.0)
    assert [each.follow("j", a_job(), Progress(), {}) is None for each in told] == [False, True]


def test_commits_and_lags_are_counted(telemetry: Telemetry) -> None:
    telemetry.committed(0.004)
    telemetry.lagged(0.0)
    telemetry.lagged(0.3)
    assert value(telemetry, "evalsvc_store_commit_seconds_bucket", le="0.005") == 1
    assert value(telemetry, "evalsvc_event_loop_lag_seconds_count") == 2
    assert value(telemetry, "evalsvc_event_loop_lag_seconds_sum") == 0.3


def test_every_state_is_shown_from_the_start(telemetry: Telemetry) -> None:
    assert [value(telemetry, "evalsvc_jobs", state=state) for state in JobState] == [0] * 7
    telemetry.census({JobState.DONE: 3})
    telemetry.census({JobState.QUEUED: 2})
    assert value(telemetry, "evalsvc_jobs", state="queued") == 2
    assert value(telemetry, "evalsvc_jobs", state="done") == 0


def test_progress_is_read_when_somebody_asks(telemetry: Telemetry) -> None:
    progress = Progress()
    telemetry.follow("j1", a_job(), progress, {})
    assert value(telemetry, "evalsvc_job_progress_ratio") is None  # how much there is to do is not known yet
    progress.total = 8
    assert value(telemetry, "evalsvc_job_progress_ratio", eval_job="j1") == 0
    progress.recorded = 2
    assert value(telemetry, "evalsvc_job_progress_ratio", eval_job="j1") == 0.25


@pytest.mark.parametrize("filed", [JobState.RUNNING, JobState.DECIDING])
def test_a_pause_that_cannot_be_filed_is_shown(telemetry: Telemetry, filed: JobState) -> None:
    def jobs() -> list[float | None]:
        return [value(telemetry, "evalsvc_jobs", state=state) for state in (filed, "paused")]

    progress = Progress()
    telemetry.follow("j1", a_job(), progress, {})
    telemetry.filed("j1", a_job(), filed)
    progress.paused = "no room left on the disk"
    assert jobs() == [0, 0]  # they are not counted yet
    telemetry.census({filed: 2})
    assert jobs() == [1, 1]
    assert value(telemetry, "evalsvc_job_state", eval_job="j1", state="paused") == 1
    assert value(telemetry, "evalsvc_job_state", eval_job="j1", state=filed) is None
    progress.paused = None
    assert jobs() == [2, 0]
    assert value(telemetry, "evalsvc_job_state", eval_job="j1", state=filed) == 1
    progress.paused = "no room left on the disk"
    telemetry.filed("j1", a_job(), JobState.CANCELLED)
    assert value(telemetry, "evalsvc_job_state", eval_job="j1", state="cancelled") == 1


def test_endpoints_are_read_when_somebody_asks(telemetry: Telemetry) -> None:
    shared, own = Load(3, 64), Load(2, 8)
    for job_id, load in (("j1", shared), ("j2", shared), ("j3", own)):
        telemetry.follow(job_id, a_job(), Progress(loads={"up": load}), {})
    assert value(telemetry, "evalsvc_requests_in_flight", endpoint="up") == 5  # one that two jobs share counts once
    assert value(telemetry, "evalsvc_request_limit", endpoint="up") == 72
    shared.in_flight = own.in_flight = 0
    assert value(telemetry, "evalsvc_requests_in_flight", endpoint="up") == 0
    assert value(telemetry, "evalsvc_request_limit", endpoint="up") == 8


def test_a_job_that_was_decided_before_is_shown_by_its_record(telemetry: Telemetry) -> None:
    telemetry.filed("j1", a_job(), JobState.DONE, RECORD)
    telemetry.answered("j1", [(A, "s", "a", 3, 4)])
    assert value(telemetry, "evalsvc_job_decision", eval_job="j1", decision="HOLD") == 1
    assert value(telemetry, "evalsvc_job_gate", eval_job="j1") == 7
    assert value(telemetry, "evalsvc_job_state", eval_job="j1", state="done") == 1
    assert value(telemetry, "evalsvc_job_progress_ratio", eval_job="j1") == 1
    assert value(telemetry, "evalsvc_job_pass_ratio", suite="s", category="a") == 0.75
    assert value(telemetry, "evalsvc_job_latency_seconds", arm="candidate", q="0.5") == 0.25
    assert value(telemetry, "evalsvc_job_latency_seconds", arm="candidate", q="0.99") == inf
    assert value(telemetry, "evalsvc_job_latency_seconds", arm="baseline") is None
    assert value(telemetry, "evalsvc_job_tokens", arm="candidate", gen_ai_token_type="input") == 7
    assert value(telemetry, "evalsvc_job_tokens", arm="candidate", gen_ai_token_type="output") is None
    assert value(telemetry, "evalsvc_job_cost", arm="candidate") == 0.5
    assert value(telemetry, "evalsvc_job_cost", arm="baseline") is None
    assert value(telemetry, "evalsvc_job_info", eval_job="j1", name="a job", gen_ai_request_model="m-candidate") == 1


def test_only_the_present_state_and_verdicts_are_shown(telemetry: Telemetry) -> None:
    telemetry.filed("j1", a_job(), JobState.RUNNING)
    assert value(telemetry, "evalsvc_job_decision") is None
    assert value(telemetry, "evalsvc_job_gate") is None
    telemetry.filed("j1", a_job(), JobState.PAUSED)
    assert value(telemetry, "evalsvc_job_state") == 1
    assert value(telemetry, "evalsvc_job_state", state="paused") == 1


def test_what_was_stored_before_is_counted_with_what_comes(telemetry: Telemetry) -> None:
    telemetry.filed("j1", a_job(), JobState.QUEUED)
    telemetry.answered("j1", [(A, "s", "a", 0, 3)])
    listener = telemetry.follow("j1", a_job(), Progress(), {A: (1.0, 2.0), B: None})
    listener.add([an_outcome(1.0)])
    assert value(telemetry, "evalsvc_job_pass_ratio", suite="s", category="a") == 0.25
    for unknown in ("evalsvc_job_tokens", "evalsvc_job_cost"):
        assert value(telemetry, unknown, arm="candidate") is None  # what the stored ones took nobody has told
    telemetry.answered("j1", [(A, "s", "a", 0, 3)])
    assert value(telemetry, "evalsvc_job_pass_ratio", suite="s", category="a") == 0.25


def test_a_ratio_of_nothing_is_no_number(telemetry: Telemetry) -> None:
    telemetry.filed("j1", a_job(), JobState.QUEUED)
    telemetry.answered("j1", [(A, "s", "a", 0, 0)])
    assert value(telemetry, "evalsvc_job_pass_ratio") is None


def test_a_job_that_was_removed_is_shown_no_more(telemetry: Telemetry) -> None:
    telemetry.filed("j1", a_job(), JobState.DONE)
    telemetry.removed("j1")
    telemetry.removed("unknown")
    telemetry.answered("j1", [(A, "s", "a", 0, 3)])
    assert not [name for name, _ in shown(telemetry) if name.startswith("evalsvc_job_")]


def test_only_the_20_latest_jobs_and_their_models_are_shown(telemetry: Telemetry) -> None:
    for number in range(50):
        job = a_job()
        mine = replace(job, arms={arm: replace(spec, model=f"m{number // 5}") for arm, spec in job.arms.items()})
        telemetry.follow(f"{number:04}", mine, Progress(total=1), {}).add([an_outcome()])
    telemetry.filed("0001", a_job(), JobState.DONE, RECORD)  # an old one
    labels = [dict(labels) for _, labels in shown(telemetry)]
    assert {each["eval_job"] for each in labels if "eval_job" in each} == {f"{n:04}" for n in range(30, 50)}
    models = {each["gen_ai_request_model"] for each in labels if "gen_ai_request_model" in each}
    assert models == {"m6", "m7", "m8", "m9"}
    assert value(telemetry, "evalsvc_outcomes_total") == 50


def test_there_are_few_series_however_many_jobs_there_were() -> None:
    telemetry = make_telemetry()
    for number in range(2000):
        telemetry.follow(f"{number:06}", a_job(), Progress(total=1), {}).add([an_outcome(category=f"c{number}")])
        telemetry.filed(f"{number:06}", a_job(), JobState.DONE, RECORD)
    assert len(shown(telemetry)) < 1000
    began = thread_time()
    telemetry.render()
    assert thread_time() - began < 0.1


def test_a_job_in_hand_stays_and_one_that_ended_goes_before_it_and_after_those_that_wait(telemetry: Telemetry) -> None:
    telemetry.follow("0000", a_job(), Progress(total=1), {}).add([an_outcome()])
    telemetry.filed("0001", a_job(), JobState.DONE, RECORD)
    for number in range(2, 1000):
        telemetry.filed(f"{number:04}", a_job(), JobState.QUEUED)
    assert [*telemetry.jobs][:2] == ["0000", "0001"]
    assert [*telemetry.jobs][2:] == [f"{number:04}" for number in range(982, 1000)]
    for number in range(2, 25):  # the next ones are taken in hand
        telemetry.follow(f"{number:04}", a_job(), Progress(total=1), {})
        telemetry.filed(f"{number:04}", a_job(), JobState.DONE, RECORD)
    assert "0000" in telemetry.jobs
    assert sorted(telemetry.jobs)[1:] == [f"{number:04}" for number in range(6, 25)]


def crowded(telemetry: Telemetry) -> None:
    """As many series as there may be, or so."""
    for number in range(20):
        job = a_job()
        arms = {arm: replace(spec, model=f"m{number % 10}") for arm, spec in job.arms.items()}
        listener = telemetry.follow(f"{number:04}", replace(job, arms=arms), Progress(total=1), {})
        listener.add([an_outcome(arm=arm, category=f"c{k}") for arm in Arm for k in range(25)])


@pytest.mark.anyio
async def test_a_scrape_leaves_the_loop_to_others_and_is_what_is_rendered(telemetry: Telemetry) -> None:
    crowded(telemetry)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(others)
        kind, body = await telemetry.scrape()
        group.cancel_scope.cancel()
    lines = body.splitlines()
    assert len(lines) / turns < 200  # none of its steps is long
    rendered_kind, rendered = telemetry.render()
    assert kind == rendered_kind
    assert named(body) == named(rendered)
    heads = [line for line in lines if line.startswith(b"#")]
    assert len(set(heads)) == len(heads)


def named(body: bytes) -> list[bytes]:
    """All lines without their values, which move on."""
    return [line if line.startswith(b"#") else line.rpartition(b" ")[0] for line in body.splitlines()]


@pytest.mark.anyio
async def test_many_scrapers_cost_one_encoding_a_second(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [100.0], 0
    everything = telemetry._registry.collect

    def collect() -> Any:
        nonlocal written
        written += 1
        return everything()

    monkeypatch.setattr(telemetry._registry, "collect", collect)
    monkeypatch.setattr(module, "monotonic", lambda: now[0])

    async def scrape() -> None:
        bodies.append((await telemetry.scrape())[1])

    bodies: list[bytes] = []
    async with anyio.create_task_group() as group:
        for _ in range(9):
            group.start_soon(scrape)
    assert (written, len(set(bodies))) == (1, 1)
    telemetry.committed(0.004)
    now[0] += 0.9
    assert (await telemetry.scrape())[1] == bodies[0]
    now[0] += 0.2
    assert b"evalsvc_store_commit_seconds_count 1.0" in (await telemetry.scrape())[1]
    assert written == 2


def test_categories_that_are_too_many_are_other(telemetry: Telemetry) -> None:
    listener = telemetry.follow("j1", a_job(), Progress(total=1), {})
    listener.add([an_outcome(float(n < 20), category=f"c{n}") for n in range(3000)])
    ratios = {labels: v for (name, labels), v in shown(telemetry).items() if name == "evalsvc_job_pass_ratio"}
    assert len(ratios) == 21
    assert value(telemetry, "evalsvc_job_pass_ratio", suite="other", category="other") == 0
    assert value(telemetry, "evalsvc_job_pass_ratio") == 20
    assert value(telemetry, "evalsvc_scores_total", result="fail") == 2980


def test_roles_are_told_apart_however_many_categories_there_are(telemetry: Telemetry) -> None:
    roles = {"t": Role.TARGET, "u": Role.TARGET, "g": Role.GENERAL}
    listener = telemetry.follow("j1", a_job(roles=roles), Progress(total=1), {})
    listener.add([an_outcome(float(n < 10), suite="t", category=f"c{n}") for n in range(30)])
    listener.add([an_outcome(1.0, suite="u"), an_outcome(0.0, suite="g"), an_outcome(1.0, suite="g")])
    assert value(telemetry, "evalsvc_job_role_pass_ratio", arm="candidate", role="target") == 11 / 31
    assert value(telemetry, "evalsvc_job_role_pass_ratio", arm="candidate", role="general") == 0.5
    assert value(telemetry, "evalsvc_job_role_pass_ratio", arm="baseline") is None
    assert value(telemetry, "evalsvc_job_pass_ratio", suite="other", category="other") == 2 / 13


def test_models_that_are_too_many_are_other(telemetry: Telemetry) -> None:
    for number in range(20):
        job = a_job()
        arms = {arm: replace(spec, model=f"{arm}{number}") for arm, spec in job.arms.items()}
        telemetry.follow(f"{number:04}", replace(job, arms=arms), Progress(), {}).add([an_outcome()])
    count = "gen_ai_client_operation_duration_seconds_count"
    models = {dict(labels)["gen_ai_request_model"] for name, labels in shown(telemetry) if name == count}
    assert len(models) == 11
    assert value(telemetry, count, gen_ai_request_model="other") == 15
    assert value(telemetry, count) == 20


def test_recorded_answers_are_no_endpoint_that_is_asked(telemetry: Telemetry) -> None:
    telemetry.follow("j1", a_job(), Progress(total=1, loads={"recorded": Load(1, 8), "up": Load(1, 2)}), {})
    assert value(telemetry, "evalsvc_request_limit", endpoint="up") == 2
    assert value(telemetry, "evalsvc_request_limit", endpoint="recorded") is None


NAMES = ["a" * 500 + "1", "a" * 500 + "2", 'x"} 1\nevil{a="b', "\\", "\ud800", "é\u2028\x00\x1b[31m", "other", ""]


def test_hostile_names_stay_names(promtool: str, telemetry: Telemetry) -> None:
    for number, name in enumerate(NAMES):
        job = a_job(name=name)
        arms = {arm: replace(spec, model=name, endpoint=name) for arm, spec in job.arms.items()}
        suites = (replace(job.suites[0], name=name),)
        progress = Progress(total=1, loads={name: Load(1, 2)})
        listener = telemetry.follow(f"{number:04}", replace(job, arms=arms, suites=suites), progress, {})
        listener.add([an_outcome(1.0, suite=name, category=category) for category in NAMES])
    assert len(shown(telemetry)) > 100
    assert value(telemetry, "evil") is None
    command = [promtool, "check", "metrics"]
    checked = subprocess.run(command, input=telemetry.render()[1], capture_output=True, timeout=20, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=120), st.text(max_size=120)), max_size=30))
def test_any_categories_give_one_sample_each(pairs: list[tuple[str, str]]) -> None:
    telemetry = make_telemetry()
    telemetry.filed("j1", a_job(), JobState.DONE)
    telemetry.answered("j1", [(A, suite, category, 1, 1) for suite, category in pairs])
    assert set(shown_ratios(telemetry)) <= {1.0}  # `shown` fails where a sample stands there twice


def shown_ratios(telemetry: Telemetry) -> list[float]:
    return [v for (name, _), v in shown(telemetry).items() if name == "evalsvc_job_pass_ratio"]


def test_the_disk_is_shown_where_it_can_be_read(tmp_path: Path) -> None:
    database = tmp_path / "e.db"
    telemetry = make_telemetry(database=database)
    assert value(telemetry, "evalsvc_store_bytes") is None
    database.write_bytes(b"x" * 5)
    (tmp_path / "e.db-wal").write_bytes(b"x" * 2)
    assert value(telemetry, "evalsvc_store_bytes") == 7
    assert (value(telemetry, "evalsvc_store_free_bytes") or 0) > 0


def test_it_costs_a_request_next_to_nothing(telemetry: Telemetry) -> None:
    listener = telemetry.follow("j1", a_job(), Progress(total=1), {A: (1.0, 2.0), B: None})
    batch: list[Outcome] = [an_outcome(arm=arm) for arm in Arm] * 128
    costs = []
    for _ in range(5):
        began = thread_time()
        for _ in range(8):
            listener.add(batch)
        costs.append((thread_time() - began) / (8 * len(batch)))
    assert min(costs) < 6e-6  # 2 µs on a quiet machine, 3 are allowed


def test_however_many_jobs_models_and_errors_there_are_series_are_few(telemetry: Telemetry) -> None:
    kinds = ("rate_limited", "server", "network", "protocol", "timeout", "rejected", "context_overflow", "refused")
    for number in range(60):
        api = "completions" if number % 2 else "chat"
        arms = {arm: replace(spec, model=f"m{number // 2}", stream=True, api=api) for arm, spec in a_job().arms.items()}
        job, job_id = a_job(arms=arms), f"{number:04d}"
        follow = telemetry.follow(job_id, job, Progress(total=9), dict.fromkeys(arms, (1.0, 2.0)))
        answers = [an_outcome(arm=arm, category=f"c{k}") for arm in Arm for k in range(30)]
        failed = [lost(kind, arm=arm) for arm in Arm for kind in kinds]
        follow.add([*answers, *failed])
        telemetry.filed(job_id, job, JobState.DONE, RECORD)
    assert len(shown(telemetry)) < 5000
    calls = value(telemetry, "gen_ai_client_operation_duration_seconds_count")
    assert calls is not None
    assert calls <= 60 * 2 * 38  # those of models that were dropped are gone, none is counted twice
