"""A large upsert in parts: while PostgreSQL applies one, the worker decodes and sends the next.

Each part is a COPY into a temporary table, an UPDATE of the rows that are there, and an INSERT of the others: a third
cheaper than ``INSERT … ON CONFLICT``, which looks up, locks and confirms one row at a time. Rows are locked in any
order: overlapping writes may lock each other out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.binary_copy import BinaryCopy
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier, literal
from datastore.postgres.translate import REFUSED, about_input
from datastore.tables.schema import TableSchema, same_key
from datastore.tables.writing.records import Strict
from datastore.tables.writing.sources import JsonRecords, Piece

FIRST_PART = 2**19
"""Bytes of JSON in the first part; each one is twice as long as the one before."""
LARGEST_PART = 2**22

_STAGE = "datastore_part"
_ADDED = "datastore.added"


@dataclass(frozen=True, slots=True)
class Counts:
    """What an upsert did."""

    rows: int
    """Records."""
    added: int
    """Rows that are new."""


class Refused(Exception):
    """PostgreSQL refuses a record, two records of one part have one key, or another writer came between: what that
    means has to be found out in another way. Nothing has been written."""


async def upsert(tx: Transaction, schema: TableSchema, records: JsonRecords, strict: Strict) -> Counts | None:
    """Upsert records that all name the columns of ``strict``, the unique key among them and not ``_id``, into a table
    without triggers. It does what each record by itself would do, in their order.

    None, and nothing is done, if some record is not plainly of the columns' types, or names others. Raises
    :class:`Refused`.
    """
    attempt = tx.connection.transaction()
    await attempt.start()
    try:
        counts = await _Parts(tx, schema, records, strict).run()
    except REFUSED as error:
        if not about_input(error):
            raise
    except (asyncpg.InterfaceError, ValueError, TypeError, OverflowError):
        if tx.connection.is_closed():
            raise
    else:
        await (attempt.rollback() if counts is None else attempt.commit())
        return counts
    await attempt.rollback()
    raise Refused


class _Parts:
    """One attempt."""

    def __init__(self, tx: Transaction, schema: TableSchema, records: JsonRecords, strict: Strict) -> None:
        self._connection = tx.connection
        self._schema = schema
        self._strict = strict
        self._pieces: Iterator[Piece] = records.pieces()
        self._next: Piece | None = next(self._pieces, None)
        self._undecodable = False

    async def run(self) -> Counts | None:
        """None if some records cannot be decoded."""
        columns = self._strict.columns
        defined = ", ".join(f"{identifier(column.name)} {column.native_type}" for column in columns)
        await self._connection.execute(
            f"CREATE TEMPORARY TABLE {_STAGE} ({defined}) ON COMMIT DROP; SET LOCAL {_ADDED} = 0"
        )
        names = [column.name for column in columns]
        copy = await BinaryCopy.prepare(self._connection, "pg_temp", _STAGE, names, self._strict.encoded)
        rows, size, before = 0, FIRST_PART, ""
        while self._next is not None:
            copied = await copy.copy(self._part(size), before)
            if self._undecodable:
                return None
            rows, size = rows + copied, min(2 * size, LARGEST_PART)
            before = f"{self._apply(copied)}; TRUNCATE pg_temp.{_STAGE}"
        await self._connection.execute(f"{before}; DROP TABLE pg_temp.{_STAGE}")
        return Counts(rows, int(await self._connection.fetchval(f"SELECT current_setting('{_ADDED}')")))

    async def _part(self, size: int) -> AsyncIterator[tuple[Any, ...]]:
        """Rows of the next pieces, of ``size`` bytes of JSON at least."""
        while self._next is not None and size > 0:
            size -= len(self._next.data)
            values = self._decode(self._next)
            if values is None:
                self._undecodable = True
                return
            for row in values:
                yield row
            await asyncio.sleep(0)
            self._next = next(self._pieces, None)

    def _decode(self, piece: Piece) -> list[tuple[Any, ...]] | None:
        values = self._strict.decode(piece.data, piece.count)
        try:
            if values is None and piece.align():
                values = self._strict.decode(piece.data, piece.count)
        except ValidationError:
            return None
        return values

    def _apply(self, rows: int) -> str:
        """The statement that brings the staged rows, so many, into the table, and counts those that it adds."""
        table = self._schema.sql_name
        names = [identifier(column.name) for column in self._strict.columns]
        keys = [identifier(name) for name in self._schema.key]
        changed = [name for name in names if name not in keys] or keys
        matching = same_key((self._schema.by_name[name] for name in self._schema.key), "t", "s")
        return "DO " + literal(
            f"""
            #variable_conflict use_column
            DECLARE
                _updated bigint;
                _inserted bigint;
            BEGIN
                UPDATE {table} AS t SET {", ".join(f"{name} = s.{name}" for name in changed)}
                FROM pg_temp.{_STAGE} AS s WHERE {matching};
                GET DIAGNOSTICS _updated = ROW_COUNT;
                INSERT INTO {table} ({", ".join(names)})
                SELECT {", ".join(f"s.{name}" for name in names)} FROM pg_temp.{_STAGE} AS s
                WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {matching}) ORDER BY s.ctid;
                GET DIAGNOSTICS _inserted = ROW_COUNT;
                IF _updated + _inserted <> {rows} THEN
                    RAISE cardinality_violation;
                END IF;
                PERFORM set_config('{_ADDED}', (current_setting('{_ADDED}')::bigint + _inserted)::text, true);
            END
            """
        )
