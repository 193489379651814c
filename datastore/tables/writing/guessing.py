"""The types of new columns, from all records: those of an Arrow schema, else guessed from the values."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from datastore.tables.definition import guess
from datastore.tables.writing.columns import ColumnRecords, is_text, plain, small
from datastore.tables.writing.sources import JsonRecords

_ENOUGH = frozenset({"text"})
"""Nothing is wider."""


async def guess_types(records: JsonRecords | ColumnRecords, names: Collection[str]) -> dict[str, str]:
    """Types that fit the values of these columns in all records; text for a column that is always null or empty.

    Raises :class:`ValidationError` ``records``.
    """
    kinds: dict[str, set[str]] = {name: set() for name in names}
    if isinstance(records, ColumnRecords):
        await asyncio.to_thread(_look_at_columns, records, kinds)
    else:
        row = 0
        for piece in records.pieces():
            rows = piece.rows(row)
            row += len(rows)
            for name, found in kinds.items():
                if found != _ENOUGH:
                    found.update(guess.kinds([bytes(record[name]) for record in rows if name in record]))
            await asyncio.sleep(0)
    return {name: guess.widest(found) if found else "text" for name, found in kinds.items()}


# --- columns ----------------------------------------------------------------------------------------------------------


def _look_at_columns(records: ColumnRecords, kinds: dict[str, set[str]]) -> None:
    for batch in small(records.batches()):
        for name, found in kinds.items():
            array = plain(batch.column(name))
            if is_text(array.type) and records.guessed:
                if "text" not in found:
                    found.update(_kinds_of_texts(array))
            else:
                found.add(declared_type(array.type))
        if not records.guessed:
            return


def _kinds_of_texts(array: pa.Array) -> set[str]:
    """The kinds of texts as :func:`guess.kind_of_text` has them, with the usual ones recognised by Arrow."""
    values = pc.drop_null(pc.if_else(pc.equal(array, ""), None, array))
    if len(values) == 0:
        return set()
    if pc.all(pc.match_substring_regex(values, r"^[+-]?\d{1,18}$")).as_py():
        extremes = pc.min_max(values.cast(pa.int64())).as_py()
        return {guess.integer_kind(str(extremes["min"])), guess.integer_kind(str(extremes["max"]))}
    if pc.all(pc.match_substring_regex(values, r"^[+-]?\d{1,18}(\.\d+)?$")).as_py():
        return {"numeric"}
    if pc.all(pc.match_substring_regex(values, r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?$")).as_py():
        with contextlib.suppress(pa.ArrowException):
            values.cast(pa.timestamp("us"))
            return {"timestamp"}
    if pc.all(pc.match_substring_regex(values, r"^(?i:true|false)$")).as_py():
        return {"bool"}
    if pc.all(pc.match_substring_regex(values, r"^[A-Za-z][A-Za-z]{8}")).as_py():
        return {"text"}  # too long for nan and infinity
    found: set[str] = set()
    for value in pc.unique(values).to_pylist():
        found.add("bool" if value.lower() in ("true", "false") else guess.kind_of_text(value))
        if "text" in found:
            break
    return found


_DECLARED = {
    pa.int8(): "int2",
    pa.uint8(): "int2",
    pa.int16(): "int2",
    pa.uint16(): "int4",
    pa.int32(): "int4",
    pa.uint32(): "int8",
    pa.int64(): "int8",
    pa.uint64(): "numeric",
    pa.float16(): "float4",
    pa.float32(): "float4",
    pa.float64(): "float8",
    pa.bool_(): "bool",
}


def declared_type(kind: pa.DataType) -> str:
    """The column type for an Arrow type."""
    if isinstance(kind, pa.BaseExtensionType):
        known = {"arrow.uuid": "uuid", "arrow.json": "json"}
        return known.get(kind.extension_name) or declared_type(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return declared_type(kind.value_type)
    if kind in _DECLARED:
        return _DECLARED[kind]
    if pa.types.is_decimal(kind):
        return "numeric"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_time(kind):
        return "time"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    if pa.types.is_duration(kind):
        return "interval"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "bytea"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = declared_type(kind.value_type)
        return "json" if inner == "json" or inner.endswith("]") else f"{inner}[]"
    return "json" if pa.types.is_nested(kind) else "text"
