"""The same job decided from all its cases and from prefixes of them: more settle more, and contradict nothing.

The table in docs/decisions.md says what comes out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from evalsvc.app.prepare import prepare
from evalsvc.app.run import run_job
from evalsvc.core.progress import Progress

LIMITS = (10, 40, 70, None)
MODELS = ("6b_verification", "6b_finetuning")
#: Names of the suites, by role.
ROLES = {"target": "gsm8k", "general": "again"}
DECISIONS = Path(__file__).resolve().parents[2] / "docs/decisions.md"


def lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


async def nothing(progress: Progress) -> None:
    del progress
    await anyio.sleep_forever()


@pytest.mark.parametrize("swapped", [False, True], ids=["better", "worse"])
def test_verdicts_on_prefixes_of_real_data_are_consistent(shared: Path, tmp_path: Path, swapped: bool) -> None:
    raw = (shared / "data/01_gsm8k/items.jsonl").read_text(encoding="utf-8")
    rows = [{**json.loads(line), "id": f"{role} {k}"} for role in ROLES for k, line in enumerate(raw.splitlines())]
    lines(tmp_path / "both.jsonl", rows)
    for role in ROLES:
        mine = [row for row in rows if row["id"].startswith(role)]
        cases = [{"id": row["id"], "input": row["prompt"], "expected": row["expected"]} for row in mine]
        lines(tmp_path / f"{role}.jsonl", cases)
    arms = "".join(
        f'[{arm}]\nendpoint = "recorded"\nmodel = "{model}"\noutputs = "both.jsonl"\n'
        for arm, model in zip(("candidate", "baseline"), MODELS[:: -1 if swapped else 1], strict=True)
    )
    suites = "".join(
        f'[[suites]]\nname = "{name}"\nrole = "{role}"\ndataset = "{role}.jsonl"\nscorer = "numeric"\n'
        for role, name in ROLES.items()
    )
    (tmp_path / "job.toml").write_text(f'name = "prefixes"\nseed = 81\n{arms}{suites}')
    seen: dict[str, list[str]] = {}
    widths = []
    table = DECISIONS.read_text(encoding="utf-8").splitlines()
    for limit in LIMITS:
        prepared = prepare(tmp_path / "job.toml", database=tmp_path / "e.db", limit=limit)
        record = anyio.run(partial(run_job, prepared, display=nothing)).view.record
        for gate in record["gates"][:3]:
            seen.setdefault(gate["name"], []).append(gate["verdict"])
        gate, (low, high) = record["gates"][0], record["gates"][0]["interval"]
        widths.append(high - low)
        told = f"{gate['verdict']}, {100 * gate['estimate']:+.1f} points ({100 * low:.1f} to {100 * high:.1f})"
        (row,) = (each for each in table if each.startswith(f"| {limit or 'all 102'} | "))
        assert row.split(" | ")[1 + swapped].removesuffix(" |") == told
    for name, verdicts in seen.items():
        assert not {"PASS", "FAIL"} <= set(verdicts), f"{name} contradicts itself: {verdicts}"
        settled = [verdict for verdict in verdicts if verdict in {"PASS", "FAIL"}]
        assert not settled or verdicts[-1] == settled[-1], f"{name} was settled and is open again: {verdicts}"
    assert seen["target_improvement"][0] == "INCONCLUSIVE", "ten cases settle nothing"
    assert seen["target_improvement"][-1] == ("FAIL" if swapped else "PASS")
    assert seen["general_regression"][-1] == ("FAIL" if swapped else "PASS")
    assert widths == sorted(widths, reverse=True)
