"""The history of a table: a table of the same dataset into which a trigger writes each old row.

Rows are recorded as they are updated and deleted, by ``record_history`` of the library; a dropped table is recorded
whole. Inserting rows costs nothing.
"""

from __future__ import annotations

from dataclasses import replace

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import literal, qualified
from datastore.tables.functions.plpgsql import SCHEMA
from datastore.tables.functions.triggers import announce
from datastore.tables.locking import exclusively
from datastore.tables.registry import count_nested, install_counter
from datastore.tables.schema import CACHE_KIND, TableSchema, load

FUNCTION = "record_history"
"""The function of the library that records."""

COLUMNS = {
    "changed_at": "timestamptz",
    "changed_by": "text",
    "operation": "text",
    "record_id": "int8",
    "record": "jsonb",
}
"""The columns of a history and their types."""

# The rows are compared as they are stored: json has no equality.
_TRIGGERS = {
    "datastore_history_update": "AFTER UPDATE ON {table} FOR EACH ROW WHEN (OLD.* *<> NEW.*)",
    "datastore_history_delete": "AFTER DELETE ON {table} FOR EACH ROW",
    "datastore_history_truncate": "BEFORE TRUNCATE ON {table} FOR EACH STATEMENT",
}


async def attach(tx: Transaction, schema: TableSchema, history: TableSchema) -> None:
    """From now on record the old rows of ``schema`` in ``history``, an empty table of the same dataset.

    The caller holds ``define.lock``; :data:`FUNCTION` is installed and kept. Raises :class:`ValidationError`
    ``resource_id`` for a table that has a history, or is one.
    """
    if schema.history is not None:
        raise ValidationError({"resource_id": [f"The table has a history already: {schema.history}"]})
    if schema.history_of is not None:
        raise ValidationError({"resource_id": [f"This is the history of {schema.history_of}"]})
    await install(tx, schema.sql_name, history.resource_id)
    await install_counter(tx, history.sql_name)
    await tx.connection.execute(
        "UPDATE datastore.tables SET history = $2 WHERE resource_id = $1", schema.resource_id, history.resource_id
    )
    tx.changed(CACHE_KIND, schema.resource_id)
    tx.changed(CACHE_KIND, history.resource_id)


async def install(tx: Transaction, table: str, history_id: str) -> None:
    """Put the triggers on a table, given by its SQL name, that record its old rows in the table ``history_id``."""
    function = f"{qualified(SCHEMA, FUNCTION)}({literal(history_id)})"
    for name, events in _TRIGGERS.items():
        await tx.connection.execute(
            f"CREATE OR REPLACE TRIGGER {name} {events.format(table=table)} EXECUTE FUNCTION {function}"
        )


async def detach(tx: Transaction, schema: TableSchema) -> TableSchema:
    """Record no more; what is recorded stays, in a table like any other."""
    if schema.history is None:
        return schema
    await exclusively(tx, schema)
    for name in _TRIGGERS:
        await tx.connection.execute(f"DROP TRIGGER {name} ON {schema.sql_name}")
    await tx.connection.execute("UPDATE datastore.tables SET history = NULL WHERE resource_id = $1", schema.resource_id)
    tx.changed(CACHE_KIND, schema.resource_id)
    tx.changed(CACHE_KIND, schema.history)
    return replace(schema, history=None)


async def before_drop(tx: Transaction, schema: TableSchema) -> None:
    """The table, which is locked, is about to be dropped: record its rows; if it is a history, end that."""
    if schema.history is not None:
        await announce(tx, schema)
        await tx.connection.execute(f"TRUNCATE {schema.sql_name}")
        tx.before_commit(lambda: count_nested(tx, schema.resource_id))
        tx.changed(CACHE_KIND, schema.history)
    if schema.history_of is not None:
        source = await load(tx.connection, schema.history_of)
        if source is not None:
            await detach(tx, source)
