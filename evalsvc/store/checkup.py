"""What `doctor` asks of a database, read beside whoever works on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalsvc.store.database import open_reader
from evalsvc.store.listing import held

_SQL = """
SELECT (SELECT COUNT(*) FROM jobs), (SELECT MAX(created_at) FROM jobs), (SELECT COUNT(*) FROM tokens)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What a database holds.

    ``newest`` is when its newest job was filed (Unix seconds, None without any); ``held`` whether a process of this
    machine has it in hand (None: not known).
    """

    jobs: int
    newest: float | None
    tokens: int
    held: bool | None


async def database_facts(path: Path) -> DatabaseFacts:
    """Look at a database.

    Raises:
        SchemaMismatch: it is of another evalsvc.
        StoreError: it cannot be read.
    """
    async with open_reader(path) as reader:
        ((jobs, newest, tokens),) = await reader.rows(_SQL)
    return DatabaseFacts(jobs=jobs, newest=newest, tokens=tokens, held=held(path))
