"""arrow and parquet: blocks of PostgreSQL's CSV, read by Arrow's own reader into typed columns."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from datastore.exports.arrow_types import Field, Profile, by_hand, field, profile, profiled
from datastore.exports.rows import Rows
from datastore.exports.sink import Sink
from datastore.exports.writer import Options, Unfit, Writer
from datastore.postgres.copy_out import Copy
from datastore.tables.schema import Column

_ROW_GROUP = 32 * 2**20
"""Bytes of a row group of Parquet, in memory."""
_MAGIC = b"PAR1"
"""How such a file begins."""
_SAMPLE = 10_000
"""Rows that tell which columns of Parquet get a dictionary."""


async def arrow(connection: asyncpg.Connection, rows: Rows, _options: Options) -> Writer:
    """A stream in Arrow's IPC format."""
    return _Arrow(rows, await _fields(connection, rows))


async def parquet(connection: asyncpg.Connection, rows: Rows, _options: Options) -> Writer:
    """A Parquet file, compressed with Zstandard."""
    return _Parquet(rows, await _fields(connection, rows))


async def _fields(connection: asyncpg.Connection, rows: Rows) -> list[Field]:
    """How the columns are written. A numeric without precision gets one from its values."""
    if not rows.columns:
        raise Unfit("there are no columns")
    wanted = [(column, sql) for column in rows.columns if (sql := profiled(column)) is not None]
    found: dict[Column, str] = {}
    if wanted:
        values = await _looked(connection, rows, [sql for _, sql in wanted])
        found = dict(zip([column for column, _ in wanted], values, strict=True))
    return [field(column, profile(column, found[column]) if column in found else Profile()) for column in rows.columns]


_found: dict[bytes, tuple[int, list[Any]]] = {}
"""What looks at all rows of tables gave, with the table's version, by the statement."""
_MOST_FOUND = 1000


async def _looked(connection: asyncpg.Connection, rows: Rows, aggregates: Sequence[str]) -> list[Any]:
    """The values of aggregates of all rows: a second look at a table that has not changed costs nothing."""
    # PostgreSQL takes at most 1664 columns of a result; an aggregate each is far from it in one statement.
    statement = rows.aggregate(aggregates)
    key = blake2b(statement.encode(), digest_size=16).digest()
    version: int | None = None
    if rows.registry is not None:
        version = await connection.fetchval(f"SELECT registry.version {rows.registry}")
    known = _found.pop(key, None)
    values = known[1] if known is not None and known[0] == version else list(await connection.fetchrow(statement))
    if version is not None:
        _found[key] = version, values  # as the last one
        if len(_found) > _MOST_FOUND:
            del _found[next(iter(_found))]
    return values


class _Columnar(Writer):
    """Typed columns, a record batch for each block of rows."""

    batch = 4 * 2**20
    threaded = True

    def __init__(self, rows: Rows, fields: Sequence[Field]) -> None:
        super().__init__(Copy(rows.select([f"{each.sql} AS c{number}" for number, each in enumerate(fields)])))
        self._fields = fields
        self._sink = Sink()
        self.schema = pa.schema(
            [pa.field(column.name, each.type) for column, each in zip(rows.columns, fields, strict=True)]
        )

    def table(self, rows: bytes) -> pa.Table:
        """The rows of a block of CSV."""
        try:
            read = _read(rows, [each.read for each in self._fields])
        except pa.ArrowInvalid:
            # A value that Arrow's reader refuses: this block goes as text, and by hand.
            texts = _read(rows, [pa.string()] * len(self._fields))
            read = pa.table(
                [
                    column if each.read == pa.string() else by_hand(each.read, column.combine_chunks())
                    for column, each in zip(texts.columns, self._fields, strict=True)
                ],
                texts.column_names,
            )
        arrays = [
            column if each.convert is None else each.convert(_one(column))
            for column, each in zip(read.columns, self._fields, strict=True)
        ]
        return pa.table(arrays, schema=self.schema)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _read(rows: bytes, types: Sequence[pa.DataType]) -> pa.Table:
    names = [str(number) for number in range(len(types))]
    return pacsv.read_csv(
        pa.BufferReader(rows),
        read_options=pacsv.ReadOptions(column_names=names, block_size=len(rows) + 16),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pacsv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)),
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=False,
        ),
    )


class _Arrow(_Columnar):
    def begin(self) -> bytes:
        self._writer = pa.ipc.new_stream(self._sink, self.schema)
        return self._sink.take()

    def feed(self, rows: bytes) -> bytes:
        self._writer.write_table(self.table(rows))
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()


class _Parquet(_Columnar):
    def begin(self) -> bytes:
        self._waiting: list[pa.Table] = []
        self._size = 0
        self._writer: pq.ParquetWriter | None = None
        return _MAGIC

    def feed(self, rows: bytes) -> bytes:
        table = self.table(rows)
        self._waiting.append(table)
        self._size += table.nbytes  # which takes a while to tell
        if self._size >= _ROW_GROUP:
            self._write()
        return self._sink.take()

    def end(self) -> bytes:
        self._write().close()
        return self._sink.take()

    def _write(self) -> pq.ParquetWriter:
        rows = pa.concat_tables(self._waiting) if self._waiting else self.schema.empty_table()
        self._waiting.clear()
        self._size = 0
        if self._writer is None:
            repeating = _repeating(rows)
            self._writer = pq.ParquetWriter(
                self._sink,
                self.schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=repeating,
                column_encoding=_encodings(self.schema, repeating),
            )
            self._sink.take()  # _MAGIC, which has been sent
        if rows.num_rows:
            self._writer.write_table(rows)
        return self._writer


def _repeating(rows: pa.Table) -> list[str]:
    """Columns whose first values come again: to look for others in a dictionary takes as long as all the rest."""
    first = rows.slice(0, _SAMPLE)
    return [
        name
        for name, column in zip(first.column_names, first.columns, strict=True)
        if not pa.types.is_nested(column.type)
        and not isinstance(column.type, pa.BaseExtensionType)
        and 2 * pc.count_distinct(column).as_py() <= len(column)
    ]


def _encodings(schema: pa.Schema, repeating: Sequence[str]) -> dict[str, str]:
    """Numbers and times as differences: quicker than to compress them as they are, and a fraction of the size."""
    return {
        each.name: "DELTA_BINARY_PACKED"
        for each in schema
        if each.name not in repeating
        and "." not in each.name  # as in the path of the elements of a list
        and (pa.types.is_integer(each.type) or pa.types.is_temporal(each.type))
    }
