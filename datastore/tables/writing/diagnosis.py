"""After a write was refused: which of its other records cannot be stored either.

PostgreSQL stops at the first bad value. A client that repairs a file wants to know all of them, up to a limit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.database import Database, Transaction
from datastore.postgres.quoting import identifier
from datastore.tables.schema import Column
from datastore.tables.writing.copying import Target, copy_text
from datastore.tables.writing.sources import JsonRecords
from datastore.tables.writing.write import Records

MAX_ERRORS = 20
MAX_SIZE = 2**26
"""Bytes of JSON. In longer requests only the first error is told: it has taken long enough."""

_TARGET = Target("pg_temp", "datastore_diagnosis", numbered=True)


class _Done(Exception):
    """Leaves the transaction, and so undoes it."""


async def add_other_errors(
    database: Database, columns: Sequence[Column], records: Records, error: ValidationError
) -> ValidationError:
    """``error`` with ``records_errors``: a list of ``{row, message}`` of all records whose values do not fit, if
    there are several.

    Only values are looked at, not keys and triggers. An error that is not about one record comes back as it is.
    """
    first = error.fields.get("records_row")
    if first is None:
        return error
    found = {first: str(error.fields["records"][0])}
    if isinstance(records, JsonRecords) and records.size <= MAX_SIZE:

        async def look(tx: Transaction) -> None:
            defined = ", ".join(f"{identifier(column.name)} {column.native_type}" for column in columns)
            await tx.connection.execute(f"CREATE TEMPORARY TABLE datastore_diagnosis (_row bigint, {defined})")
            row = 0
            for piece in records.pieces():
                rows = piece.rows(row)
                found.update(await _errors(tx, columns, rows, row, MAX_ERRORS - len(found)))
                row += len(rows)
                if len(found) >= MAX_ERRORS:
                    break
            raise _Done

        with contextlib.suppress(_Done, ValidationError, asyncpg.PostgresError):
            await database.write(look)
    if len(found) == 1:
        return error
    listed = [{"row": row, "message": found[row]} for row in sorted(found)[:MAX_ERRORS]]
    return ValidationError({**error.fields, "records_errors": listed})


async def _errors(
    tx: Transaction, columns: Sequence[Column], rows: Sequence[dict[str, Any]], first: int, most: int
) -> dict[int, str]:
    """Each COPY goes on behind the record at which the last one stopped."""
    found: dict[int, str] = {}
    start = 0
    while start < len(rows) and len(found) <= most:
        try:
            async with tx.connection.transaction():
                await copy_text(tx, _TARGET, columns, rows[start:], range(first + start, first + len(rows)))
            return found
        except ValidationError as error:
            row = error.fields.get("records_row")
            if row is None:
                return found
            found[row] = str(error.fields["records"][0])
            start = row - first + 1
    return found
