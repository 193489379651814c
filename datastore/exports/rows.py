"""What is written out: rows of a table or of a statement, before any format has made text of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from datastore.errors import NotFound
from datastore.postgres.database import Database
from datastore.postgres.quoting import identifier
from datastore.tables.schema import Column, TableSchema
from datastore.tables.search import Plan

SOURCE = "page"
"""The name under which the rows stand in a statement that reads them."""


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
    rows = Rows(tuple(output.column for output in plan.outputs), plan.fields, plan.source)

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[asyncpg.Connection, Rows]]:
        async with database.snapshot(schema.public) as connection:
            try:
                yield connection, rows
            except asyncpg.UndefinedTableError:
                raise NotFound("DataStore resource not found") from None

    return opened
