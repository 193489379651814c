"""The registry row of a table: its exact count and its version, changed in the writing transaction.

The version changes with every change of the row: a trigger sees to it (``datastore.next_version``).
"""

from __future__ import annotations

from datastore.errors import ValidationError
from datastore.postgres.database import Database, Transaction
from datastore.postgres.quoting import identifier, qualified
from datastore.tables.schema import TableSchema

_COUNTER = "datastore_count"
"""The trigger that counts what trigger functions write (``datastore.count_nested``)."""


async def version(database: Database, schema: TableSchema) -> int | None:
    """The table's version as it stands now: a greater one after every change. None if there is no such table.

    It is read by the least role that may read the table, which sees no other.
    """
    pool = database.public if schema.public else database.reader
    found: int | None = await pool.fetchval(
        "SELECT version FROM datastore.tables WHERE resource_id = $1", schema.resource_id, generic=True
    )
    return found


def count_rows(tx: Transaction, resource_id: str, added: int) -> None:
    """A write adds ``added`` rows (fewer than zero for a deletion): count and version change just before COMMIT.

    The last statement of a transaction holds the row's lock for a moment only: one writer never waits for another's
    load, and versions follow the order of commits. What the functions of the table's triggers wrote counts too.
    """

    async def update() -> None:
        has_triggers = await tx.connection.fetchval(
            """
            UPDATE datastore.tables SET record_count = record_count + $2, written = clock_timestamp()
            WHERE resource_id = $1
            RETURNING triggers <> '[]' OR history IS NOT NULL
            """,
            resource_id,
            added,
        )
        if has_triggers:
            if not tx.runs_functions:
                # The schema that the write was planned for is older than the triggers; whoever retries has the new one.
                raise ValidationError({"resource_id": ["The triggers of the table have just changed: try again"]})
            await count_nested(tx, resource_id)

    tx.before_commit(update)


async def install_counter(tx: Transaction, table: str) -> None:
    """Let PostgreSQL count the rows that trigger functions add to ``table`` (its SQL name) and take from it."""
    await tx.connection.execute(
        f"CREATE OR REPLACE TRIGGER {identifier(_COUNTER)} AFTER INSERT OR DELETE ON {table}"
        " FOR EACH ROW WHEN (pg_trigger_depth() > 0) EXECUTE FUNCTION datastore.count_nested()"
    )


# A table that this transaction has written is one on which it holds the lock that every write takes.
_NESTED = """
    SELECT registry.resource_id, registry.dataset_id,
           nullif(current_setting('datastore.nested_' || class.oid, true), '')::bigint AS added,
           EXISTS (SELECT FROM pg_trigger WHERE tgrelid = class.oid AND tgname = $2) AS counted
    FROM pg_locks AS lock
    JOIN pg_class AS class ON class.oid = lock.relation
    JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN datastore.tables AS registry
        ON registry.resource_id = class.relname AND registry.dataset_id = namespace.nspname
    WHERE lock.pid = pg_backend_pid() AND lock.locktype = 'relation' AND lock.mode = 'RowExclusiveLock'
          AND (registry.resource_id <> $1 OR current_setting('datastore.nested_' || class.oid, true) <> '')
    ORDER BY registry.resource_id
"""


async def count_nested(tx: Transaction, resource_id: str) -> None:
    """Bring count and version of all tables up to date that trigger functions of ``resource_id`` have written.

    A table that such a function writes for the first time is counted once, under a lock that keeps other writers out,
    and then counts by itself.
    """
    for row in await tx.connection.fetch(_NESTED, resource_id, _COUNTER):
        if row["counted"]:
            await tx.connection.execute(
                """
                UPDATE datastore.tables SET record_count = record_count + $2, written = clock_timestamp()
                WHERE resource_id = $1
                """,
                row["resource_id"],
                row["added"] or 0,
            )
        else:
            table = qualified(row["dataset_id"], row["resource_id"])
            await install_counter(tx, table)
            await tx.connection.execute(
                f"""
                UPDATE datastore.tables
                SET record_count = (SELECT count(*) FROM {table}), written = clock_timestamp()
                WHERE resource_id = $1
                """,
                row["resource_id"],
            )
