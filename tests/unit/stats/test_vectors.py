"""No reference value is forgotten: each is held by a test of this room, or it is said here why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOM = [*(ROOT / "unit" / "stats").glob("test_*.py"), *(ROOT / "statistics").glob("test_*.py")]

LEFT_OUT = {
    "_versions": "what they were computed with",
    "wilcoxon_pratt": "no gate ranks differences: a mean is what is claimed",
    "e_merge": "no gate merges e-values; the rooms' own mixture is held by confseq's values",
    "krippendorff_edge": "what another library raises; here the answer is None",
    "cohen_edge_all_same": "what another library returns; here the answer is None",
    "bt_3": "Bradley-Terry needs three models; a job has two",
    "bt_3_glm": "as bt_3",
    "bt_disconnected": "as bt_3",
    "psi": "distribution shift has no gate",
    "psi_test": "as psi",
    "psi_null_95pct": "as psi",
    "auc": "as psi",
    "mmd2": "as psi",
    "length_control": "metric gaming has no gate",
    "judge_human": "as length_control",
    "missing_bounds": "the bounds of missing answers are the deciding room's (`Bounded`)",
    "ngram_overlap": "contamination has no gate, and its words are no statistics",
    "grid": "the formula in words",
    "confseq hedged_cs 95% (mapped 2x-1)": "another confidence sequence, for comparison",
    "confseq predmix_empbern 95%": "as the hedged one",
    "confseq betting_mart predmix lambda, m=0, theta=1, alpha=.025, trunc=.5": "as the hedged one",
    "bern_E_check k=182,n=200,p0=.85 confseq": "the same value again, by confseq",
    "asymptotic_cs_halfwidth s2=.2025,alpha=.05": "as the hedged one",
    "latency_bonf_ranks check n=1000 upper scipy": "the same value again, by scipy",
    "latency_bonf_ranks check n=1000 lower scipy": "as the upper one",
    "raw4_conger": "a fourth kappa nobody asks for",
    "sequential": "simulations of stopping: held where stopping is decided",
    "misc2": "timings and widths of methods not chosen",
}


def names(vectors: Any) -> Iterator[str]:
    for group in ("fixed", "fixed2", "sequential", "irrCAC", "simulations"):
        yield from vectors[group]
    yield "ppi"


def test_every_reference_value_is_held_or_left_out_with_a_reason(vectors: Any) -> None:
    held = "\n".join(path.read_text(encoding="utf-8") for path in ROOM if path.name != Path(__file__).name)
    families = ("counts ", "E_const ", "E_mix12 ", "lcb_mix12 ", "ucb_mix12 ")  # whose keys hold the numbers themselves

    def is_held(name: str) -> bool:
        quoted = next((family for family in families if name.startswith(family)), f'"{name}"')
        return quoted in held

    assert {name for name in names(vectors) if not is_held(name)} <= LEFT_OUT.keys()
    assert set(LEFT_OUT) <= set(names(vectors))
