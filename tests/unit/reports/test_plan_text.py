from __future__ import annotations

import copy
import re
import unicodedata
from typing import Any

import pytest

from evalsvc.reports import plan_text
from evalsvc.reports.inert import cells

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;Zm9v\x07",
    "\rSHIP\x08",
    "\u202egnp.exe",
    "one\ntwo\u2028three",
    "\ud800\x00",
]


def gate(name: str, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "required": True, "waived": None, "threshold": 0.85, "evidence": "target"}
    row |= {"n": 1200, "least": 23, "unchanged": None, "needed": 632, "effect": 0.895, "truth": 0.9, "chance": 0.88}
    return row | {"counted": True, "possible": True} | more


def a_plan() -> dict[str, Any]:
    spend = {
        "judge": None,
        "requests": 2400,
        "cost": 12.5,
        "seconds": 754.0,
        "bound": "rpm = 200 of openai",
        "arms": {
            arm: {"requests": 1200, "follow_ups": 0, "tokens": {"input": 61000, "output": 140800}, "cost": 6.25}
            for arm in ("candidate", "baseline")
        },
    }
    return {
        "schema": "evalsvc.plan/1",
        "job": {
            "name": "support-7b v3 against gpt-4o",
            "spec_sha256": "0",
            "trials": 1,
            "limit": None,
            "stop": "never",
            "arms": {arm: {"endpoint": "openai", "model": arm} for arm in ("candidate", "baseline")},
            "judge": None,
        },
        "gates": [
            gate("target_improvement", threshold=0.05, effect=0.107, truth=0.1, chance=0.693),
            gate("general_regression", threshold=-0.05, effect=-0.063, truth=0.0, least=5, unchanged=73, chance=0.995),
            gate("exact_match"),
            gate("latency_p99", threshold=2.0, effect=1.35, truth=1.0, chance=0.004),
            gate("human_preference", n=0, least=None, effect=None, waived="why", counted=False, possible=False),
            gate("adversarial_robustness", n=9, least=36, effect=None, possible=False, chance=0.0),
            gate("schema_compliance", required=False, counted=False, chance=1.0),
        ],
        "categories": [
            {"suite": "s", "category": f"c{n}", "n": n, "least_fail": 8, "drop": -10 / n if n > 20 else None}
            for n in (200, 10, 90, 80, 70, 60, 50, 40, 30, 100)
        ],
        "chance": 0.4,
        "chance_each": 0.96,
        "spend": spend,
        "proposed": {"sizes": {"target": 1068}, "spend": {**spend, "requests": 5262, "seconds": 7500.0}},
        "assumptions": [
            {"name": "improvement", "value": 0.1, "words": "candidate +10 points", "source": "assumed"},
            {"name": "discordance_target", "value": 0.2, "words": "20% differ", "source": "assumed"},
            {"name": "a", "value": 4.0, "words": "candidate: 4 characters a token", "source": "assumed"},
            {"name": "b", "value": 4.0, "words": "baseline: 4 characters a token", "source": "assumed"},
            {"name": "c", "value": 64, "words": "candidate: 64 tokens an answer", "source": "max_tokens: at most"},
        ],
        "pilot": None,
        "warnings": ["adversarial_robustness cannot PASS at any result."],
        "summary": ["This job cannot SHIP.", "For a chance of 80% it needs more."],
    }


def row(printed: str, name: str) -> list[str]:
    return next(line.split() for line in printed.splitlines() if line.startswith(name))


def test_each_suite_is_said_with_what_its_data_set_is_read_as() -> None:
    plan = a_plan()
    suite = {"name": "s", "role": "target", "cases": 1200, "dataset": "chat.jsonl", "format": "chat-finetune"}
    plan["job"]["suites"] = [suite, {**suite, "name": "\x1b[31mt", "cases": 1}]
    printed = plan_text.render(plan, color=False, width=100)
    assert "s (target): 1,200 cases of chat.jsonl, read as chat-finetune\n" in printed
    assert "(target): 1 case of chat.jsonl, read as chat-finetune\n" in printed
    assert "\x1b" not in printed


def test_every_gate_is_one_row_of_the_table() -> None:
    printed = plan_text.render(a_plan(), color=False, width=80)
    assert row(printed, "target_improvement")[1:] == ["1,200", "23", "632", "+10.7", "+10.0", "69%"]
    assert row(printed, "general_regression")[1:] == ["1,200", "73", "632", "−6.3", "0.0", ">99%"]
    assert row(printed, "exact_match")[1:] == ["1,200", "23", "632", "89.5%", "90.0%", "88%"]
    assert row(printed, "latency_p99")[1:] == ["1,200", "23", "632", "1.35×", "1.00×", "<1%"]
    assert row(printed, "human_preference")[1:] == ["0", "–", "632", "–", "90.0%", "waived"]
    assert row(printed, "adversarial_robustness")[1:] == ["9", "36", "632", "–", "90.0%", "cannot"]
    assert row(printed, "schema_compliance")[-1] == "(>99%)"


def test_a_wide_terminal_shows_the_claims_too() -> None:
    printed = plan_text.render(a_plan(), color=False, width=120)
    assert row(printed, "target_improvement")[1:3] == [">", "+5"]
    assert row(printed, "general_regression")[1:3] == [">", "−5"]
    assert row(printed, "latency_p99")[1:3] == ["<", "2×"]
    assert row(printed, "exact_match")[1:3] == [">", "85%"]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    plan = a_plan()
    plan["job"]["name"] = plan["gates"][0]["name"] = "名" * 90
    for arm in plan["job"]["arms"].values():
        arm["model"] = "m" * 70
    for line in plan_text.render(plan, color=False, width=width).splitlines():
        assert cells(line) <= max(width, 72), line


def test_the_order_is_table_cost_assumptions_warnings_and_last_of_all_what_it_comes_to() -> None:
    printed = plan_text.render(a_plan(), color=False, width=80)
    heads = [
        "Plan of",
        "Gates",
        "General categories",
        "Cost",
        "What this rests on",
        "WARNINGS",
        "This job cannot SHIP.",
    ]
    places = [printed.index(f"\n{head}") if head != "Plan of" else printed.index(head) for head in heads]
    assert places == sorted(places)
    assert printed.rstrip().endswith("That is 5,262 requests, a cost of 12.50 and about 2.1 h.")


def test_the_smallest_categories_are_shown_and_the_others_counted() -> None:
    printed = plan_text.render(a_plan(), color=False, width=80)
    shown = re.findall(r"^s / c\d+ +(\d+) +(\S+)$", printed, re.MULTILINE)
    assert [int(n) for n, _ in shown] == [10, 30, 40, 50, 60, 70, 80, 90]
    assert shown[0][1] == "none"
    assert "and 2 larger ones" in printed


def test_what_both_arms_have_in_common_is_said_once() -> None:
    printed = plan_text.render(a_plan(), color=False, width=200)
    assert "- candidate +10 points; 20% differ; 4 characters a token [assumed]" in printed
    assert "- 64 tokens an answer (candidate) [max_tokens: at most]" in printed
    assert "--pilot 50 measures most of it" in printed


def test_a_pilot_a_limit_and_a_way_of_stopping_are_said() -> None:
    plan = a_plan()
    plan["pilot"] = {"job": "abc", "cases": 160}
    plan["job"] |= {"limit": 40, "stop": "hybrid"}
    printed = plan_text.render(plan, color=False, width=100)
    assert "a pilot of 160 cases was run as job abc" in printed
    assert "only the first 40 cases of each suite's planned order (--limit)" in printed
    assert "It may stop earlier (stop = hybrid): this is the most." in " ".join(printed.split())
    assert "--pilot 50" not in printed


def test_a_price_that_is_not_known_is_said_and_not_zero() -> None:
    plan = a_plan()
    plan["spend"]["cost"] = plan["spend"]["arms"]["baseline"]["cost"] = None
    printed = plan_text.render(plan, color=False, width=100)
    assert row(printed, "together")[-1] == "–"
    assert "no price_in and price_out for the endpoint openai." in printed
    plan["spend"] |= {"requests": 0, "bound": None, "seconds": 0.0}
    assert "Nothing is asked: all answers are recorded." in plan_text.render(plan, color=False, width=100)


def test_an_arm_whose_answers_are_recorded_is_asked_nothing() -> None:
    plan = a_plan()
    plan["job"]["arms"]["baseline"]["endpoint"] = "recorded"
    printed = plan_text.render(plan, color=False, width=100)
    assert re.search(r"^baseline +recorded +– +– ", printed, re.MULTILINE)
    assert re.search(r"^candidate +1,200 +61,000 ", printed, re.MULTILINE)


def test_without_warnings_or_a_proposal_nothing_is_said_of_them() -> None:
    plan = a_plan()
    plan["warnings"], plan["proposed"], plan["categories"] = [], {"sizes": {}, "spend": None}, []
    printed = plan_text.render(plan, color=False, width=80)
    for absent in ("WARNINGS", "That is", "General categories"):
        assert absent not in printed


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_control_character_reaches_the_terminal(payload: str) -> None:
    plan = copy.deepcopy(a_plan())
    plan["job"]["name"] = plan["job"]["arms"]["candidate"]["model"] = payload
    plan["job"]["arms"]["baseline"]["endpoint"] = plan["spend"]["bound"] = plan["categories"][1]["category"] = payload
    plan["warnings"] = plan["summary"] = [payload, payload]
    plan["assumptions"][0]["words"] = plan["assumptions"][1]["source"] = payload
    plan["pilot"] = {"job": payload, "cases": 1}
    printed = plan_text.render(plan, color=False, width=80)
    assert [c for c in printed if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}] == []


def test_colours_are_the_only_difference() -> None:
    bare = re.sub("\x1b\\[[0-9;]+m", "", plan_text.render(a_plan(), color=True, width=80))
    assert bare == plan_text.render(a_plan(), color=False, width=80)
    assert "\x1b[31mcannot\x1b[0m" in plan_text.render(a_plan(), color=True, width=80)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0.4 s"), (45, "45 s"), (754, "13 min"), (7500, "2.1 h"), (400_000, "5 days")]
)
def test_a_duration_is_told_in_one_unit(seconds: float, words: str) -> None:
    assert plan_text.duration(seconds) == words


def test_the_judge_has_a_row_of_its_own_in_the_cost() -> None:
    plan = a_plan()
    plan["job"]["judge"] = {"endpoint": "court", "model": "j"}
    plan["spend"]["judge"] = {
        "requests": 880,
        "follow_ups": 880,
        "cost": None,
        "tokens": {"input": 70000, "output": 9000},
    }
    printed = plan_text.render(plan, color=False, width=100)
    assert re.search(r"^judge +880 +70,000 +9,000", printed, re.MULTILINE)
    assert "880 of the requests are asked for scores, beyond the answers" in printed
    assert "no price_in and price_out for the endpoint court" in " ".join(printed.split())
