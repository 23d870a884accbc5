"""`evalsvc plan` as a user meets it: what it prints, whom it asks, and that `run` says the same."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import click
import pytest

from evalsvc.cli.plan import command
from evalsvc.engine.plan import planned_positions
from evalsvc.reports.inert import cells
from evalsvc.stats.paired import cases_to_resolve_mean
from evalsvc.stats.power import joint_power, power_each, tango_power

ROWS = [{"id": f"c{i}", "input": f"q{i}", "expected": "42", "category": "ab"[i % 2]} for i in range(30)]
WAIVED = '[gates.human_preference]\nwaive = "none"'


def created(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"cases.jsonl", "config.toml", "job.toml"}


def gates(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {gate["name"]: gate for gate in plan["gates"]}


def test_a_plan_asks_nobody_and_leaves_nothing_behind(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    server = upstream(lambda _: (200, chat("42")))
    job = write_job(ROWS, url=server.url, more=WAIVED, endpoint="rpm = 30\nprice_in = 1.0\nprice_out = 2.0")
    planned = evalsvc("plan", job)
    assert planned.code == 0, planned.err
    assert planned.err == ""
    assert server.asked == []
    assert created(tmp_path) == set()
    words = " ".join(planned.out.split())
    assert "latency_p99 cannot PASS at any result: it has 30 cases, and 437" in words
    assert "general_regression will be NOT_MEASURED: the job has no general suite." in words
    assert "This job cannot SHIP, whatever the models do:" in words
    assert "About 2 min at best, bound by rpm = 30 of up." in words
    for width in (80, 120):
        shown = evalsvc("plan", job, env={"COLUMNS": str(width)})
        assert max(cells(line) for line in shown.out.splitlines()) <= width


def test_the_plan_as_json(evalsvc: Any, write_job: Any) -> None:
    job = write_job(ROWS, url="http://127.0.0.1:9/v1", more=WAIVED)
    plan = json.loads(evalsvc("plan", job, "--json").out)
    assert plan["schema"] == "evalsvc.plan/1"
    found = gates(plan)
    assert (found["exact_match"]["n"], found["exact_match"]["least"], found["exact_match"]["possible"]) == (
        30,
        23,
        True,
    )
    assert (found["latency_p99"]["n"], found["latency_p99"]["least"]) == (30, 437)
    assert not found["human_preference"]["counted"]
    assert plan["chance"] == 0.0
    assert plan["spend"]["requests"] == 60
    assert plan["spend"]["cost"] is None
    limited = json.loads(evalsvc("plan", job, "--json", "--limit", "7").out)
    assert gates(limited)["exact_match"]["n"] == 7
    assert limited["spend"]["requests"] == 14


def test_what_is_said_of_the_truth_is_what_is_planned_for(evalsvc: Any, write_job: Any) -> None:
    job = write_job(ROWS, url="http://127.0.0.1:9/v1", more=WAIVED)
    options = ("--improvement", "0.3", "--discordance", "0.35", "--rate", "0.99")
    plan = json.loads(evalsvc("plan", job, "--json", *options).out)
    found, given = gates(plan), {each["name"]: each for each in plan["assumptions"]}
    assert (found["target_improvement"]["truth"], found["exact_match"]["truth"]) == (0.3, 0.99)
    assert (given["discordance_target"]["value"], given["discordance_target"]["source"]) == (0.35, "--discordance")
    assumed = gates(json.loads(evalsvc("plan", job, "--json").out))
    assert found["target_improvement"]["chance"] > assumed["target_improvement"]["chance"]
    assert evalsvc("plan", job, "--discordance", "1.2").code == 2


def test_a_pilot_asks_a_prefix_of_the_planned_order_once_and_teaches(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any, tmp_path: Path
) -> None:
    right = {"cand": "42", "base": "41"}
    server = upstream(lambda body: (200, chat(right[body["model"]] if body["messages"][0]["content"] != "q3" else "0")))
    job = write_job(ROWS, url=server.url, more=WAIVED)
    ran = evalsvc("plan", job, "--pilot", "10", "--db", "pilot.db", "--json")
    assert ran.code == 0, ran.err
    order = planned_positions({"s": 30}, seed=7, limit=10)["s"]
    prefix = {f"q{place}" for place, position in enumerate(order) if position >= 0}
    asked = [(body["model"], body["messages"][0]["content"]) for body in server.asked]
    assert sorted(asked) == sorted((model, text) for model in right for text in prefix)
    plan = json.loads(ran.out)
    given = {each["name"]: each for each in plan["assumptions"]}
    passes = 10 - ("q3" in prefix)
    assert gates(plan)["exact_match"]["n"] == 30  # the plan is of the whole job
    assert plan["spend"]["requests"] == 60
    assert plan["pilot"]["cases"] == 10
    assert gates(plan)["exact_match"]["truth"] == pytest.approx((passes + 1) / 12)
    assert given["discordance_target"]["source"] == f"pilot: {passes} of 10 differ, upper 80% bound"
    assert given["answer_tokens_candidate"] == {
        "name": "answer_tokens_candidate", "value": 2.0, "words": "candidate: 2 tokens an answer", "source": "pilot",
    }  # fmt: skip
    assert plan["spend"]["arms"]["candidate"]["tokens"]["output"] == 60
    again = json.loads(evalsvc("plan", job, "--pilot", "10", "--db", "pilot.db", "--json").out)
    assert len(server.asked) == 20  # it was recorded
    assert again["pilot"] == plan["pilot"]
    with sqlite3.connect(tmp_path / "pilot.db") as database:
        assert database.execute("SELECT COUNT(*) FROM outcomes").fetchall() == [(20,)]
    database.close()
    stated = json.loads(evalsvc("plan", job, "--pilot", "10", "--db", "pilot.db", "--rate", "0.5", "--json").out)
    assert gates(stated)["exact_match"]["truth"] == 0.5


def test_a_pilot_that_cannot_ask_fails_as_run_does(evalsvc: Any, upstream: Any, write_job: Any) -> None:
    server = upstream(lambda _: (401, b'{"error":{"message":"bad key"}}'))
    ran = evalsvc("plan", write_job(ROWS, url=server.url), "--pilot", "5")
    assert ran.code == 1
    assert "401" in ran.err
    assert ran.out == ""


def test_the_first_requests_are_shown_as_they_would_be_sent(
    evalsvc: Any, upstream: Any, write_job: Any, chat: Any
) -> None:
    server = upstream(lambda _: (200, chat("42")))
    job = write_job(ROWS, url=server.url, more=WAIVED)
    text = (
        job.read_text()
        .replace("seed = 7", "seed = 7\ntrials = 2")
        .replace('model = "cand"', 'model = "cand"\nsystem = "Be brief."\nparams = { temperature = 0 }')
    )
    job.write_text(text)
    shown = json.loads(evalsvc("plan", job, "--show", "3", "--json").out)["requests"]
    assert [request["arm"] for request in shown] == ["candidate"] * 3 + ["baseline"] * 3
    assert [request["case"] for request in shown[:3]] == [request["case"] for request in shown[3:]]
    assert server.asked == []
    evalsvc("run", job, "--limit", "3")
    bodies = [json.dumps(body, sort_keys=True) for body in server.asked]
    for request in shown:
        assert bodies.count(json.dumps(request["body"], sort_keys=True)) == 2  # its trials
    printed = evalsvc("plan", job, "--show", "1").out
    assert "  system: Be brief.\n  user: q" in printed
    assert 'model = "cand", temperature = 0' in printed


def test_run_says_the_same_before_it_asks(evalsvc: Any, upstream: Any, write_job: Any, chat: Any) -> None:
    server = upstream(lambda _: (200, chat("42")))
    job = write_job(ROWS[:9], url=server.url, role="adversarial")
    warnings = json.loads(evalsvc("plan", job, "--json").out)["warnings"]
    assert any(
        "adversarial_robustness cannot PASS at any result: it has 9 adversarial cases" in each for each in warnings
    )
    ran = evalsvc("run", job, "--json")
    assert ran.err.splitlines()[: len(warnings)] == [f"warning: {warning}" for warning in warnings]
    assert not any("cannot PASS" in warning for warning in ran.record["warnings"])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("seed", "sead"),
        lambda text: text.replace("exact_match", "exact"),
        lambda text: text.replace("cases.jsonl", "none.jsonl"),
    ],
)
def test_a_bad_job_is_the_error_that_run_gives(evalsvc: Any, write_job: Any, tmp_path: Path, change: Any) -> None:
    job = write_job(ROWS, url="http://127.0.0.1:9/v1")
    job.write_text(change(job.read_text()))
    planned, ran = evalsvc("plan", job), evalsvc("run", job)
    assert (planned.code, planned.out, planned.err) == (2, "", ran.err)
    assert created(tmp_path) == set()


def test_the_help_says_what_it_is_for(evalsvc: Any) -> None:
    assert "--pilot" in evalsvc("plan", "--help").out
    assert "before it is run" in evalsvc("--help").out


def test_the_example_of_the_page_is_what_plan_prints(evalsvc: Any) -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "planning.md").read_text(encoding="utf-8")
    example = page.partition("$ evalsvc plan examples/demo/job.toml\n")[2].partition("```")[0]
    assert evalsvc("plan", root / "examples" / "demo" / "job.toml", env={"COLUMNS": "80"}).out == example


def test_the_figures_of_the_page_are_true(evalsvc: Any, write_job: Any) -> None:
    page = " ".join((Path(__file__).resolve().parents[2] / "docs" / "planning.md").read_text(encoding="utf-8").split())
    job = write_job(ROWS[:9], url="http://127.0.0.1:9/v1", role="adversarial")
    warnings = json.loads(evalsvc("plan", job, "--json").out)["warnings"]
    assert next(each for each in warnings if each.startswith("adversarial")) in page
    power = [tango_power(n, 0.0, 0.05, -0.05) for n in (157, 205)]
    assert f"157 cases, which do in {power[0]:.0%} of runs; 205 do in {power[1]:.0%}" in page
    assert cases_to_resolve_mean(0.05, 0.0, -0.05) == 157
    assert f"pass together in {joint_power([0.8] * 6):.0%} of runs" in page
    assert f"1 − 0.2 / 6 = {power_each(0.8, 6):.1%}" in page


def test_every_option_is_described_on_the_page() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(--[a-z]+)` \|", page, re.MULTILINE))
    assert described == {each.opts[0] for each in command.params if isinstance(each, click.Option)}
