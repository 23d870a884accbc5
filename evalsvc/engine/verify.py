"""Is a record what its outcomes say? Everything in it that can be computed is held against what the database gives.

Each check names the first difference it finds. None rests on another: a changed row shows in the root of its tree, and
where it matters in the scores and the verdicts too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from evalsvc.core.difference import first_difference, shown
from evalsvc.core.records import Arm
from evalsvc.engine.finalizer import environment, scorer_versions
from evalsvc.engine.recompute import JobIn, Recomputed, Rows, Table, at, read_rows, recompute
from evalsvc.errors import StoreError
from evalsvc.store.database import Reader

if TYPE_CHECKING:
    from evalsvc.core.dsse import PublicKey

#: Another processor or library may round the last digits of a statistic otherwise. The copy in the database and the
#: signature are held to the last digit.
_TOLERANCE = 1e-9


class State(StrEnum):
    """What a check found."""

    HOLDS = "holds"
    DIFFERS = "differs"
    UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part of a record: what was found, in a sentence; ``place`` is the key in the record that differs first."""

    name: str
    state: State
    said: str
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All checks in order, what is worth knowing besides, and what nothing can check."""

    checks: tuple[Check, ...]
    remarks: tuple[str, ...]
    trusted: tuple[str, ...]

    @property
    def first(self) -> Check | None:
        """The first check that found a difference; None when the record holds."""
        return next((check for check in self.checks if check.state is State.DIFFERS), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An envelope and the record in it."""

    envelope: Mapping[str, Any]
    record: Mapping[str, Any]


async def verify(
    record: Mapping[str, Any], signed: Signed | None, *, reader: Reader, job_in: JobIn, key: PublicKey | None = None
) -> Verification:
    """Check a record against the database its job is in.

    Args:
        record: as it was read.
        signed: its envelope, where there is one.
        reader: the database.
        job_in: reads the job in a filed document; raises `JobError`.
        key: whose signature is wanted, if one is.

    Raises:
        JobNotFound: the database has no such job.
        StoreError: it was never decided there, or the database cannot be read.
    """
    job_id = at(record, "job", "id")
    if not isinstance(job_id, str):
        raise StoreError("the record names no job (job.id)")
    rows = await read_rows(reader, job_id, job_in)
    return compare(record, signed, await recompute(reader, rows), key)


def compare(
    record: Mapping[str, Any], signed: Signed | None, found: Recomputed, key: PublicKey | None = None
) -> Verification:
    """Hold a record and its envelope against what the database gives."""
    return Verification(
        checks=(
            _signature(record, signed, key),
            *compare_rows(record, found.rows),
            _scores(found),
            _verdicts(record, found),
            _copy(record, signed, found.rows),
        ),
        remarks=tuple(_remarks(record, found)),
        trusted=_trusted(record),
    )


def compare_rows(record: Mapping[str, Any], rows: Rows) -> tuple[Check, Check, Check]:
    """The job, the cases and the outcomes, each by its hash."""
    return (
        _job(record, rows),
        _table(record, "cases", rows.cases, root="cases_root", count="cases"),
        _table(record, "outcomes", rows.outcomes, root="merkle_root", count="leaves"),
    )


def _job(record: Mapping[str, Any], rows: Rows) -> Check:
    said = at(record, "job", "spec_sha256")
    if said != rows.digest:
        words = f"job.spec_sha256: record says {shown(said)}, the filed job gives {shown(rows.digest)}"
        return _differs("job", words, "job.spec_sha256")
    return (
        _differs("job", rows.fault) if rows.fault else _holds("job", f"as filed before the first request, {said[:16]}")
    )


def _table(record: Mapping[str, Any], name: str, table: Table, *, root: str, count: str) -> Check:
    if table.fault:
        return _differs(name, table.fault)
    said = {key: at(record, "evidence", key) for key in (count, root)}
    difference = first_difference(said, {count: table.tree.count, root: table.tree.root})
    if difference is None:
        return _holds(name, f"{table.tree.count:,}, root {table.tree.root[:16]}")
    words = f"evidence.{difference.words('the database gives')}; {table.changed}"
    return _differs(name, words, f"evidence.{difference.place}")


def _scores(found: Recomputed) -> Check:
    wrong = found.scores_fault or found.rescored.first
    return _differs("scores", wrong) if wrong else _holds("scores", f"{found.rescored.scores:,} given again")


def _verdicts(record: Mapping[str, Any], found: Recomputed) -> Check:
    if found.record_fault:
        return _differs("verdicts", found.record_fault)
    difference = first_difference(_unsigned(record), _unsigned(found.record), tolerance=_TOLERANCE)
    if difference is not None:
        return _differs("verdicts", difference.words("outcomes give"), difference.place)
    gates = len(found.record["gates"])
    return _holds("verdicts", f"{found.record['decision']}; {gates} gates and every estimate computed again")


def _signature(record: Mapping[str, Any], signed: Signed | None, key: PublicKey | None) -> Check:
    if signed is not None:
        difference = first_difference(_unsigned(record), _unsigned(signed.record))
        if difference is not None:
            return _differs("signature", difference.words("the signed record says"), difference.place)
    if key is None:
        unsigned = at(record, "signature") is None and signed is None
        said = "the record is not signed" if unsigned else "signature not checked (no key given)"
        return Check(name="signature", state=State.UNCHECKED, said=said)
    if signed is None:
        return _differs("signature", "the record is not signed", "signature")
    wrong = _wrong_signature(signed.envelope, key)
    return _differs("signature", wrong) if wrong else _holds("signature", f"of the key {key.keyid[:16]}")


def _wrong_signature(envelope: Mapping[str, Any], key: PublicKey) -> str | None:
    try:
        holds = key.signed(envelope)
    except ValueError as error:
        return f"the envelope is none: {error}"
    return None if holds else f"no signature in the envelope is of the key {key.keyid[:16]}"


def _copy(record: Mapping[str, Any], signed: Signed | None, rows: Rows) -> Check:
    """Whether the record is the filed one to the last digit, times and warnings included."""
    filed: Mapping[str, Any] = rows.row.record or {}
    inside = signed is not None and at(record, "signature") is None  # the record in an envelope is unsigned
    pairs = [(_unsigned(record), _unsigned(filed)) if inside else (record, filed)]
    if signed is not None and rows.row.envelope is not None:
        pairs.append((signed.envelope, rows.row.envelope))
    for said, found in pairs:
        difference = first_difference(said, found)
        if difference is not None:
            return _differs("copy", difference.words("the copy in the database says"), difference.place)
    return _holds("copy", "the database has the same record")


def _remarks(record: Mapping[str, Any], found: Recomputed) -> list[str]:
    """Where what checks is not what made the record, and which scores it could not check."""
    now: dict[str, Any] = {**environment()}
    then = {name: at(record, "environment", name) for name in now}
    if found.rows.job is not None:
        now |= {f"scorer {name}": version for name, version in scorer_versions(found.rows.job).items()}
    listed = at(record, "scorers")
    for row in listed if isinstance(listed, list) else ():
        then[f"scorer {at(row, 'name')}"] = at(row, "version")
    changed = [
        f"{name} {shown(then[name])} then and {shown(now[name])} now"
        for name in now
        if name in then and then[name] != now[name]
    ]
    remarks = [f"made with other versions: {', '.join(changed)}"] if changed else []
    unsure = sorted(found.rescored.unsure.items())
    return remarks + [f"{count:,} scores not checked: {reason}" for reason, count in unsure]


def _trusted(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What no computing can show."""
    models = " and ".join(shown(at(record, "arms", arm.value, "model")) for arm in Arm)
    return (
        f"that {models} are the models they are called: declared, not verified",
        "that the filed answers and times are what was answered and measured",
        "the environment, the prices, and warnings about the course of the job",
    )


def _unsigned(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "signature": None}


def _holds(name: str, said: str) -> Check:
    return Check(name=name, state=State.HOLDS, said=said)


def _differs(name: str, said: str, place: str | None = None) -> Check:
    return Check(name=name, state=State.DIFFERS, said=said, place=place)
