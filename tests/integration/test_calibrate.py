"""The baseline against itself, from the command line: asked, dealt, stored, demanded, verified."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evalsvc.app import process
from evalsvc.cli.main import main

OTHERS = ("general_regression", "exact_match", "latency_p99", "human_preference")
ONLY_IMPROVEMENT = "".join(
    f"[gates.{name}]\nrequired = false\n" for name in (*OTHERS, "adversarial_robustness", "schema_compliance")
)


@dataclass(slots=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.out)
        return record


@pytest.fixture
def evalsvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command line in this process: a process of its own takes a second to start, and nothing here hangs on it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "manage_memory", lambda: None)

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["evalsvc", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        sys.stdout.flush()
        return Said(int(end.value.code or 0), *capfd.readouterr())

    return run


#: What an endpoint is asked for the first time may be another answer than the second time.
ROWS = [{"id": f"c{k}", "input": f"What is {k}?", "expected": str(k), "metadata": {"doc": k // 6}} for k in range(120)]


def moody(chat: Callable[..., bytes]) -> Callable[[dict[str, Any]], tuple[int, bytes]]:
    """A model that is right every other time it is asked a third of the questions; ``cand`` always is."""
    times: Counter[str] = Counter()
    lock = threading.Lock()

    def answer(body: dict[str, Any]) -> tuple[int, bytes]:
        number = int(body["messages"][-1]["content"].split()[-1].rstrip("?"))
        with lock:
            times[str(number)] += 1
            even = times[str(number)] % 2
        right = body["model"] == "cand" or (number % 3 == 0 and even) or number % 3 == 1
        return 200, chat(str(number) if right else "?")

    return answer


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_asked_stored_demanded_and_verified(
    evalsvc: Callable[..., Any], upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    server = upstream(moody(chat))
    job = write_job(ROWS, url=server.url, more=f'{ONLY_IMPROVEMENT}[gates]\ncalibration = "required"\n')
    held = evalsvc("run", job, "--json")
    assert held.code == 4, held.err
    assert held.record["calibration"] is None
    (reason,) = held.record["reasons"]
    assert "`evalsvc calibrate` with this job and database would add it" in reason

    asked = len(server.asked)
    found = json.loads(evalsvc("calibrate", job, "--json", "--resamples", "200").out)
    assert len(server.asked) == asked + 240, "each case twice, by the baseline alone"
    assert {body["model"] for body in server.asked[asked:]} == {"base"}
    assert found["flips"] == [{"suite": "s", "cases": 120, "rate": pytest.approx(40 / 120)}]
    assert found["false_pass"] <= 0.05
    assert sum(found["decisions"].values()) == pytest.approx(1)

    shipped = evalsvc("run", job, "--json", "--again", "--out", tmp_path / "out")
    assert shipped.code == 0, shipped.err
    kept = shipped.record["calibration"]
    assert {key: kept[key] for key in found if key in kept} == {key: found[key] for key in found if key in kept}
    assert kept["job"] == found["job"]
    assert kept["created_at"].endswith("Z")
    record = tmp_path / "out" / "decision.json"
    assert evalsvc("verify", record).code == 0
    nicer = {**shipped.record, "calibration": {**kept, "false_pass": 0.0, "resamples": 400}}
    record.write_text(json.dumps(nicer))
    forged = evalsvc("verify", record)
    assert forged.code == 3
    assert "calibration.resamples" in forged.out + forged.err


def test_gates_that_ship_noise_are_not_trusted(
    evalsvc: Callable[..., Any], upstream: Any, write_job: Any, chat: Any
) -> None:
    server = upstream(moody(chat))
    point = '[gates]\nevidence = "point"\ncalibration = "required"\n[gates.target_improvement]\nmargin = 0\n'
    job = write_job(ROWS[:60], url=server.url, more=ONLY_IMPROVEMENT + point)
    first = json.loads(evalsvc("calibrate", job, "--resamples", "1", "--json").out)
    asked = len(server.asked)
    text = evalsvc("calibrate", job, "--resamples", "200").out
    assert len(server.asked) == asked == 120, "what was answered is not asked again"
    assert f"job {first['job']}" in text
    assert "scored unlike on 33.3% of 60 cases" in text
    assert "base against itself" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "do not trust these gates to ship" in text
    ran = evalsvc("run", job, "--json")
    assert (ran.code, ran.record["gates"][0]["verdict"]) == (4, "PASS")
    assert "the baseline passes as an improvement on itself in" in ran.record["reasons"][0]


def recorded(folder: Path, trials: int = 1) -> Path:
    """A job on recorded answers whose baseline differs from trial to trial."""
    write_rows(folder / "cases.jsonl", ROWS)
    for name, off in (("new", 5), ("old", 2)):
        rows = (
            {"id": row["id"], "trial": trial, "output": "?" if (k + trial) % off == 0 else row["expected"]}
            for k, row in enumerate(ROWS)
            for trial in range(trials)
        )
        write_rows(folder / f"{name}.jsonl", rows)
    arms = "".join(
        f'[{arm}]\nendpoint = "recorded"\nmodel = "{name}"\noutputs = "{name}.jsonl"\n'
        for arm, name in (("candidate", "new"), ("baseline", "old"))
    )
    suite = '[[suites]]\nname = "s"\nrole = "target"\ndataset = "cases.jsonl"\nscorer = "exact_match"\n'
    (folder / "job.toml").write_text(f'name = "a job"\ntrials = {trials}\n{arms}{suite}{ONLY_IMPROVEMENT}')
    return folder / "job.toml"


def test_recorded_answers_are_not_read_twice(evalsvc: Callable[..., Any], tmp_path: Path) -> None:
    job = recorded(tmp_path)
    refused = evalsvc("calibrate", job)
    assert refused.code == 2
    assert "baseline.endpoint" in refused.err
    assert "--job" in refused.err
    job_id = evalsvc("run", job, "--json").record["job"]["id"]
    once = evalsvc("calibrate", job, "--job", job_id)
    assert once.code == 2
    assert "once a case: set trials = 2" in once.err


def test_stored_trials_of_a_run_are_enough(evalsvc: Callable[..., Any], tmp_path: Path) -> None:
    job = recorded(tmp_path, trials=2)
    assert evalsvc("run", job, "--json").code in {0, 3, 4}
    found = json.loads(evalsvc("calibrate", job, "--job", "latest", "--json", "--resamples", "50").out)
    assert found["flips"] == [{"suite": "s", "cases": 120, "rate": 1.0}]
    assert (found["arms"], found["repeats"]) == (["baseline"], 2)
    job.write_text(job.read_text().replace("[gates.exact_match]", "[gates.exact_match]\nthreshold = 0.5"))
    other = evalsvc("calibrate", job, "--job", "latest")
    assert other.code == 2
    assert "other suites or other gates" in other.err


def test_clusters_from_the_job_file_to_the_record(evalsvc: Callable[..., Any], tmp_path: Path) -> None:
    job = recorded(tmp_path)
    plain = job.read_text()
    job.write_text(plain.replace('scorer = "exact_match"', 'scorer = "exact_match"\ncluster = "doc"'))
    ran = evalsvc("run", job, "--json", "--out", tmp_path / "out")
    (gate,) = (gate for gate in ran.record["gates"] if gate["name"] == "target_improvement")
    assert (gate["n"], gate["clusters"]["count"]) == (120, 20)
    assert gate["method"].startswith("cluster-")
    assert "on 120 target cases in 20 clusters" in gate["reason"]
    assert evalsvc("verify", tmp_path / "out" / "decision.json").code == 0

    write_rows(tmp_path / "cases.jsonl", [*ROWS[:4], {**ROWS[4], "metadata": {"other": 1}}, *ROWS[5:]])
    lacking = evalsvc("run", job)
    assert lacking.code == 2
    assert "cases.jsonl:5: metadata.doc:" in lacking.err

    job.write_text('stop = "hybrid"\n' + job.read_text())
    peeking = evalsvc("run", job)
    assert peeking.code == 2
    assert "suites[0].cluster" in peeking.err
