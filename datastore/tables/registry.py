"""The registry row of a table: its exact count and its version, changed in the writing transaction."""

from __future__ import annotations

from datastore.postgres.database import Transaction


def count_rows(tx: Transaction, resource_id: str, added: int) -> None:
    """A write adds ``added`` rows (fewer than zero for a deletion): count and version change just before COMMIT.

    The last statement of a transaction holds the row's lock for a moment only: one writer never waits for another's
    load, and versions follow the order of commits.
    """

    async def update() -> None:
        await tx.connection.execute(
            """
            UPDATE datastore.tables SET record_count = record_count + $2, version = version + 1 WHERE resource_id = $1
            """,
            resource_id,
            added,
        )

    tx.before_commit(update)
