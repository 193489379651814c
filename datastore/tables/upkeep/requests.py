"""What a table asks for when it has been written: a job that prepares it for searches."""

from __future__ import annotations

from datastore.jobs.queue import Request, enqueue
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import qualified
from datastore.tables.reading import fulltext
from datastore.tables.schema import CACHE_KIND, TableSchema

PREPARE = "prepare_table"
"""The kind of the job that makes statistics and the full-text index, as far as the table needs them; its key is the
resource's id."""

QUIET = 3.0
"""Seconds without a further write after which it begins."""


def preparation(resource_id: str, delay: float = 0.0) -> Request:
    """The job that prepares a table."""
    return Request(PREPARE, resource_id, f"Statistics and full-text index of table {resource_id}", delay=delay)


async def drop_index(tx: Transaction, schema: TableSchema) -> None:
    """Drop the table's full-text index, if it has one. A scan answers from the commit on, until a job has built the
    index anew.

    The caller holds the table exclusively (:func:`datastore.tables.locking.exclusively`).
    """
    await tx.connection.execute(f"DROP INDEX IF EXISTS {qualified(schema.dataset_id, fulltext.index_name(schema))}")
    await tx.connection.execute(
        "UPDATE datastore.tables SET fulltext = 'none' WHERE resource_id = $1", schema.resource_id
    )
    tx.changed(CACHE_KIND, schema.resource_id)

    async def ask() -> None:
        await enqueue(tx, preparation(schema.resource_id, QUIET))

    if schema.fulltext != "none":  # else whoever writes the table asks, once it is large enough
        tx.before_commit(ask)
