"""Records that come by columns (Arrow record batches): rendered as CSV by Arrow, read by PostgreSQL's COPY.

What a value becomes is PostgreSQL's business, as for JSON records: it gets the text that its input function reads. Only
nested values, and text for ``json`` and array columns, pass through Python.
"""

from __future__ import annotations

import asyncio
import csv
import io
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.translate import REFUSED, record_error
from datastore.tables.arguments import array_literal
from datastore.tables.schema import Column
from datastore.tables.types import INTEGERS, JSON
from datastore.tables.writing.copying import Target
from datastore.tables.writing.records import json_elements, json_text
from datastore.tables.writing.sources import records_error

_CSV = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
_HEADER = b"header\n"
"""Stands before the rows, so that PostgreSQL has seen a line break before any row and counts those within rows."""
_MESSAGE = 2**18
_BATCH = 2**20


class ColumnRecords(ABC):
    """Records by columns, which can be read again."""

    size: int
    """Bytes, as they were sent."""
    guessed = False
    """All values are text, whose types are to be guessed."""

    @abstractmethod
    def names(self) -> list[str]:
        """The columns, in order. Raises :class:`ValidationError` for what cannot be columns of a table."""

    @abstractmethod
    def batches(self) -> Iterator[pa.RecordBatch]:
        """The records from the first one, some at a time. Raises :class:`ValidationError` ``records``."""


async def copy_columns(tx: Transaction, target: Target, columns: Sequence[Column], records: ColumnRecords) -> int:
    """Copy all records; ``columns`` are those of the table, in the order of the records'. Gives the number of rows
    written.

    Raises :class:`ValidationError` ``records``, with the index of the failing one.
    """
    rows = 0

    async def text() -> AsyncIterator[bytes]:
        nonlocal rows
        yield _HEADER
        batches = small(records.batches())
        while (found := await asyncio.to_thread(_next, batches, columns, rows, target.numbered)) is not None:
            count, lines = found
            rows += count
            for start in range(0, len(lines), _MESSAGE):
                yield lines[start : start + _MESSAGE]

    try:
        status = await tx.connection.copy_to_table(
            target.table,
            schema_name=target.schema,
            columns=target.names(columns),
            format="csv",
            header=True,
            source=text(),
        )
    except REFUSED as error:
        failure = record_error(error)
        if not isinstance(failure, ValidationError) or "records_row" not in failure.fields:
            raise failure from None
        row = await asyncio.to_thread(_row_at, failure.fields["records_row"], records, columns, target.numbered)
        raise ValidationError({**failure.fields, "records_row": row}) from None
    return int(status.split()[-1])


def _next(
    batches: Iterator[pa.RecordBatch], columns: Sequence[Column], first: int, numbered: bool
) -> tuple[int, bytes] | None:
    """The next rows, with their number."""
    batch = next(batches, None)
    return None if batch is None else (batch.num_rows, _render(batch, columns, first, numbered))


def small(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of about a megabyte, also when they are not encoded any more."""
    for batch in batches:
        rows = max(1, batch.num_rows * _BATCH // max(sum(map(_plain_size, batch.columns)), 1))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _plain_size(array: pa.Array) -> int:
    """The bytes of the array without encodings, at most."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_size(array.storage)
    if pa.types.is_dictionary(kind):
        values = plain(array.dictionary)
        if is_text(values.type) or pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
            return int(pc.sum(pc.take(pc.binary_length(values), array.indices)).as_py() or 0) + int(array.nbytes)
        return len(array) * int(values.nbytes) + int(array.nbytes)
    if pa.types.is_run_end_encoded(kind):
        return len(array) * _plain_size(array.values)
    return len(array) * int(array.nbytes) if _has_encoded(kind) else int(array.nbytes)


def _has_encoded(kind: pa.DataType) -> bool:
    inner = [kind.field(number).type for number in range(kind.num_fields)] if pa.types.is_nested(kind) else []
    return any(pa.types.is_dictionary(one) or pa.types.is_run_end_encoded(one) or _has_encoded(one) for one in inner)


def _row_at(line: int, records: ColumnRecords, columns: Sequence[Column], numbered: bool) -> int:
    """The index of the record that ends in, or goes on behind, this line of the text, counted from 1."""
    rows = lines = 0
    batches = small(records.batches())
    while (found := _next(batches, columns, rows, numbered)) is not None:
        count, text = found
        in_text = text.count(b"\n")
        if lines + in_text < line:
            rows, lines = rows + count, lines + in_text
            continue
        reader = csv.reader(io.StringIO(text.decode(), newline="\n"))
        for _ in reader:
            if lines + reader.line_num >= line:
                break
            rows += 1
        break
    return rows


def _render(batch: pa.RecordBatch, columns: Sequence[Column], first: int, numbered: bool) -> bytes:
    arrays = [pa.array(range(first, first + batch.num_rows), pa.int64())] if numbered else []
    arrays += [_for_column(column, array, first) for column, array in zip(columns, batch.columns, strict=True)]
    output = pa.BufferOutputStream()
    try:
        pa.csv.write_csv(pa.RecordBatch.from_arrays(arrays, list(map(str, range(len(arrays))))), output, _CSV)
    except pa.ArrowException as error:
        raise records_error(f"cannot be stored: {error}") from None
    rendered: bytes = output.getvalue().to_pybytes()
    return rendered


# --- values -----------------------------------------------------------------------------------------------------------


def _for_column(column: Column, array: pa.Array, first: int) -> pa.Array:
    """The array with values that Arrow writes as the text which the column's input function reads."""
    array = plain(array)
    kind = array.type
    if is_text(kind):
        return _text(column, array, first)
    if pa.types.is_nested(kind):
        elements = column.element is not None and not pa.types.is_struct(kind) and not pa.types.is_map(kind)
        return _each(array, _literal if elements else _json, first)
    if column.type in JSON:
        is_json = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
        return array if is_json or pa.types.is_decimal(kind) or pa.types.is_null(kind) else _each(array, _json, first)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _each(array, _hexadecimal, first) if column.type == "bytea" else _decoded(array)
    if pa.types.is_duration(kind):
        return _each(array, _interval, first)
    if column.type in INTEGERS and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return pc.round(array, round_mode="half_towards_infinity")
    return array


def plain(array: pa.Array) -> pa.Array:
    """The array without dictionary, run-length and extension encodings."""
    if isinstance(array.type, pa.BaseExtensionType):
        if array.type.extension_name == "arrow.uuid":
            return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
        return plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(array.type):
        return plain(pc.run_end_decode(array))
    return array


def is_text(kind: pa.DataType) -> bool:
    """Strings of any layout."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _decoded(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.binary()).cast(pa.string())
    except pa.ArrowException:
        raise records_error("a text is not valid UTF-8") from None


def _text(column: Column, array: pa.Array, first: int) -> pa.Array:
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    if column.type == "text":
        return array
    array = pc.if_else(pc.equal(array, ""), pa.scalar(None, array.type), array)
    if column.type in JSON:
        return _each(array, _json_of_text, first)
    return _each(array, _literal_of_text, first) if column.element is not None else array


def _each(array: pa.Array, convert: Callable[[Any], str | None], first: int) -> pa.Array:
    """Convert values one by one; a :class:`ValueError` names the record."""
    texts: list[str | None] = []
    for value in array.to_pylist(maps_as_pydicts="lossy"):
        try:
            texts.append(None if value is None else convert(value))
        except ValueError as error:
            raise records_error(str(error), first + len(texts)) from None
    return pa.array(texts, pa.large_string())


def _json(value: Any) -> str:
    try:
        return json_text(_encode(value))
    except (TypeError, OverflowError) as error:
        raise ValueError(f"cannot be stored as JSON: {error}") from None


def _encode_other(value: Any) -> Any:
    return str(value)


_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=_encode_other).encode
_RAW = msgspec.json.Decoder(msgspec.Raw)


def _json_of_text(text: str) -> str | None:
    """JSON text in our layout; what is none stays, for PostgreSQL to refuse it."""
    try:
        value = bytes(_RAW.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return text
    return None if value == b"null" else json_text(value)


def _literal_of_text(text: str) -> str | None:
    """An array as a JSON list, as dumps write it, or as PostgreSQL's literal."""
    if text.strip() == "null":
        return None
    if not text.lstrip().startswith("["):
        return text
    try:
        value = bytes(_RAW.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return text
    return array_literal(json_elements(value))


def _literal(values: list[Any]) -> str:
    return array_literal([_element(value) for value in values])


def _element(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return [_element(member) for member in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return _hexadecimal(value)
    if isinstance(value, timedelta):
        return _interval(value)
    return _json(value) if isinstance(value, dict) else str(value)


def _hexadecimal(value: bytes) -> str:
    return "\\x" + value.hex()


def _interval(value: timedelta) -> str:
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
