"""COPY of Python values in PostgreSQL's binary format, as each column's type has it at this moment."""

from __future__ import annotations

from collections.abc import AsyncIterable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self

import asyncpg

from datastore.postgres.quoting import identifier, qualified


@dataclass(frozen=True, slots=True)
class BinaryCopy:
    """COPY into some columns of a table. Make it with :meth:`prepare`."""

    _connection: Any
    _statement: str
    _typed: Any

    @classmethod
    async def prepare(
        cls,
        connection: asyncpg.Connection,
        schema: str,
        table: str,
        columns: Sequence[str],
        encoded: Collection[str] = (),
    ) -> Self:
        """Ask for the types of the columns, and so lock the table against a change until the end of the transaction.

        Values of the columns in ``encoded``, which must be of the type ``numeric``, are bytes in PostgreSQL's binary
        format already.

        Use this in a transaction, and not asyncpg's ``copy_records_to_table``: that takes the types of the columns from
        a statement which it remembers by its text. After a column's type changed, or when another temporary table has
        the name, it would send values in a wrong form, and of the same size unnoticed.
        """
        # numeric_send makes bytes of a numeric, and is refused for a column that has become something else.
        values = ", ".join(
            f"pg_catalog.numeric_send({identifier(name)})" if name in encoded else identifier(name) for name in columns
        )
        typed = await connection.prepare(f"SELECT {values} FROM {qualified(schema, table)} LIMIT 0")
        names = ", ".join(map(identifier, columns))
        return cls(
            getattr(connection, "_con", connection),  # a pool lends a proxy
            f"COPY {qualified(schema, table)} ({names}) FROM STDIN (FORMAT binary)",
            typed,
        )

    async def copy(self, records: AsyncIterable[tuple[Any, ...]], before: str = "") -> int:
        """Copy ``records``, tuples in the order of the columns; gives the number of rows.

        ``before`` are statements without results that run first, in the same message: records are made and sent while
        PostgreSQL is still at work on them, up to what asyncpg and the socket hold. An error of theirs is raised as
        one of COPY would be, when the records have come to their end.

        Raises what ``records`` raises, asyncpg's errors, and :class:`ValueError`, :class:`TypeError` or
        :class:`OverflowError` for a value of another type.
        """
        statement = f"{before}; {self._statement}" if before else self._statement
        status = await self._connection._protocol.copy_in(statement, None, None, records, self._typed._state, None)
        return int(status.split()[-1])
