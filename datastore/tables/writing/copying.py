"""Records into a table, or into the staging table, by COPY: the strict way, else the text way (see records.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from datastore.postgres.binary_copy import BinaryCopy
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import literal, qualified
from datastore.postgres.translate import REFUSED, about_input, record_error
from datastore.tables.schema import Column
from datastore.tables.writing import records as decoding
from datastore.tables.writing.records import Strict
from datastore.tables.writing.sources import JsonRecords, Piece

ROW = "_row"
"""Column of the staging table: the index of the record in the request."""
SET = "_set"
"""Column of the staging table: the number of the record's key set; that of the first record is 0, the default."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go. A ``numbered`` target (the staging table) starts with the index of the record."""

    schema: str
    table: str
    numbered: bool

    def names(self, columns: Sequence[Column]) -> list[str]:
        """The names for COPY's column list."""
        return [*([ROW] if self.numbered else []), *(column.name for column in columns)]


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive records that name the same columns."""

    columns: tuple[Column, ...]
    numbers: range
    """Their indexes in the request."""
    key_set: int = 0
    """The number of this set of columns, in the order in which they first came."""


@dataclass(slots=True)
class Copied:
    """What was copied."""

    runs: list[Run]
    rows: int = 0
    """Rows that are there now: a trigger may have left some out."""


Plan = Callable[[Sequence[dict[str, msgspec.Raw]], int], Iterable[tuple[tuple[Column, ...], int]]]
"""For records that go the text way, and the index of the first: columns for the first n of them, for the next n, …
Raises what is wrong with their keys."""


async def copy_json(tx: Transaction, target: Target, source: JsonRecords, strict: Strict | None, plan: Plan) -> Copied:
    """Copy all records, piece by piece, with turns for other tasks between them.

    What the strict way cannot decode goes the text way. What PostgreSQL refuses of the strict way starts everything
    again, as text. Raises :class:`ValidationError` ``records``, with the index of the failing one.
    """
    if strict is not None:
        try:
            async with tx.connection.transaction():
                return await _Copy(tx, target, source, strict, plan).run()
        except (asyncpg.InterfaceError, ValueError, TypeError, OverflowError):
            if tx.connection.is_closed():
                raise
        except REFUSED as error:
            if not about_input(error):
                raise
    return await _Copy(tx, target, source, None, plan).run()


class _Copy:
    """One attempt."""

    def __init__(self, tx: Transaction, target: Target, source: JsonRecords, strict: Strict | None, plan: Plan) -> None:
        self._tx = tx
        self._target = target
        self._pieces = source.pieces()
        self._strict = strict
        self._plan = plan
        self._row = 0
        self._copied = Copied([])
        self._sets = {} if strict is None else {_names(strict.columns): 0}
        self._as_text = 0
        """Pieces that go the text way untried."""
        self._penalty = 1

    async def run(self) -> Copied:
        piece = next(self._pieces, None)
        while piece is not None:
            values = self._decode(piece)
            if self._strict is not None and values is not None:
                piece = await self._copy_strict(self._strict, values)
            else:
                await self._copy_text(piece)
                await asyncio.sleep(0)
                piece = next(self._pieces, None)
        return self._copied

    def _decode(self, piece: Piece) -> list[tuple[Any, ...]] | None:
        """The piece by the strict way. After a refusal the next pieces are not tried: twice as many each time."""
        if self._strict is None:
            return None
        if self._as_text:
            self._as_text -= 1
            return None
        values = self._strict.decode(piece.data, piece.count)
        if values is None and piece.align():
            values = self._strict.decode(piece.data, piece.count)
        if values is None:
            self._as_text = self._penalty
            self._penalty *= 2
        return values

    async def _copy_strict(self, strict: Strict, values: list[tuple[Any, ...]]) -> Piece | None:
        """One COPY of this piece and of those behind it, up to one that has to go the text way: that one is given."""
        first, rest = self._row, None

        async def rows() -> AsyncIterator[tuple[Any, ...]]:
            nonlocal rest
            found: list[tuple[Any, ...]] | None = values
            while found is not None:
                if self._target.numbered:
                    for number, row in enumerate(found, self._row):
                        yield (number, *row)
                else:
                    for row in found:
                        yield row
                self._row += len(found)
                await asyncio.sleep(0)
                rest = next(self._pieces, None)
                found = None if rest is None else self._decode(rest)

        self._copied.rows += await (await self._binary(strict)).copy(rows())
        self._add(strict.columns, range(first, self._row))
        return rest

    async def _binary(self, strict: Strict) -> BinaryCopy:
        names = self._target.names(strict.columns)
        return await BinaryCopy.prepare(
            self._tx.connection, self._target.schema, self._target.table, names, strict.encoded
        )

    async def _copy_text(self, piece: Piece) -> None:
        """One COPY, into all columns that any of the records names; each row says which ones its record does."""
        rows = piece.rows(self._row)
        columns: dict[str, Column] = {}
        sets: list[int] = []
        numbers = range(self._row, self._row + len(rows))
        for named, count in self._plan(rows, self._row):
            columns.update((column.name, column) for column in named)
            key_set = self._add(named, range(self._row + len(sets), self._row + len(sets) + count))
            sets += [key_set] * count
        if rows:
            self._copied.rows += await copy_text(self._tx, self._target, tuple(columns.values()), rows, numbers, sets)
        self._row += len(rows)

    def _add(self, columns: tuple[Column, ...], numbers: range) -> int:
        """Remember the run; gives the number of its key set."""
        key_set = self._sets.setdefault(_names(columns), len(self._sets))
        runs = self._copied.runs
        if runs and runs[-1].key_set == key_set:
            numbers = range(runs.pop().numbers.start, numbers.stop)
        runs.append(Run(columns, numbers, key_set))
        return key_set


def _names(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


async def copy_text(
    tx: Transaction,
    target: Target,
    columns: Sequence[Column],
    rows: Sequence[dict[str, msgspec.Raw]],
    numbers: Sequence[int],
    sets: Sequence[int] = (),
) -> int:
    """Text COPY; ``numbers`` are the indexes of the records in the request, ``sets`` the numbers of their key sets, for
    the staging table. Gives the number of rows written.

    Raises :class:`ValidationError` ``records``, with the index of the failing one.
    """
    if not columns and not target.numbered:
        return await _insert_empty(tx, target, len(rows))
    names = target.names(columns)
    first_cells: Iterable[str] | None = map(str, numbers) if target.numbered else None
    if target.numbered and any(sets):
        names.insert(1, SET)
        first_cells = (f"{number}\t{key_set}" for number, key_set in zip(numbers, sets, strict=True))
    text = decoding.text_rows(rows, columns, numbers, first_cells)
    try:
        status = await tx.connection.copy_to_table(
            target.table,
            schema_name=target.schema,
            columns=names,
            format="text",
            source=_once(text),
        )
    except REFUSED as error:
        raise record_error(error, numbers) from None
    return int(status.split()[-1])


async def _once(text: bytes) -> AsyncIterator[bytes]:
    yield text


async def _insert_empty(tx: Transaction, target: Target, rows: int) -> int:
    """Rows of a table that has no column but its number."""
    name = qualified(target.schema, target.table)
    sequence = f"pg_get_serial_sequence({literal(name)}, '_id')"
    try:
        status = await tx.connection.execute(
            f"INSERT INTO {name} (_id) SELECT nextval({sequence}) FROM generate_series(1, $1::int)", rows
        )
    except REFUSED as error:
        raise record_error(error, range(rows)) from None
    return int(status.split()[-1])
