"""Locks on tables that readers hardly notice."""

from __future__ import annotations

import asyncio
import random

import asyncpg

from datastore.errors import Unavailable
from datastore.postgres.database import Transaction
from datastore.tables.schema import TableSchema

_PATIENCE = 0.04
"""Seconds. Whoever waits for an exclusive lock makes every new reader of the table wait behind: never for longer."""


async def exclusively(tx: Transaction, schema: TableSchema, patience: float | None = None) -> None:
    """Lock the table for a change of its definition, until the end of the transaction.

    While somebody reads or writes it for long, this tries again and again instead of waiting in the queue. Raises
    :class:`Unavailable` after ``patience`` seconds, or when the lock timeout of writes has passed,
    :class:`asyncpg.UndefinedTableError` if the table has gone.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (tx.settings.lock_timeout if patience is None else patience)
    usual = int(tx.settings.lock_timeout * 1000)
    while True:
        try:
            async with tx.connection.transaction():
                await tx.connection.execute(
                    f"SET LOCAL lock_timeout = {int(_PATIENCE * 1000)};"
                    f" LOCK TABLE {schema.sql_name} IN ACCESS EXCLUSIVE MODE;"
                    f" SET LOCAL lock_timeout = {usual}"
                )
            return
        except asyncpg.LockNotAvailableError:
            if loop.time() > deadline:
                raise Unavailable("the table is being read or written; try again") from None
            await asyncio.sleep(random.uniform(0.5, 1.5) * 0.1)  # noqa: S311 -- jitter, not a secret
