"""Writes the Grafana dashboards beside this file: ``python deploy/grafana/generate.py``.

Needs ``pip install 'grafana-foundation-sdk>=0.0.21,<1'`` (a plain install finds versions named for Grafana's instead).
"""

# ruff: noqa: INP001 - a script beside its data, not a package

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from panels import FLEET, JOB, OF_JOB, Kind, Panel

FOLDER = Path(__file__).parent / "dashboards"
_SOURCE = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")


Drawn = stat.Panel | bargauge.Panel | timeseries.Panel
_AT_ONCE = ("bars", "number", "words")


def _drawn(kind: Kind) -> Drawn:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    if kind == "bars":
        return bargauge.Panel().reduce_options(last)
    if kind in _AT_ONCE:
        mode = shapes.BigValueTextMode.NAME if kind == "words" else shapes.BigValueTextMode.VALUE
        return stat.Panel().text_mode(mode).graph_mode(shapes.BigValueGraphMode.NONE).reduce_options(last)
    lines = timeseries.Panel().fill_opacity(25 if kind == "stack" else 5)
    lines.legend(common.VizLegendOptions().show_legend(True).placement(shapes.LegendPlacement.BOTTOM))
    if kind == "stack":
        lines.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL))
    return lines


def _panel(panel: Panel, number: int) -> Drawn:
    built = _drawn(panel.kind)
    built.id(number).title(panel.title).description(panel.about).datasource(_SOURCE).unit(panel.unit)
    if panel.most is not None:
        built.min(0).max(panel.most)
    for (expr, legend), ref in zip(panel.queries, "ABCD", strict=False):
        query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(_SOURCE)
        built.with_target(query.instant() if panel.kind in _AT_ONCE else query.range())
    return built


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    made = dashboard.QueryVariable(name).label(label).query(query).datasource(_SOURCE)
    return made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)


def _everything(name: str, label: str, query: str) -> dashboard.QueryVariable:
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    return _variable(name, label, query).multi(True).include_all(True).current(everything)


def build(uid: str, title: str, rows: dict[str, Sequence[Panel]], variables: Sequence[dashboard.QueryVariable]) -> str:
    """One dashboard as JSON: panels in rows of 24 columns, numbered from 1."""
    board = dashboard.Dashboard(title).uid(uid).tags(["evalsvc"]).readonly().refresh("10s").time("now-1h", "now")
    board.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for variable in variables:
        board.with_variable(variable)
    number, y = 1, 0
    for name, panels in rows.items():
        board.with_row(dashboard.Row(name).id(number).grid_pos(models.GridPos(h=1, w=24, x=0, y=y)))
        number, x, y = number + 1, 0, y + 1
        for panel in panels:
            if x + panel.width > 24:
                x, y = 0, y + panels[0].height
            place = models.GridPos(h=panel.height, w=panel.width, x=x, y=y)
            board.with_panel(_panel(panel, number).grid_pos(place))
            number, x = number + 1, x + panel.width
        y += panels[-1].height
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def dashboards() -> dict[str, str]:
    """The JSON of each dashboard by file name."""
    instance = _everything("instance", "Daemon", "label_values(evalsvc_build_info, instance)")
    job = _variable("eval_job", "Job", 'label_values(evalsvc_job_info{instance=~"$instance"}, eval_job)')
    model = _everything("model", "Model", f"label_values(evalsvc_job_info{{{OF_JOB}}}, gen_ai_request_model)")
    return {
        "fleet.json": build("evalsvc-fleet", "evalsvc: fleet", FLEET, [instance]),
        "job.json": build("evalsvc-job", "evalsvc: job", JOB, [instance, job.sort(models.VariableSort(2)), model]),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in dashboards().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
