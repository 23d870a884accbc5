"""`evalsvc run` beside other evaluation tools: the same cases against the same nginx, one after the other.

``python benchmarks/rivals.py [CASES] [IN_FLIGHT] [--tools NAME ...]``; needs nginx, and pip and npm for the tools,
which are kept in ``$XDG_CACHE_HOME/evalsvc-benchmarks``. A tool that cannot be installed or fails is skipped with its
reason.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench import (
    Cost,
    Unmeasured,
    asking_s,
    evalsvc,
    machine,
    measure,
    nginx,
    npm_environment,
    outcomes,
    pip_environment,
    write_job,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every tool gets: a folder with cases.jsonl ({id, input, expected}) and evalsvc's job, the server's URL."""

    folder: Path
    base_url: str
    cases: int
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a tool did: its version, requests, the whole command, and its request phase in seconds."""

    version: str
    requests: int
    cost: Cost
    phase_s: float

    @property
    def whole_rate(self) -> float:
        """Requests a second of the whole command."""
        return self.requests / self.cost.wall_s

    @property
    def phase_rate(self) -> float:
        """Requests a second between the first request and the last answer."""
        return self.requests / self.phase_s


def run_evalsvc(setting: Setting) -> Measured:
    """Both arms, each outcome durable; the request phase is from the first request sent to the last outcome."""
    cost = evalsvc(setting.folder, "e.db")
    answered = sum(status == "ok" for (status,) in outcomes(setting.folder, "e.db", "status"))
    _all_answered("evalsvc", answered, 2 * setting.cases)
    return Measured(version="", requests=answered, cost=cost, phase_s=asking_s(setting.folder, "e.db"))


LM_EVAL_TASK = """
task: benchmark
dataset_path: json
dataset_kwargs:
  data_files:
    test: {cases}
test_split: test
output_type: generate_until
doc_to_text: "{{{{input}}}}"
doc_to_target: "{{{{expected}}}}"
generation_kwargs: {{until: []}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""


def run_lm_eval(setting: Setting) -> Measured:
    """lm-evaluation-harness through local-chat-completions; the request phase is that of its own progress bar."""
    # the harness imports torch; this version of it has a small build for CPUs
    folder, bin_folder = setting.folder, pip_environment("lm-eval", "torch==2.13.0", "lm-eval[api]")
    (folder / "benchmark.yaml").write_text(LM_EVAL_TASK.format(cases=folder / "cases.jsonl"))
    model_args = (
        f"model=constant,base_url={setting.base_url}/chat/completions,"
        f"num_concurrent={setting.in_flight},max_retries=3,tokenized_requests=False"
    )
    command = [str(bin_folder / "lm_eval"), "--model", "local-chat-completions", "--model_args", model_args]
    command += ["--tasks", "benchmark", "--include_path", str(folder), "--apply_chat_template"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    cost = measure(command, folder, env={**offline, "OPENAI_API_KEY": "none"})
    bars = re.findall(r"Requesting API: 100%\D*?(\d+)/\d+ \[[\d:]+<[\d:]+, +([\d.]+)(it/s|s/it)", cost.printed)
    if not bars:
        raise Unmeasured("lm_eval printed no rate of its request phase")
    count, figure, unit = bars[-1]
    _all_answered("lm_eval", int(count), setting.cases)
    rate = float(figure) if unit == "it/s" else 1 / float(figure)
    return Measured(
        version=_version(bin_folder, "lm-eval"), requests=setting.cases, cost=cost, phase_s=setting.cases / rate
    )


INSPECT_TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import match
from inspect_ai.solver import generate

@task
def benchmark():
    fields = FieldSpec(input="input", target="expected", id="id")
    return Task(dataset=json_dataset("cases.jsonl", fields), solver=generate(), scorer=match(location="exact"))
"""


def run_inspect(setting: Setting) -> Measured:
    """inspect_ai through its OpenAI provider, as many samples as connections; its log tells the request phase."""
    folder, bin_folder = setting.folder, pip_environment("inspect-ai", "inspect_ai openai")
    (folder / "task.py").write_text(INSPECT_TASK)
    limit = str(setting.in_flight)
    command = [str(bin_folder / "inspect"), "eval", "task.py", "--model", "openai/constant", "--display", "none"]
    command += ["--max-connections", limit, "--max-samples", limit, "--log-format", "json", "--log-dir", "logs"]
    command += ["--model-base-url", setting.base_url, "-M", "responses_api=false"]
    cost = measure(command, folder, env={"OPENAI_API_KEY": "none"})
    log = json.loads(next((folder / "logs").glob("*.json")).read_text())
    _all_answered("inspect", log["results"]["completed_samples"], setting.cases)
    calls = [event for sample in log["samples"] for event in sample["events"] if event["event"] == "model"]
    starts = [datetime.fromisoformat(call["timestamp"]) for call in calls]
    ends = [datetime.fromisoformat(call["completed"]) for call in calls]
    phase = (max(ends) - min(starts)).total_seconds()
    return Measured(version=_version(bin_folder, "inspect-ai"), requests=setting.cases, cost=cost, phase_s=phase)


def run_promptfoo(setting: Setting) -> Measured:
    """promptfoo through its OpenAI provider, its cache off; its result file tells how long the evaluation took."""
    folder, bin_folder = setting.folder, npm_environment("promptfoo")
    cases = [json.loads(line) for line in (folder / "cases.jsonl").read_text().splitlines()]
    tests = [
        {"vars": {"q": case["input"]}, "assert": [{"type": "equals", "value": case["expected"]}]} for case in cases
    ]
    provider = {"id": "openai:chat:constant", "config": {"apiBaseUrl": setting.base_url, "apiKey": "none"}}
    config = {"prompts": ["{{q}}"], "providers": [provider], "tests": tests}
    (folder / "promptfooconfig.json").write_text(json.dumps(config))
    command = [str(bin_folder / "promptfoo"), "eval", "-c", "promptfooconfig.json", "-o", "promptfoo.json"]
    command += ["--no-cache", "--no-progress-bar", "--no-table", "-j", str(setting.in_flight)]
    quiet = {
        "PROMPTFOO_CONFIG_DIR": str(folder / "promptfoo"),
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "PROMPTFOO_DISABLE_UPDATE": "1",
        "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    }
    cost = measure(command, folder, env=quiet)
    result = json.loads((folder / "promptfoo.json").read_text())
    stats = result["results"]["stats"]
    _all_answered("promptfoo", stats["successes"], setting.cases)
    return Measured(
        version=result["metadata"]["promptfooVersion"],
        requests=setting.cases,
        cost=cost,
        phase_s=stats["durationMs"] / 1000,
    )


TOOLS: dict[str, Callable[[Setting], Measured]] = {
    "evalsvc": run_evalsvc,
    "lm-evaluation-harness": run_lm_eval,
    "inspect_ai": run_inspect,
    "promptfoo": run_promptfoo,
}


def main() -> None:
    """Measure every tool in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int, nargs="?", default=2000)
    parser.add_argument("in_flight", type=int, nargs="?", default=64)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS), help="only these")
    chosen = parser.parse_args()
    print(machine())
    print(f"{chosen.cases} exact-match cases, {chosen.in_flight} in flight, answered at once")
    measured: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with nginx(folder) as port:
                base_url = f"http://127.0.0.1:{port}/v1"
                setting = Setting(folder=folder, base_url=base_url, cases=chosen.cases, in_flight=chosen.in_flight)
                write_job(folder, chosen.cases, base_url, chosen.in_flight)
                for tool in chosen.tools:
                    try:
                        measured[tool] = TOOLS[tool](setting)
                    except Unmeasured as reason:
                        print(f"{tool} skipped: {reason}", flush=True)
        except Unmeasured as reason:
            sys.exit(f"not measured: {reason}")
    report(measured)


def report(measured: dict[str, Measured]) -> None:
    """Print ratios, then figures."""
    ours = measured.get("evalsvc")
    for tool, its in measured.items():
        if ours and tool != "evalsvc":
            phase, whole = ours.phase_rate / its.phase_rate, ours.whole_rate / its.whole_rate
            print(f"evalsvc / {tool:21} rate in the request phase {phase:6.1f}, of the whole command {whole:6.1f}")
    for tool, its in measured.items():
        print(
            f"{tool + ' ' + its.version:31} {its.phase_rate:7.0f} requests/s in the request phase,"
            f" {its.whole_rate:7.0f} in the whole command ({its.requests} in {its.cost.wall_s:5.1f} s),"
            f" {its.cost.cpu_s / its.requests * 1e3:6.2f} ms CPU a request, {its.cost.peak_mb:5.0f} MB peak"
        )


def _all_answered(tool: str, answered: int, wanted: int) -> None:
    if answered != wanted:
        raise Unmeasured(f"{tool} answered {answered} of {wanted}")


def _version(bin_folder: Path, package: str) -> str:
    found = next(bin_folder.parent.glob(f"lib/python*/site-packages/{package.replace('-', '_')}-*.dist-info"))
    return found.name.removesuffix(".dist-info").rpartition("-")[2]


if __name__ == "__main__":
    main()
