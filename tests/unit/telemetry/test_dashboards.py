"""The Grafana dashboards: as generated, whole, and about metrics there are."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import warnings
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from counted import a_job, an_outcome, shown

from evalsvc.core.progress import Progress
from evalsvc.core.states import JobState
from evalsvc.engine.limits import EndpointLimits
from evalsvc.telemetry import make_telemetry

ROOT = Path(__file__).resolve().parents[3]
GRAFANA = ROOT / "deploy" / "grafana"
PROMETHEUS = ROOT / "deploy" / "prometheus"
METRICS = ROOT / "docs" / "metrics.md"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
_METRIC = re.compile(r"\b(?:evalsvc|gen_ai_client|process_)[a-z0-9_:]+\b(?=[{\[ )]|$)")


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(GRAFANA))
    with warnings.catch_warnings():  # the SDK would have the new schema, which Grafana before 13 does not read
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("generate")


def board(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_the_files_are_what_is_generated(generate: ModuleType) -> None:
    made = generate.dashboards()
    assert sorted(made) == [path.name for path in FILES]
    for path in FILES:
        assert path.read_text(encoding="utf-8") == made[path.name], f"{path.name}: run deploy/grafana/generate.py"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_dashboard_is_whole(path: Path) -> None:
    panels = board(path)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["targets"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_data_source_is_chosen_by_the_reader(path: Path) -> None:
    found = board(path)
    variables = {each["name"]: each for each in found["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in found["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"] == chosen
            assert [target["datasource"] for target in panel["targets"]] == [chosen] * len(panel["targets"])
    for name, each in variables.items():
        assert name == "datasource" or each["datasource"] == chosen
    used = {name for text in texts(found) for name in re.findall(r"\$\{?([a-z_]\w*)", text)}
    assert used - {"__rate_interval", "__all"} == set(variables)


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_dashboards_have_names_of_their_own() -> None:
    boards = [board(path) for path in FILES]
    assert len({each["uid"] for each in boards}) == len({each["title"] for each in boards}) == len(FILES) == 2


def test_what_is_asked_for_is_documented() -> None:
    documented = METRICS.read_text(encoding="utf-8")
    asked = {name for path in FILES for text in texts(board(path)) for name in _METRIC.findall(text)}
    rules = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
    asked |= {name for text in texts(rules) for name in _METRIC.findall(text)}
    assert len(asked) > 30
    missing = {name for name in asked if f"`{re.sub('_(bucket|sum|count)$', '', name)}" not in documented}
    assert missing == set()


@pytest.mark.anyio  # one is read from the loop
async def test_every_metric_is_documented_with_its_labels() -> None:
    telemetry = make_telemetry(database=METRICS)
    job = a_job()
    arms = {arm: replace(spec, stream=True) for arm, spec in job.arms.items()}
    progress = Progress(total=2, recorded=1, loads={"up": EndpointLimits(8)})
    prices = dict.fromkeys(arms, (1.0, 2.0))
    telemetry.follow("j1", replace(job, arms=arms), progress, prices).add([an_outcome()])
    record = {"decision": "HOLD", "gates": [{"name": "exact_match", "verdict": "PASS"}]}
    telemetry.filed("j1", job, JobState.DONE, record)
    found: dict[str, set[str]] = {}
    for name, labels in shown(telemetry):
        if not name.startswith("process_"):
            found.setdefault(re.sub("_(bucket|sum|count)$", "", name), set()).update(key for key, _ in labels)
    shared = {
        "gen_ai_client": {"gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name", "arm"},
        "evalsvc_job_": {"eval_job"},
    }
    table = re.findall(r"^\| `((?:evalsvc|gen_ai)_\w+)` \| ([^|]*) \|", METRICS.read_text(), re.MULTILINE)
    described = {
        name: set(re.findall(r"`(\w+)`", labels)).union(
            *(own for start, own in shared.items() if name.startswith(start))
        )
        for name, labels in table
    }
    assert described == {name: labels - {"le"} for name, labels in found.items()}


def test_every_alert_and_recorded_expression_is_documented() -> None:
    rules = [
        rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]
    ]
    described = re.findall(r"^\| `(evalsvc:\w+(?::\w+)?|Evalsvc\w+)` \|", METRICS.read_text(), re.MULTILINE)
    assert sorted(described) == sorted(rule.get("alert") or rule["record"] for rule in rules)
    severities = re.findall(r"^\| `(Evalsvc\w+)` \|.*\| (\w+) \|$", METRICS.read_text(), re.MULTILINE)
    assert dict(severities) == {rule["alert"]: rule["labels"]["severity"] for rule in rules if "alert" in rule}


def test_provisioning_is_read_as_yaml() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/evalsvc.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/evalsvc.yaml").read_text())["providers"]
    assert (source["type"], provider["type"]) == ("prometheus", "file")


def test_the_rules_are_right_and_their_tests_pass(promtool: str) -> None:
    for command in (("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")):
        done = subprocess.run([promtool, *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    tested = (PROMETHEUS / "rules_test.yml").read_text()
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(alerts) >= 7
    for alert in alerts:
        assert alert["alert"] in tested
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        assert set(alert["annotations"]) == {"summary", "description"}
