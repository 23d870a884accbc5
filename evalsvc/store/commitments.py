"""What a record commits to: every case and every outcome of a job as a leaf of a Merkle tree.

The leaf of a row is the canonical form (RFC 8785) of an array: the name of the format, then the row's columns in the
order below, each as it is stored, so that JSON inside a column is a text. The order of leaves is the order of the rows'
keys. docs/record.md tells users the same; whoever adds a column to these tables adds it here and renames the format.
"""

from __future__ import annotations

from evalsvc.core.canonical import dumps_row
from evalsvc.core.difference import shown
from evalsvc.core.merkle import Tree, leaf_hash
from evalsvc.store.database import Reader

#: The tree both are leaves of, and the formats of a leaf.
TREE_FORMAT = "rfc6962-sha256"
CASE_FORMAT = "evalsvc.case/1"
OUTCOME_FORMAT = "evalsvc.outcome/1"

CASE_COLUMNS = ("position", "suite", "case_id", "category", "payload")
OUTCOME_COLUMNS = (
    *("position", "suite", "case_id", "arm", "trial", "step", "status", "kind", "detail"),
    *("text", "finish_reason", "refusal", "tool_calls", "reasoning", "logprobs", "model", "fingerprint"),
    *("input_tokens", "output_tokens", "latency_s", "first_byte_s", "first_token_s", "since_scheduled_s"),
    *("tainted", "simulated", "repaired", "score", "scores", "attempts", "finished_at"),
)
_OUTCOME_KEY = "position, arm, trial, step"


class Commitments:
    """The Merkle trees of one database."""

    def __init__(self, reader: Reader) -> None:
        self._db = reader

    async def cases(self, job_id: str) -> Tree:
        """The tree over a job's cases. Raises `StoreError` for rows that evalsvc cannot have written."""
        return await self._tree("cases", CASE_FORMAT, CASE_COLUMNS, "position", job_id)

    async def outcomes(self, job_id: str) -> Tree:
        """The tree over a job's outcomes, whatever their step. Raises as `cases` does."""
        return await self._tree("outcomes", OUTCOME_FORMAT, OUTCOME_COLUMNS, _OUTCOME_KEY, job_id)

    async def _tree(self, table: str, name: str, columns: tuple[str, ...], key: str, job_id: str) -> Tree:
        # Hashed where the row is read: in SQLite's thread, one row in memory at a time, however long its texts are.
        await self._db.reader.create_function("leaf", len(columns), lambda *row: leaf_hash(dumps_row((name, *row))))
        sql = f"SELECT leaf({', '.join(columns)}) FROM {table} WHERE job_id = ? ORDER BY {key}"  # noqa: S608 - constants
        tree = Tree()
        async for chunk in self._db.stream(sql, (job_id,)):
            tree.extend(leaf for (leaf,) in chunk)
        return tree

    async def marks(self, job_id: str) -> tuple[bytes, bytes]:
        """The marks of both trees when the job was decided: cases, outcomes; empty before that."""
        for cases, outcomes in await self._db.rows(
            "SELECT case_marks, outcome_marks FROM jobs WHERE id = ?", (job_id,)
        ):
            return cases or b"", outcomes or b""
        return b"", b""

    async def name_of_case(self, job_id: str, place: int) -> str | None:
        """What people call the case at a 0-based place in its tree, None where there is none."""
        sql = "SELECT suite, case_id FROM cases WHERE job_id = ? ORDER BY position LIMIT 1 OFFSET ?"
        for suite, case_id in await self._db.rows(sql, (job_id, place)):
            return f"case {shown(case_id)} of {shown(suite)}"
        return None

    async def name_of_outcome(self, job_id: str, place: int) -> str | None:
        """What people call the outcome at a 0-based place in its tree, None where there is none."""
        sql = f"""SELECT suite, case_id, arm, trial, step FROM outcomes
                  WHERE job_id = ? ORDER BY {_OUTCOME_KEY} LIMIT 1 OFFSET ?"""  # noqa: S608 - a constant
        for suite, case_id, arm, trial, step in await self._db.rows(sql, (job_id, place)):
            return f"case {shown(case_id)} of {shown(suite)}, {shown(arm)}, trial {trial}, {shown(step)}"
        return None
