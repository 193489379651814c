"""Results of datastore_search_sql as rows to be written out, within the limits of statements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from datastore.accounts.actor import Actor
from datastore.exports.rows import Opener, Rows
from datastore.exports.writer import Unfit
from datastore.postgres.quoting import identifier
from datastore.sqlgate.records import FIRST_ROW
from datastore.sqlgate.run import Sql
from datastore.tables.schema import Column
from datastore.tables.types import FLOATS, INTEGERS

_SMALL = INTEGERS | FLOATS | {"bool", "date", "time", "timetz", "timestamp", "timestamptz", "uuid", "oid"}
_TEXT = frozenset({"text", "varchar", "bpchar"})


def of_statement(sql: Sql, text: str, values: Sequence[Any], actor: Actor, most: int) -> Opener:
    """The rows of a statement that the actor may run; more than ``most`` break the transfer off.

    Opening it raises what :meth:`Sql.run` raises.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[asyncpg.Connection, Rows]]:
        async with sql.opened(text, values, actor) as (connection, fields, statement):
            if not fields:
                raise Unfit("the statement has no columns")
            columns = tuple(_column(field["id"], field["type"]) for field in fields)
            yield connection, Rows(columns, fields, _source(statement, columns, most), most)

    return opened


def _column(name: str, type: str) -> Column:
    return Column(name, type, type, type[1:] if type.startswith("_") else None)


def _source(statement: str, columns: Sequence[Column], most: int) -> str:
    """The rows, as many as show that there are too many; one that is longer than a record may be is an error."""
    names = ", ".join(identifier(column.name) for column in columns)
    rows = f"SELECT * FROM ( {statement} ) AS s({names}) LIMIT {most + 1}"
    sizes = [_size(column) for column in columns if column.type not in _SMALL]
    if not sizes:
        return f"({rows})"
    size = f"({' + '.join(sizes)})"
    # An error must come from a value: a constant one would be raised before any row is read.
    fits = f"CASE WHEN {size} <= {FIRST_ROW} THEN true ELSE ('a record has too many bytes: ' || {size})::boolean END"
    return f"(SELECT s.* FROM ({rows}) AS s WHERE {fits})"


def _size(column: Column) -> str:
    name = f"s.{identifier(column.name)}"
    text = name if column.type in _TEXT or column.type == "bytea" else f"{name}::text"
    return f"coalesce(octet_length({text}), 0)"
