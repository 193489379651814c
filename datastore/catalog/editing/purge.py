"""Purging: a dataset goes for good, with its resources, their tables, and everything that hangs on it."""

from __future__ import annotations

from datastore.catalog.datasets.rows import lock_access
from datastore.catalog.editing.finish import Written, finish
from datastore.postgres.database import Transaction
from datastore.tables.definition.define import drop_table
from datastore.tables.definition.visibility import drop_dataset_schema

_TABLES = "SELECT resource_id FROM datastore.tables WHERE dataset_id = $1 ORDER BY resource_id"

# What refers to a dataset or resource by a foreign key goes with it.
_DELETE = (
    """
    DELETE FROM datastore.task_statuses
    WHERE entity_id = $1 OR entity_id IN (SELECT id FROM datastore.resources WHERE dataset_id = $1)
    """,
    "DELETE FROM datastore.members WHERE table_name = 'package' AND table_id = $1",
    "DELETE FROM datastore.activities WHERE dataset_id = $1",
    "DELETE FROM datastore.followers WHERE object_id = $1",
    "DELETE FROM datastore.resources WHERE dataset_id = $1",
    "DELETE FROM datastore.datasets WHERE id = $1",
)


async def purge_dataset(tx: Transaction, id_or_name: str) -> str:
    """Remove a dataset, in whatever state, for good. Gives its id. Raises :class:`NotFound`."""
    access = await lock_access(tx, id_or_name)
    for row in await tx.connection.fetch(_TABLES, access.id):
        await drop_table(tx, row["resource_id"])
    await drop_dataset_schema(tx, access.id)
    for statement in _DELETE:
        await tx.connection.execute(statement, access.id)
    await finish(tx, [Written(access, None)])
    return access.id
