"""What a bulk load does not wait for: the full-text index of a table that grows to twice its size, or more."""

from __future__ import annotations

import contextlib

from datastore.errors import Unavailable
from datastore.postgres.database import Database, Transaction
from datastore.tables.locking import exclusively
from datastore.tables.schema import TableSchema
from datastore.tables.upkeep.requests import drop_index

BULK_FROM = 2**23
"""Bytes of records. To bring fewer into the index takes two or three seconds at most."""

_PATIENCE = 0.2
"""Seconds to wait for those who read the table just now."""


async def spare_index(database: Database, schema: TableSchema, size: int) -> None:
    """To be called before records of ``size`` bytes are loaded: drops the full-text index if it costs more to bring
    them all into it than to build it anew. A job builds it again, also if the load fails.

    That is so when there are about as many new rows as old ones. Until the new index is there, a scan finds the same
    rows. It is a transaction of its own, since the lock that it takes keeps readers out: for a moment, not for a load.
    A table that others read for long keeps its index.
    """
    if schema.fulltext != "ready" or size < BULK_FROM:
        return

    async def drop(tx: Transaction) -> None:
        stored = await tx.connection.fetchval("SELECT pg_relation_size($1::bigint::oid)", schema.oid)
        if stored is not None and stored <= size:
            await exclusively(tx, schema, _PATIENCE)
            await drop_index(tx, schema)

    with contextlib.suppress(Unavailable):
        await database.write(drop)
