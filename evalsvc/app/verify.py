"""Reads a record from a file and has it checked against the database its job is in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from evalsvc import config
from evalsvc.app.plugins import check_gates, load_plugins
from evalsvc.core.records import Job
from evalsvc.decide.statement import record_in
from evalsvc.engine.verify import Signed, Verification, verify
from evalsvc.errors import InputError
from evalsvc.jobfile.document import job_in
from evalsvc.store.database import open_reader
from evalsvc.suites.strict_json import Fault, loads

if TYPE_CHECKING:
    from evalsvc.core.dsse import PublicKey

__all__ = ["Verification", "verify_file"]

#: No record is longer.
_MOST_BYTES = 64 * 2**20


def verify_file(
    path: Path, *, config_path: Path | None = None, database: Path | None = None, key_path: Path | None = None
) -> Verification:
    """Check the record in a file, ``decision.json`` or its signed envelope.

    Args:
        path: the file.
        config_path: the configuration, which names the database.
        database: the database, instead.
        key_path: the public key (PEM) whose signature is wanted.

    Raises:
        InputError: a file cannot be read or is not what it should be.
        StoreError: the database cannot be read, or does not have the job decided.
        ConfigError: a plug-in cannot be imported, or the job asks for a gate that none brings.
    """
    key = _key(key_path) if key_path is not None else None
    record, signed = _read(path, wanted=key is not None)
    settings = config.load(config_path, os.environ)
    load_plugins(settings)
    db = database if database is not None else Path(settings.store.path)

    filed: list[Job] = []

    def read(document: str) -> Job:
        filed.append(job_in(document))
        return filed[-1]

    async def work() -> Verification:
        async with open_reader(db) as reader:
            return await verify(record, signed, reader=reader, job_in=read, key=key)

    try:
        return anyio.run(work)
    except LookupError:
        for job in filed:
            check_gates(job)  # a gate that cannot be judged here says nothing against the record
        raise


def _read(path: Path, *, wanted: bool) -> tuple[Mapping[str, Any], Signed | None]:
    """The record in a file, and its envelope: the file itself, or the one that the record names beside it."""
    found = _object(path)
    if "payloadType" in found:
        signed = _signed(found, path)
        return signed.record, signed
    signature = found.get("signature")
    if signature is None:
        return found, None
    name = signature.get("envelope") if isinstance(signature, dict) else None
    if not isinstance(name, str) or Path(name).name != name:
        raise InputError("must be null, or name the envelope's file", file=str(path), key="signature.envelope")
    beside = path.with_name(name)
    if not wanted and not beside.exists():
        return found, None
    return found, _signed(_object(beside), beside)


def _signed(envelope: dict[str, Any], path: Path) -> Signed:
    from evalsvc.core.dsse import payload_of  # noqa: PLC0415 - only for signed records

    try:
        return Signed(envelope=envelope, record=record_in(_loads(payload_of(envelope))))
    except ValueError as error:
        raise InputError(f"no envelope of a decision record: {error}", file=str(path)) from None


def _object(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot be read: {reason}", file=str(path)) from None
    if len(raw) > _MOST_BYTES:
        raise InputError(f"more than {_MOST_BYTES} bytes: no decision record", file=str(path))
    try:
        value = _loads(raw)
    except ValueError as error:
        raise InputError(f"no decision record: {error}", file=str(path)) from None
    if not isinstance(value, dict):
        raise InputError("no decision record: not a JSON object", file=str(path))
    return value


def _loads(raw: bytes) -> Any:
    """A value that every reader of JSON takes for the same one: no key twice. Raises ValueError."""
    try:
        return loads(raw)
    except Fault as fault:
        raise ValueError(fault.message) from None


def _key(path: Path) -> PublicKey:
    from evalsvc.core.dsse import PublicKey  # noqa: PLC0415 - only who checks a signature pays for the import

    try:
        return PublicKey.from_pem(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except ValueError as error:
        raise InputError(str(error), file=str(path)) from None
