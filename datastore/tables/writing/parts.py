"""A large upsert in parts: while PostgreSQL applies one, the worker decodes and sends the next.

Each part is a COPY into a temporary table, an UPDATE of the rows that are there, and an INSERT of the others: a third
cheaper than ``INSERT … ON CONFLICT``, which looks up, locks and confirms one row at a time. Rows are locked in any
order: overlapping writes may lock each other out.

Where the first rows show that most records change nothing, rows that are already as their records say are locked and
not written: no new version of them, in the table, in its indexes and in the log. And an empty table takes all records
by one COPY.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.binary_copy import BinaryCopy
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier, literal
from datastore.postgres.translate import REFUSED, about_input
from datastore.tables.schema import Column, TableSchema, key_expression, same_key
from datastore.tables.writing.records import Strict
from datastore.tables.writing.sources import JsonRecords, Piece

FIRST_PART = 2**19
"""Bytes of JSON in the first part; each one is twice as long as the one before."""
LARGEST_PART = 2**22

_STAGE = "datastore_part"
_ADDED = "datastore.added"
_PROBED = 64
"""Rows of a part that show whether it changes much."""


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
    if await _is_empty(tx, schema):
        with contextlib.suppress(Refused):  # a key twice, perhaps
            return await _attempt(tx, _Parts(tx, schema, records, strict).copy)
    return await _attempt(tx, _Parts(tx, schema, records, strict).run)


async def _is_empty(tx: Transaction, schema: TableSchema) -> bool:
    """As the registry has it: what another writer does at this moment is not yet seen, nor does it need to be."""
    empty: bool | None = await tx.connection.fetchval(
        "SELECT record_count = 0 FROM datastore.tables WHERE resource_id = $1", schema.resource_id
    )
    return bool(empty)


async def _attempt(tx: Transaction, run: Callable[[], Awaitable[Counts | None]]) -> Counts | None:
    """Undone unless it gives counts. Raises :class:`Refused`."""
    attempt = tx.connection.transaction()
    await attempt.start()
    try:
        counts = await run()
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

    async def copy(self) -> Counts | None:
        """All records as new rows, into a table that has none. None if some cannot be decoded."""
        copy = await self._binary_copy(self._schema.dataset_id, self._schema.resource_id)
        rows = await copy.copy(self._part(sys.maxsize))
        return None if self._undecodable else Counts(rows, rows)

    async def run(self) -> Counts | None:
        """None if some records cannot be decoded."""
        columns = self._strict.columns
        defined = ", ".join(f"{identifier(column.name)} {column.native_type}" for column in columns)
        await self._connection.execute(
            f"CREATE TEMPORARY TABLE {_STAGE} ({defined}) ON COMMIT DROP; SET LOCAL {_ADDED} = 0"
        )
        copy = await self._binary_copy("pg_temp", _STAGE)
        rows, size, before = 0, FIRST_PART, ""
        while self._next is not None:
            copied = await copy.copy(self._part(size), before)
            if self._undecodable:
                return None
            rows, size = rows + copied, min(2 * size, LARGEST_PART)
            before = f"{self._apply(copied)}; TRUNCATE pg_temp.{_STAGE}"
        await self._connection.execute(f"{before}; DROP TABLE pg_temp.{_STAGE}")
        return Counts(rows, int(await self._connection.fetchval(f"SELECT current_setting('{_ADDED}')")))

    async def _binary_copy(self, schema: str, table: str) -> BinaryCopy:
        names = [column.name for column in self._strict.columns]
        return await BinaryCopy.prepare(self._connection, schema, table, names, self._strict.encoded)

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
        """The statement that brings the staged rows, so many, into the table, and counts those that it adds.

        It raises unless their number is that of the rows which are the same, updated or new: else two have one key, or
        another writer came between. Of two with one key, one may be the same as the row, which the other one changes:
        that alone does not show in the numbers.
        """
        table, stage = self._schema.sql_name, f"pg_temp.{_STAGE}"
        columns = self._strict.columns
        keys = [self._schema.by_name[name] for name in self._schema.key]
        changed = [column for column in columns if column not in keys] or keys
        names = [identifier(column.name) for column in columns]
        matching = same_key(keys, "t", "s")
        differs = f"({' OR '.join(map(_differ, changed))})"
        update = (
            f"UPDATE {table} AS t SET {', '.join(f'{name} = s.{name}' for name in map(_name, changed))}"
            f" FROM {stage} AS s WHERE {matching}"
        )
        return "DO " + literal(
            f"""
            #variable_conflict use_column
            DECLARE
                _same bigint := 0;
                _updated bigint := 0;
                _inserted bigint := 0;
            BEGIN
                IF (SELECT 2 * count(*) FILTER (WHERE NOT {differs}) > count(*)
                    FROM (SELECT * FROM {stage} LIMIT {_PROBED}) AS s JOIN {table} AS t ON {matching})
                THEN
                    PERFORM FROM {table} AS t JOIN {stage} AS s ON {matching}
                    WHERE NOT {differs} FOR NO KEY UPDATE OF t;
                    GET DIAGNOSTICS _same = ROW_COUNT;
                    IF _same < {rows} THEN
                        {update} AND {differs};
                        GET DIAGNOSTICS _updated = ROW_COUNT;
                    END IF;
                    IF _updated > 0 AND EXISTS (
                        SELECT FROM {stage} AS s WHERE {" AND ".join(f"s.{_name(key)} IS NOT NULL" for key in keys)}
                        GROUP BY {", ".join(key_expression(key, "s") for key in keys)} HAVING count(*) > 1
                    ) THEN
                        RAISE cardinality_violation;
                    END IF;
                ELSE
                    {update};
                    GET DIAGNOSTICS _updated = ROW_COUNT;
                END IF;
                IF _same + _updated < {rows} THEN
                    INSERT INTO {table} ({", ".join(names)})
                    SELECT {", ".join(f"s.{name}" for name in names)} FROM {stage} AS s
                    WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {matching}) ORDER BY s.ctid;
                    GET DIAGNOSTICS _inserted = ROW_COUNT;
                END IF;
                IF _same + _updated + _inserted <> {rows} THEN
                    RAISE cardinality_violation;
                END IF;
                PERFORM set_config('{_ADDED}', (current_setting('{_ADDED}')::bigint + _inserted)::text, true);
            END
            """
        )


_EQUAL_IS_SAME = {"int2", "int4", "int8", "bool", "text", "varchar", "date", "timestamp", "timestamptz", "uuid"}
_SENT = {"float8": "float8send", "numeric": "numeric_send"}
"""Functions that tell 0 from -0, and 1.0 from 1.00."""


def _name(column: Column) -> str:
    return identifier(column.name)


def _differ(column: Column) -> str:
    """The condition that the values of ``t`` and ``s`` are not the very same, be they equal or not."""
    left, right = f"t.{identifier(column.name)}", f"s.{identifier(column.name)}"
    if column.type in _EQUAL_IS_SAME:
        return f"{left} IS DISTINCT FROM {right}"
    if column.type in _SENT:
        send = f"pg_catalog.{_SENT[column.type]}"
        return f"{send}({left}) IS DISTINCT FROM {send}({right})"
    return f"ROW({left})::record *<> ROW({right})::record"
