"""The page on plug-ins, run: its modules keep the contracts, and a job that uses them all ends as it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalsvc.app.prepare import prepare
from evalsvc.app.verify import verify_file
from evalsvc.errors import ConfigError, InputError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
MODULES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
GATE = "[gates.win_share]\nthreshold = 0.6"
JOB = f"""\
name = "plug-ins"
[candidate]
endpoint = "sim"
model = "sim-candidate"
[baseline]
endpoint = "sim"
model = "sim-baseline"
[[suites]]
name = "faq"
role = "target"
dataset = "faq.txt"
scorer = "exact_match"
also = [{{ name = "word_limit", most = 1 }}, "stands_by"]
{GATE}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the modules of the page, a configuration that names them, and a job that uses them."""
    for name, body in MODULES.items():
        (tmp_path / name).write_text(body)
    (tmp_path / "plugged.toml").write_text(
        '[plugins]\nmodules = ["word_limit.py", "stands_by.py", "faq.py", "win_share.py"]\n'
    )
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "faq.txt").write_text("".join(f"Q: Number {i}?\nA: {'very ' * (i % 2)}{i}\n\n" for i in range(40)))
    return tmp_path


def test_they_keep_the_contracts(folder: Path) -> None:
    assert sorted(MODULES) == ["faq.py", "stands_by.py", "test_plugins.py", "win_share.py", "word_limit.py"]
    tests = re.findall(r"^def (test_\w+)", MODULES["test_plugins.py"], re.MULTILINE)
    assert len(tests) == 3
    script = "; ".join(["import test_plugins", *(f"test_plugins.{name}()" for name in tests)])
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_a_job_uses_them_all(evalsvc: Callable[..., Any], folder: Path) -> None:
    ran = evalsvc("run", "job.toml", "--config", "plugged.toml", "--json", "--out", "out")
    assert ran.code in (3, 4), ran.err
    record = ran.record
    assert record["suites"][0]["cases"] == 40
    assert record["suites"][0]["scores"]["exact_match"]["candidate"] > 0.8  # the simulator's process read them, too
    assert 0.4 < record["suites"][0]["scores"]["word_limit"]["candidate"] < 0.6
    assert record["suites"][0]["scores"]["stands_by"]["candidate"] is not None
    assert [arm["follow_ups"]["requests"] for arm in record["arms"].values()] == [40, 40]
    gate = record["gates"][7]
    assert (gate["name"], gate["required"], gate["threshold"]) == ("win_share", True, 0.6)
    assert gate["verdict"] in ("PASS", "INCONCLUSIVE")
    assert any("win_share" in reason for reason in record["reasons"]) == (gate["verdict"] != "PASS")
    assert "win_share" in (folder / "out" / "report.html").read_text()
    decision = folder / "out" / "decision.json"
    held = evalsvc("verify", decision, "--config", "plugged.toml")
    assert held.code == 0, held.out + held.err
    with pytest.raises(ConfigError, match="asks for the gate 'win_share', and no module here brings it"):
        verify_file(decision, database=folder / "evalsvc.db")


def test_what_the_asking_scorer_reads(folder: Path) -> None:
    script = """if True:
        from stands_by import StandsBy
        from evalsvc.core.records import Case, Completion
        case = Case(suite="s", id="c", category="", input="2 + 2?")
        asked = StandsBy().follow_up(case, Completion(text="4"))
        assert "2 + 2?" in asked.messages[0]["content"] and "Answer: 4" in asked.messages[0]["content"]
        assert [asked.read(Completion(text=text)).value for text in (" Yes.", "No", "")] == [1, 0, 0]"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_plug_ins_of_a_file_that_only_lay_there_are_named_before_they_run(
    evalsvc: Callable[..., Any], folder: Path
) -> None:
    (folder / "stranger.py").write_text("raise SystemExit('ran')\n")
    (folder / "config.toml").write_text('[plugins]\nmodules = ["stranger.py"]\n')
    said = "evalsvc: runs the plug-ins stranger.py, as config.toml in this folder says (--config names another)\n"
    assert evalsvc("plan", "job.toml").err == f"{said}ran\n"
    assert evalsvc("plan", "job.toml", "--config", "config.toml").err == "ran\n"


@pytest.mark.parametrize(
    ("modules", "job", "said"),
    [
        ([], JOB, r"job\.toml:\d+: gates\.win_share: unknown gate; known: target_improvement, .*schema_compliance \("),
        ([], JOB.replace(GATE, ""), r"job\.toml:\d+: suites\[0\]\.also\[0\]: unknown scorer 'word_limit'"),
        (["none.py"], JOB, r"the plug-in /.*/none\.py cannot be imported: FileNotFoundError: there is no such file"),
        (["no.such.module"], JOB, "the plug-in no.such.module cannot be imported: ModuleNotFoundError"),
        (["broken.py"], JOB, r"/broken\.py cannot be imported: ZeroDivisionError"),
        (["taken.py"], JOB, r"/taken\.py cannot be imported: ValueError: gate 'exact_match' is registered twice"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(folder: Path, modules: list[str], job: str, said: str) -> None:
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "taken.py").write_text('from evalsvc.decide.verdict import gates\ngates.register("exact_match")(print)\n')
    (folder / "plugged.toml").write_text(f"[plugins]\nmodules = {json.dumps(modules)}\n")
    (folder / "job.toml").write_text(job)
    with pytest.raises(InputError, match=said):
        prepare(folder / "job.toml", config_path=folder / "plugged.toml")
