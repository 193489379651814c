"""Records into a table, or into the staging table, by COPY: the strict way, else the text way (see records.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from datastore.postgres.binary_copy import copy_records as copy_rows
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import literal, qualified
from datastore.postgres.translate import REFUSED, about_input, record_error
from datastore.tables.schema import Column, TableSchema
from datastore.tables.writing import records as decoding

STRICT_FROM = 200
"""From this many records on the strict way pays for its savepoint; fewer go the text way at once."""

ROW = "_row"
"""Column of the staging table: the index of the record in the request."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go. A ``numbered`` target (the staging table) starts with the index of the record."""

    schema: str
    table: str
    numbered: bool

    def names(self, columns: Sequence[Column]) -> list[str]:
        """The names for COPY's column list."""
        return [*([ROW] if self.numbered else []), *(column.name for column in columns)]


async def copy_records(tx: Transaction, target: Target, schema: TableSchema, raw: Sequence[msgspec.Raw]) -> int:
    """Copy whole records: a missing key is NULL, an unknown one an error. Gives the number of rows written.

    Raises :class:`ValidationError` ``records``, with the index of the failing one.
    """
    if len(raw) >= STRICT_FROM:
        first = decoding.members(raw[0], 0)
        columns = [column for column in schema.columns if column.name in first]
        copied = await copy_strict(tx, target, columns, raw, required=False)
        if copied is not None:
            return copied
    parsed = [decoding.members(record, number) for number, record in enumerate(raw)]
    decoding.check_keys(parsed, schema.by_name)
    named = {name for row in parsed for name in row}
    columns = [column for column in schema.columns if column.name in named] or list(schema.columns[:1])
    if columns:
        return await copy_text(tx, target, columns, parsed, range(len(parsed)))
    return await _insert_empty(tx, target, len(parsed))


async def copy_strict(
    tx: Transaction, target: Target, columns: Sequence[Column], raw: Sequence[msgspec.Raw], required: bool
) -> int | None:
    """Binary COPY within a savepoint; None if a record or PostgreSQL refused, and nothing was written.

    ``required``: every record has every column.
    """
    rows = await decoding.strict_rows(raw, columns, required, target.numbered) if columns else None
    if rows is None:
        return None
    try:
        async with tx.connection.transaction():
            return await copy_rows(tx.connection, target.schema, target.table, target.names(columns), rows)
    except (asyncpg.InterfaceError, ValueError, TypeError, OverflowError):
        if tx.connection.is_closed():
            raise
        return None
    except REFUSED as error:
        if not about_input(error):
            raise
        return None


async def copy_text(
    tx: Transaction,
    target: Target,
    columns: Sequence[Column],
    rows: Sequence[dict[str, msgspec.Raw]],
    numbers: Sequence[int],
) -> int:
    """Text COPY; ``numbers`` are the indexes of the records in the request."""
    try:
        status = await tx.connection.copy_to_table(
            target.table,
            schema_name=target.schema,
            columns=target.names(columns),
            format="text",
            source=decoding.text_rows(rows, columns, numbers, target.numbered),
        )
    except REFUSED as error:
        raise record_error(error, numbers) from None
    return int(status.split()[-1])


async def _insert_empty(tx: Transaction, target: Target, rows: int) -> int:
    """Rows of a table that has no column but its number."""
    name = qualified(target.schema, target.table)
    if target.numbered:
        statement = f"INSERT INTO {name} ({ROW}) SELECT generate_series(0, $1::int - 1)"
    else:
        sequence = f"pg_get_serial_sequence({literal(name)}, '_id')"
        statement = f"INSERT INTO {name} (_id) SELECT nextval({sequence}) FROM generate_series(1, $1::int)"
    try:
        status = await tx.connection.execute(statement, rows)
    except REFUSED as error:
        raise record_error(error, range(rows)) from None
    return int(status.split()[-1])
