"""What is written out: rows of a table or of a statement, before any format has made text of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from datastore.errors import NotFound
from datastore.postgres.database import Database
from datastore.postgres.quoting import identifier
from datastore.tables.names import ID
from datastore.tables.reading.search import Plan
from datastore.tables.schema import Column, TableSchema

SOURCE = "page"
"""The name under which the rows stand in a statement that reads them."""


_LARGE = 32 * 2**20
"""Bytes of a table that is worth a second connection."""
_STRETCH = 2 * 2**20
"""Bytes of the table that a connection reads at its turn: about what it may be ahead of it."""


@dataclass(frozen=True)
class Split:
    """How several connections read a large table at a time."""

    connections: Sequence[asyncpg.Connection]
    conditions: Sequence[str]
    """Of stretches of the rows, one behind the other; every row is in one of them."""


@dataclass(frozen=True)
class Rows:
    """Columns, and the SQL of the rows that have them, in their order."""

    columns: tuple[Column, ...]
    fields: Sequence[Mapping[str, Any]]
    """The columns as a search describes them."""
    source: str
    """A sub-select, as it may stand in FROM."""
    most: int | None = None
    """More rows than these break the transfer off."""
    unordered: str | None = None
    """The same sub-select without an order, if it needs none."""
    split: Split | None = None
    registry: str | None = None
    """FROM and WHERE of the row ``registry`` of a table all of whose rows these are: it tells ``version`` and
    ``record_count`` in the same snapshot.
    """

    def aggregate(self, cells: Sequence[str], limits: str = "") -> str:
        """The statement that gives expressions over the rows, ``page``, whose order does not matter: aggregates."""
        return f"SELECT {', '.join(cells)} FROM {self.unordered or self.source} AS {SOURCE}{limits}"

    def select(self, cells: Sequence[str], limits: str = "") -> str:
        """The statement that gives these expressions over the rows, which stand under the name ``page``."""
        return f"SELECT {', '.join(cells)} FROM {self.source} AS {SOURCE}{limits}"


def reference(column: Column) -> str:
    """The column in an expression over the rows."""
    return f"{SOURCE}.{identifier(column.name)}"


Opener = Callable[[], AbstractAsyncContextManager[tuple[asyncpg.Connection, Rows]]]
"""Gives the rows, and a connection in a transaction in which they may be read as often as need be."""


def of_table(database: Database, schema: TableSchema, plan: Plan) -> Opener:
    """The rows that a search finds, in one snapshot, read as the least role that may.

    ``plan`` is one for text, whose values stand in its statement: ``records_format`` csv or tsv. Opening it raises
    :class:`NotFound` if the table has gone, :class:`Unavailable` if too many dumps are under way.
    """
    if plan.source is None or plan.copy_format is None:
        raise ValueError("not a plan for a dump")
    columns = tuple(output.column for output in plan.outputs)
    registry = plan.registry if plan.every_row else None
    rows = Rows(columns, plan.fields, plan.source, unordered=plan.unordered, registry=registry)

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[asyncpg.Connection, Rows]]:
        size = await _size(database, schema) if plan.whole else 0
        async with database.snapshots(schema.public, 1 if size < _LARGE else 2) as connections:
            try:
                split = None if len(connections) == 1 else await _split(connections, schema, size)
                yield connections[0], replace(rows, split=split)
            except asyncpg.UndefinedTableError:
                raise NotFound("DataStore resource not found") from None

    return opened


async def _size(database: Database, schema: TableSchema) -> int:
    return await database.owner.fetchval("SELECT pg_relation_size(to_regclass($1))", schema.sql_name) or 0


async def _split(connections: Sequence[asyncpg.Connection], schema: TableSchema, size: int) -> Split | None:
    """Ranges of ``_id``, as many as make stretches of a good size if the numbers are used evenly."""
    low, high = await connections[0].fetchrow(f"SELECT min(_id), max(_id) FROM {schema.sql_name}")
    if low is None:
        return None
    width = (high - low) // (size // _STRETCH) + 1
    starts = range(low, high + 1, width)
    id = f"{SOURCE}.{identifier(ID)}"
    return Split(connections, [f"{id} >= {start} AND {id} < {start + width}" for start in starts])
