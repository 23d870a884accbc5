"""``evalsvc verify``: signature and recomputation of a decision record."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalsvc.errors import EvalsvcError

if TYPE_CHECKING:
    from evalsvc.app.verify import Verification

#: Exit codes: the record holds, it differs, it cannot be checked.
HOLDS, DIFFERS, UNUSABLE = 0, 3, 2

_PATH = click.Path(path_type=Path)


@click.command("verify")
@click.argument("record", type=_PATH)
@click.option("--db", type=_PATH, help="Database the job is in [store.path of the configuration, evalsvc.db].")
@click.option("--config", "config_path", type=_PATH, help="Configuration [EVALSVC_CONFIG, ./config.toml, defaults].")
@click.option("--key", type=_PATH, help="Public key (PEM, Ed25519) that must have signed the record.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def command(
    ctx: click.Context, record: Path, db: Path | None, config_path: Path | None, key: Path | None, as_json: bool
) -> None:
    """Check RECORD (decision.json or decision.dsse.json) against the database.

    Checks the signature, hashes every case and outcome, scores the filed answers again, computes every estimate,
    verdict and the decision again, and names the first difference. Exits 0 when the record holds, 3 when it differs,
    2 when it cannot be checked.
    """
    from evalsvc.app.verify import verify_file

    try:
        found = verify_file(record, config_path=config_path, database=db, key_path=key)
    except EvalsvcError as error:
        click.echo(f"evalsvc: {error}", err=True)
        ctx.exit(UNUSABLE)
    click.echo(_json(found) if as_json else _text(found))
    first = found.first
    if first is not None:
        click.echo(f"evalsvc: {record} differs: {first.said}", err=True)
    ctx.exit(HOLDS if first is None else DIFFERS)


def _json(found: Verification) -> str:
    first = found.first
    difference = None if first is None else {"check": first.name, "place": first.place, "said": first.said}
    return json.dumps({"holds": first is None, "difference": difference, **asdict(found)})


def _text(found: Verification) -> str:
    lines = [f"{check.name:<10} {check.state:<12} {check.said}" for check in found.checks]
    lines += [f"remark: {remark}" for remark in found.remarks]
    lines += ["taken on trust:", *(f"- {each}" for each in found.trusted)]
    return "\n".join([*lines, "HOLDS" if found.first is None else "DIFFERS"])
