"""COPY of Python values in PostgreSQL's binary format, as each column's type has it at this moment."""

from __future__ import annotations

from collections.abc import AsyncIterable, Collection, Sequence
from typing import Any

import asyncpg

from datastore.postgres.quoting import identifier, qualified


async def copy_records(
    connection: asyncpg.Connection,
    schema: str,
    table: str,
    columns: Sequence[str],
    records: AsyncIterable[tuple[Any, ...]],
    encoded: Collection[str] = (),
) -> int:
    """Copy ``records``, tuples in the order of ``columns``, into a table; gives the number of rows.

    Values of the columns in ``encoded``, which must be of the type ``numeric``, are bytes in PostgreSQL's binary format
    already.

    Use this in a transaction, and not asyncpg's ``copy_records_to_table``: that takes the types of the columns from a
    statement which it remembers by its text. After a column's type changed, or when another temporary table has the
    name, it would send values in a wrong form, and of the same size unnoticed. Raises what ``records`` raises,
    asyncpg's errors, and :class:`ValueError`, :class:`TypeError` or :class:`OverflowError` for a value of another type.
    """
    names = ", ".join(map(identifier, columns))
    # Prepared anew, and the table locked by it against a change until the end of the transaction.
    # numeric_send makes bytes of a numeric, and is refused for a column that has become something else.
    values = ", ".join(
        f"pg_catalog.numeric_send({identifier(name)})" if name in encoded else identifier(name) for name in columns
    )
    typed = await connection.prepare(f"SELECT {values} FROM {qualified(schema, table)} LIMIT 0")
    plain: Any = getattr(connection, "_con", connection)  # a pool lends a proxy
    status = await plain._protocol.copy_in(
        f"COPY {qualified(schema, table)} ({names}) FROM STDIN (FORMAT binary)", None, None, records, typed._state, None
    )
    return int(status.split()[-1])
