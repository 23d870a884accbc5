"""How often gates and whole decisions are wrong when the truth is known, and the page that says so.

Simulations are those of ``benchmarks/error_rates.py``. The short version holds a few hundred runs against what chance
allows them (three standard errors); the long one computes the page's tables anew.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from math import sqrt
from pathlib import Path
from types import ModuleType

import pytest

from evalsvc.core.records import Decision

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "statistics.md"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cells() -> ModuleType:
    """What computes the cells of the tables."""
    loaded("truths")
    return loaded("cells")


@pytest.fixture(scope="module")
def rates(cells: ModuleType) -> ModuleType:  # noqa: ARG001 - which it imports
    """The command that computes the tables of the page."""
    return loaded("error_rates")


def allowed(runs: int, error: float = 0.03) -> float:
    return error + 3 * sqrt(error * (1 - error) / runs)


@pytest.mark.parametrize(("n", "mean"), [(20, 0.05), (50, -0.05), (100, 0.05)])
def test_graded_gates_err_seldom_where_t_errs_often(cells: ModuleType, n: int, mean: float) -> None:
    lopsided = ("one in 10 fails", "one in 25 fails", "one in 50 fails", "a long tail below", "nine in ten tie")
    found = [cells.graded(shape, n, mean, mean, 200) for shape in lopsided]
    assert max(each.by_t for each in found) > 0.08
    for each in found:
        assert each.passed <= allowed(200)
        assert each.failed <= allowed(200)


def test_graded_gates_are_decided_by_t_where_it_holds(cells: ModuleType) -> None:
    for shape in ("even, sd 0.3", "a judge's five levels"):
        found = cells.graded(shape, 200, 0.0, -0.05, 300)
        assert found.t_stood > 0.99
        assert found.passed == found.by_t > 0.5
    assert cells.graded("one in 50 fails", 200, 0.0, -0.05, 300).t_stood == 0.0


@pytest.mark.parametrize("n", [50, 75, 96, 110])
def test_paired_gates_on_rights_and_wrongs_keep_their_size(cells: ModuleType, n: int) -> None:
    for differ in (0.0505, 0.055, 0.06, 0.08, 0.15):
        for threshold in (0.05, -0.05):
            assert cells.paired_pass(n, threshold, differ, threshold) <= 0.0275


@pytest.mark.parametrize(
    "label",
    [
        "no better than the baseline",
        "better by exactly 5 points",
        "general cases worse by exactly 5 points",
        "exactly 85% of target cases pass",
        "exactly 90% of attacks resisted",
        "p99 exactly twice the baseline's",
        "every claim exactly at its threshold",
    ],
)
def test_no_false_claim_ships_more_often_than_its_gate_passes(cells: ModuleType, label: str) -> None:
    shares = cells.decisions(label, "interval", 100)
    assert shares[Decision.SHIP] <= allowed(100)
    if label == "no better than the baseline":
        assert shares[Decision.ITERATE] > 0.5


def test_true_claims_ship_and_are_hardly_ever_sent_back(cells: ModuleType) -> None:
    shares = cells.decisions("all claims true, with room", "interval", 100)
    assert shares[Decision.SHIP] > 0.85
    assert shares[Decision.ITERATE] <= 0.01
    assert cells.decisions("the same, 1% of the answers missing", "interval", 10)[Decision.HOLD] == 1.0


def test_the_point_rule_ships_a_coin_toss(cells: ModuleType) -> None:
    assert 0.3 < cells.decisions("better by exactly 5 points", "point", 100)[Decision.SHIP] < 0.7


def committed(rates: ModuleType, name: str) -> dict[str, dict[str, str]]:
    """The page's table: row → column → cell."""
    found = re.search(rf"<!-- table {name} -->\n(.*?)<!-- end -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, name
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
    head = rows[0]
    assert head == [rates.TABLES[name].head, *rates.TABLES[name].columns]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows[2:]}


def test_the_page_has_every_table_with_every_row(rates: ModuleType) -> None:
    for name, table in rates.TABLES.items():
        page = committed(rates, name)
        assert list(page) == list(table.rows)
        for label, cells in table.rows.items():
            assert {column for column, cell in page[label].items() if cell} == set(cells)


def test_the_page_says_what_the_code_says(rates: ModuleType) -> None:
    """The cells that are cheap: the exact ones of up to 100 cases, and one simulated one."""
    page = committed(rates, "thresholds")
    for label, cells in rates.TABLES["thresholds"].rows.items():
        for column in {"n = 50", "n = 100"} & set(cells):
            assert page[label][column] == cells[column](), (label, column)
    for label, cells in rates.TABLES["power"].rows.items():
        if "graded" not in label and "n = 100" in cells:
            assert committed(rates, "power")[label]["n = 100"] == cells["n = 100"]()
    for name in ("graded", "coverage"):
        cell = rates.TABLES[name].rows["one in 25 fails"]["n = 20"]()
        assert committed(rates, name)["one in 25 fails"]["n = 20"] == cell


def test_no_cell_of_the_page_is_beyond_what_it_says(rates: ModuleType) -> None:
    assert "never above 3.2%" in PAGE.read_text(encoding="utf-8")
    for label, cells in committed(rates, "thresholds").items():
        for cell in filter(None, cells.values()):
            errors = [float(each) for each in re.findall(r"[\d.]+", cell.partition("→")[2] or cell)]
            assert max(errors) <= 2.5, (label, cell)
    for label, cells in committed(rates, "graded").items():
        for cell in cells.values():
            assert float(cell.partition("→")[2].strip(" %")) <= 3.2, (label, cell)
    for label, cells in committed(rates, "coverage").items():
        assert min(float(cell.strip("%")) for cell in cells.values()) >= 93.5, label
    for label, cells in committed(rates, "decisions").items():
        if label != "all claims true, with room":
            assert float(cells["SHIP"].strip("%")) <= 2.5, label


@pytest.mark.long
@pytest.mark.parametrize("name", ["thresholds", "graded", "coverage", "power", "decisions", "clusters"])
def test_every_cell_of_the_page_comes_out_again(rates: ModuleType, name: str) -> None:
    assert committed(rates, name) == {
        label: {column: cells[column]() if column in cells else "" for column in rates.TABLES[name].columns}
        for label, cells in rates.TABLES[name].rows.items()
    }


def test_a_table_is_written_between_its_markers(rates: ModuleType) -> None:
    page = "a\n<!-- table x -->\nold\n<!-- end -->\nb\n<!-- table y -->\n<!-- end -->\n"
    assert rates.replaced(page, "x", "| new |") == page.replace("old", "| new |")
    assert "| more |" in rates.replaced(page, "y", "| more |")
    with pytest.raises(LookupError, match="'z'"):
        rates.replaced(page, "z", "")
