"""The first scan of datastore_stats: of every column the count, least and greatest value, mean and deviation.

One aggregate over all rows, which PostgreSQL runs in parallel. Pure: :func:`plan` writes it, :func:`read` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from datastore.postgres.quoting import identifier
from datastore.tables import render
from datastore.tables.analysis.measures import exact_stddev
from datastore.tables.analysis.outputs import NUMBERS, TIMES, finite
from datastore.tables.schema import Column
from datastore.tables.types import FLOATS, INTEGERS, TEXT

LONG = 2000
"""Bytes, as stored, above which a value is no longer compared with others: those may lie outside the row."""

_ORDERED = NUMBERS | TIMES | TEXT | {"time", "timetz", "interval"}

NULL = msgspec.Raw(b"null")


class Extent(msgspec.Struct, frozen=True):
    """What the scan found of a column. Values are JSON text, ``null`` where there is none."""

    count: int
    """Rows with a value."""
    min: msgspec.Raw = NULL
    max: msgspec.Raw = NULL
    mean: msgspec.Raw = NULL
    stddev: msgspec.Raw = NULL
    low: str | None = None
    """The least and the greatest value as PostgreSQL writes a number: of a date the day since 1970, of a timestamp the
    microsecond. For histograms; None without any finite value."""
    high: str | None = None
    infinite: bool | None = None
    """One of them is infinite or NaN: then the scan is worth another one that leaves such values out."""


def has_order(column: Column) -> bool:
    """The column's values have a least and a greatest one."""
    return column.type in _ORDERED


def has_moments(column: Column) -> bool:
    """The column's values have a mean."""
    return column.type in NUMBERS


def has_histogram(column: Column) -> bool:
    """The column's values lie on a line."""
    return column.type in NUMBERS | TIMES


def is_short(column: Column, sql: str) -> str | None:
    """The condition that a value is not too long to be compared; None if its type has no long ones."""
    if has_order(column) and column.type not in TEXT:
        return None
    return None if column.type in ("bool", "uuid") else f"pg_column_size({sql}) <= {LONG}"


def plan(columns: Sequence[Column], source: str, *, finite_only: bool, moments: bool, milliseconds: bool) -> str:
    """The statement for up to 99 columns: a JSON list of the number of rows and an object a column.

    ``source`` is the FROM clause with the rows ``t``. ``finite_only`` leaves out infinities and NaN, at the price of
    comparing every value. ``moments`` asks for mean and deviation of all numbers: their computation may overflow, but
    not of integers.
    """
    aggregates, objects = ["count(*) AS total"], ["a.total"]
    for number, column in enumerate(columns):
        sql = f"t.{identifier(column.name)}"
        value = f"CASE WHEN {finite(sql)} THEN {sql} END" if finite_only and _has_infinities(column) else sql
        aggregates.append(f"count({sql}) AS count{number}")
        members = [f"'count', a.count{number}"]
        if has_order(column):
            short = is_short(column, sql)
            condition = f" FILTER (WHERE {short})" if short else ""
            aggregates.append(f"min({value}){condition} AS low{number}, max({value}){condition} AS high{number}")
            members += _bounds(column, number, milliseconds)
        if has_moments(column) and (moments or column.type in INTEGERS):
            if column.type in FLOATS:
                means = (f"avg({value}::float8)", f"stddev({value}::float8)")
            else:
                means = (f"trim_scale(avg({value}))", f"trim_scale({exact_stddev(value)})")
            for key, aggregate in zip(("mean", "stddev"), means, strict=True):
                aggregates.append(f"{aggregate} AS {key}{number}")
                members.append(f"'{key}', a.{key}{number}")
        objects.append(f"json_build_object({', '.join(members)})")
    return f"SELECT json_build_array({', '.join(objects)}) FROM (SELECT {', '.join(aggregates)} {source}) AS a"


def _bounds(column: Column, number: int, milliseconds: bool) -> list[str]:
    low, high = f"a.low{number}", f"a.high{number}"
    members = [
        f"'{key}', {render.as_json(Column(name, column.type, ''), milliseconds, 'a')}"
        for key, name in (("min", f"low{number}"), ("max", f"high{number}"))
    ]
    is_finite = f"{finite(low)} AND {finite(high)}" if _has_infinities(column) else "true"
    if is_finite != "true":
        members.append(f"'infinite', NOT ({is_finite})")
    if has_histogram(column):
        for key, sql in (("low", low), ("high", high)):
            members.append(f"'{key}', CASE WHEN {is_finite} THEN {_position(column, sql)}::text END")
    return members


def _has_infinities(column: Column) -> bool:
    return column.type in FLOATS | TIMES | {"numeric"}


def _position(column: Column, sql: str) -> str:
    if column.type == "date":
        return f"({sql} - date '1970-01-01')"
    if column.type in TIMES:
        return f"(extract(epoch FROM {sql}) * 1000000)::numeric(30)"
    return f"{sql}::float8" if column.type in FLOATS else sql


def read(result: bytes) -> tuple[int, list[Extent]]:
    """The number of rows, and the extent of each column."""
    total, *extents = msgspec.json.decode(result, type=list[msgspec.Raw])
    return msgspec.json.decode(total, type=int), [msgspec.json.decode(extent, type=Extent) for extent in extents]
