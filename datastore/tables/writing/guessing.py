"""The types of new columns, from all records: those of an Arrow schema, else guessed from the values."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Callable, Collection

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
                    found.update(kinds_of_texts(array))
            else:
                found.add(declared_type(array.type))
        if not records.guessed:
            return


def kinds_of_texts(array: pa.Array) -> set[str]:
    """What :func:`kind_of_text` says of the values, or kinds with the same widest; null and empty texts tell nothing.

    The first value says what all may be, and Arrow whether they are: text by text it takes ten times as long.
    """
    values = pc.drop_null(array)
    if pc.any(pc.equal(values, "")).as_py():
        values = values.filter(pc.not_equal(values, ""))
    if len(values) == 0:
        return set()
    first = kind_of_text(values[0].as_py())
    if first == "text":
        return {"text"}
    with contextlib.suppress(pa.ArrowException):  # a value is of another kind
        if found := _ARROW[first](values):
            return found
    found = set()
    for value in pc.unique(values).to_pylist():
        found.add(kind_of_text(value))
        if "text" in found:
            break
    return found


def _whole(values: pa.Array) -> set[str]:
    try:
        extremes = pc.min_max(values.cast(pa.int64())).as_py()
    except pa.ArrowException:
        # One at least is not whole, or too large for bigint; or Arrow does not know its sign.
        return set() if pc.any(pc.starts_with(values, "+")).as_py() else _numbers(values)
    values.cast(pa.float64())  # fails for 0xff, which Arrow takes for an integer
    return {guess.integer_kind(str(extremes["min"])), guess.integer_kind(str(extremes["max"]))}


def _numbers(values: pa.Array) -> set[str]:
    # As a float Arrow also reads nan(1).
    return set() if pc.any(pc.is_nan(values.cast(pa.float64()))).as_py() else {"numeric"}


_LENGTHS = pa.array([10, 19, 21, 22, 23, 24, 25, 26], pa.int32())
"""Of days, and of times to the second and its fractions; of what else Arrow reads, none is as long."""
_YEAR_1 = datetime.datetime(1, 1, 1)


def _timestamps(values: pa.Array) -> set[str]:
    if not pc.all(pc.is_in(pc.binary_length(values), _LENGTHS)).as_py():
        return set()
    earliest = pc.min(values.cast(pa.timestamp("us")))
    return {"timestamp"} if pc.greater_equal(earliest, pa.scalar(_YEAR_1, pa.timestamp("us"))).as_py() else set()


def _booleans(values: pa.Array) -> set[str]:
    return {"bool"} if pc.all(pc.is_in(pc.utf8_lower(values), pa.array(["true", "false"]))).as_py() else set()


_ARROW: dict[str, Callable[[pa.Array], set[str]]] = {
    "bool": _booleans,
    "timestamp": _timestamps,
    "int": _whole,
    "bigint": _whole,
    "numeric": _numbers,
}
"""Kinds of values that are all like the first; none if it takes a closer look."""


def kind_of_text(text: str) -> str:
    """The narrowest type that holds a text, of those that are guessed from a file."""
    return "bool" if text.lower() in ("true", "false") else guess.kind_of_text(text)


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
