"""Columns → Arrow: the type of each, what PostgreSQL sends for it, and how the texts that come become an array.

Texts are parsed by Arrow's own CSV reader, a block of rows at a time. What it cannot read comes as plain text and is
converted here.
"""

from __future__ import annotations

import datetime
import re
from binascii import unhexlify
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from datastore.exports.rows import reference
from datastore.tables.schema import Column

Convert = Callable[[pa.Array], pa.Array]
_MICROSECOND = pa.timestamp("us")
_DAY = 86_400_000_000
_SIMPLE: dict[str, pa.DataType] = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "oid": pa.uint32(),
    "float": pa.float32(),  # a rank
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": _MICROSECOND,
    "timestamptz": pa.timestamp("us", "UTC"),
}
_DECLARED = re.compile(r"numeric\((\d+),(-?\d+)\)")
_LISTED = frozenset({"int2", "int4", "int8", "float4", "float8", "bool", "date", "timestamp", "timestamptz"})
_TIMES = re.compile(r"(\d{4,})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d+))?)?(?:\+00)?( BC)?")


@dataclass(frozen=True, slots=True)
class Profile:
    """What the values of a column are like, as far as its type in Arrow depends on them."""

    digits: int = 0
    """Most digits before the point."""
    scale: int = 0
    """Most digits behind it."""
    finite: bool = True
    flat: bool = True
    """No array has more than one dimension."""


@dataclass(frozen=True, slots=True)
class Field:
    """How a column is written."""

    type: pa.DataType
    sql: str
    """What PostgreSQL sends."""
    read: pa.DataType
    """As what the CSV reader takes it."""
    convert: Convert | None = None
    """From that to the type; None if they are the same."""


def profiled(column: Column) -> str | None:
    """An aggregate whose value :func:`profile` reads; None where the type does not depend on the values."""
    sql = reference(column)
    if column.type == "numeric":
        return f"json_build_array(max(scale({sql})), min({sql})::text, max({sql})::text)"
    return None if column.element is None else f"json_build_array(max(array_ndims({sql})))"


def profile(column: Column, value: str | bytes) -> Profile:
    """The profile of a column from the value of the aggregate."""
    found = msgspec.json.decode(value)
    if column.element is not None:
        return Profile(flat=(found[0] or 1) == 1)
    scale, *ends = found
    ends = [end for end in ends if end is not None]
    digits = max((len(end.partition(".")[0].lstrip("-").lstrip("0")) for end in ends), default=0)
    return Profile(digits, scale or 0, finite=not any(end in ("NaN", "Infinity", "-Infinity") for end in ends))


def field(column: Column, found: Profile) -> Field:
    """How a column is written, given what its values are like."""
    sql = reference(column)
    if column.type == "numeric":
        return _decimal(column, sql, found)
    if column.element is not None:
        return _list(column, sql, found)
    if column.type in ("json", "jsonb"):
        json = pa.json_(pa.utf8())
        return Field(json, f"{sql}::text", pa.string(), lambda texts: pa.ExtensionArray.from_storage(json, texts))
    if column.type == "record":
        json = pa.json_(pa.utf8())
        return Field(
            json, f"to_json({sql})::text", pa.string(), lambda texts: pa.ExtensionArray.from_storage(json, texts)
        )
    if column.type == "bytea":
        return Field(pa.binary(), f"encode({sql}, 'hex')", pa.string(), _binary)
    if column.type == "uuid":
        return Field(pa.uuid(), f"replace({sql}::text, '-', '')", pa.string(), _uuid)
    type = _SIMPLE.get(column.type)
    if type is None:
        type = pa.string()
    return Field(type, sql, type)


def by_hand(type: pa.DataType, texts: pa.Array) -> pa.Array:
    """Texts of PostgreSQL as an array of a simple type: also those that Arrow's own readers refuse.

    Times before year 1 or after 9999 keep their value; an infinite one becomes null, and 24:00 the last microsecond.
    """
    if pa.types.is_boolean(type):
        return pc.equal(texts, "t") if _short(texts) else pc.equal(texts, "true")
    if pa.types.is_temporal(type):
        values = [None if text is None else _microseconds(text, type) for text in texts.to_pylist()]
        whole = pa.array(values, pa.int64())
        return whole.cast(pa.int32()).view(type) if type == pa.date32() else whole.view(type)
    return texts.cast(type)


def _short(texts: pa.Array) -> bool:
    return bool(pc.all(pc.is_in(texts, pa.array(["t", "f", None]))).as_py())


def _decimal(column: Column, sql: str, found: Profile) -> Field:
    declared = _DECLARED.fullmatch(column.native_type)
    precision, scale = found.digits + found.scale, found.scale
    if declared is not None and 0 <= int(declared[2]) <= int(declared[1]):
        precision, scale = int(declared[1]), int(declared[2])
    if not found.finite or precision > 76:
        return Field(pa.string(), f"{sql}::text", pa.string())
    precision = max(precision, 1)
    if precision > 38:
        wide = pa.decimal256(precision, scale)
        return Field(wide, sql, pa.string(), lambda texts: texts.cast(wide))
    if declared is None:
        # A later version of the file may have more digits: room for them costs nothing.
        precision = 18 if precision <= 18 else 38
    type = pa.decimal128(precision, scale)
    return Field(type, sql, type)


def _list(column: Column, sql: str, found: Profile) -> Field:
    if not found.flat:
        json = pa.json_(pa.utf8())
        return Field(
            json, f"array_to_json({sql})::text", pa.string(), lambda texts: pa.ExtensionArray.from_storage(json, texts)
        )
    element = _SIMPLE[column.element] if column.element in _LISTED else pa.string()
    kind = pa.list_(element)
    return Field(kind, f"array_to_json({sql}::text[])::text", pa.string(), lambda texts: _lists(kind, texts))


_decode_list = msgspec.json.Decoder(list[str | None]).decode


def _lists(type: pa.ListType, texts: pa.Array) -> pa.Array:
    lists = [None if text is None else _decode_list(text) for text in texts.to_pylist()]
    flat = pa.array([item for items in lists if items is not None for item in items], pa.string())
    offsets, end = [0], 0
    for items in lists:
        end += 0 if items is None else len(items)
        offsets.append(end)
    mask = pa.array([items is None for items in lists], pa.bool_())
    values = flat if type.value_type == pa.string() else by_hand(type.value_type, flat)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, type=type, mask=mask)


def _binary(texts: pa.Array) -> pa.Array:
    """Of hexadecimal texts, all at once: their digits stand in a row in one buffer."""
    texts = pa.concat_arrays([texts])  # from the start of its buffers
    validity, offsets, data = texts.buffers()
    halves = pc.divide(pa.Array.from_buffers(pa.int32(), len(texts) + 1, [None, offsets]), pa.scalar(2, pa.int32()))
    found = unhexlify(data) if data is not None and data.size else b""
    return pa.Array.from_buffers(pa.binary(), len(texts), [validity, halves.buffers()[1], pa.py_buffer(found)])


def _uuid(texts: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.uuid(), _binary(texts).cast(pa.binary(16)))


def _microseconds(text: str, type: pa.DataType) -> int | None:
    """A date in days since 1970, anything else in microseconds; None for an infinite one."""
    if pa.types.is_time(type):
        hours, minutes, seconds = text.split(":")
        whole, _, fraction = seconds.partition(".")
        total = (int(hours) * 3600 + int(minutes) * 60 + int(whole)) * 1_000_000 + int(fraction.ljust(6, "0") or 0)
        return min(total, _DAY - 1)
    match = _TIMES.fullmatch(text)
    if match is None:
        return None
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    days = _days(1 - year if match[8] else year, month, day)
    if type == pa.date32():
        return days
    hour, minute, second = (int(part or 0) for part in match.group(4, 5, 6))
    return days * _DAY + (hour * 3600 + minute * 60 + second) * 1_000_000 + int((match[7] or "").ljust(6, "0"))


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 in the Gregorian calendar, which repeats every 400 years."""
    cycles, inside = divmod(year - 1, 400)
    date = datetime.date(inside + 1, month, day)
    return date.toordinal() - datetime.date(1970, 1, 1).toordinal() + cycles * 146_097
