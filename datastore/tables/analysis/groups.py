"""By what rows are grouped: columns, buckets of time, of a width, of equal widths → SQL. Pure."""

from __future__ import annotations

from typing import Any

from datastore.postgres.quoting import identifier
from datastore.tables.analysis.outputs import NUMBERS, TIMES, Item, Output, bound, comparable, finite
from datastore.tables.arguments import Arguments
from datastore.tables.names import printable
from datastore.tables.schema import Column, TableSchema
from datastore.tables.types import FLOATS

UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade")
"""The widths of time buckets. Weeks begin on Monday; times with a zone are cut in UTC."""
MAX_BUCKETS = 10_000


def group(given: Any, schema: TableSchema, arguments: Arguments, bounds: int = 0) -> Output:
    """A member of ``group_by``: a column, or buckets of its values. ``bounds`` is the number of bounds before it.

    Raises :class:`ValidationError` ``group_by``.
    """
    item = Item(given, "group_by", schema, arguments)
    column = item.column()
    if column is None:
        raise item.error('Missing value: "column"')
    sql = f"t.{identifier(column.name)}"
    unit = item.text("function") or item.text("bucket")
    width, buckets = item.number("width"), item.number("buckets")
    if sum(part is not None for part in (unit, width, buckets)) > 1:
        raise item.error('Only one of "bucket", "width" and "buckets" can be given')
    if unit is not None:
        return item.named(_time_bucket(item, column, sql, unit.lower()), f"{unit.lower()}_{column.name}")
    if width is None and buckets is None:
        sql, shown = comparable(column, sql)
        return item.named(Output(shown, sql), column.name)
    if column.type not in NUMBERS:
        raise item.error(f'"{column.name}" is of type {column.type}: only numbers have buckets of a width')
    name = f"bucket_{column.name}"
    if width is not None:
        if width <= 0:
            raise item.error('"width" is not greater than zero')
        return item.named(_width_buckets(column, sql, arguments.add(str(width)), name), name)
    if buckets is None or buckets != int(buckets) or not 1 <= buckets <= MAX_BUCKETS:
        raise item.error(f'"buckets" is not a whole number from 1 to {MAX_BUCKETS}')
    return item.named(_equal_buckets(column, sql, int(buckets), bounds, name), name)


def _time_bucket(item: Item, column: Column, sql: str, unit: str) -> Output:
    if unit not in UNITS:
        raise item.error(f"Unknown bucket: {printable(unit)}")
    if column.type not in TIMES:
        raise item.error(f'"{column.name}" is of type {column.type}: only dates and timestamps have buckets of time')
    shown = Column(f"{unit}_{column.name}", column.type, column.native_type)
    if column.type != "date":
        zone = ", 'UTC'" if column.type == "timestamptz" else ""
        return Output(shown, f"date_trunc('{unit}', {sql}{zone})")
    if UNITS.index(unit) < UNITS.index("day"):
        raise item.error(f'"{column.name}" is a date: it has no {unit}')
    return Output(shown, f"date_trunc('{unit}', {sql}::timestamp)::date")


def _width_buckets(column: Column, sql: str, width: str, name: str) -> Output:
    """The greatest multiple of the width that is not above the value."""
    value, width = f"{sql}::numeric", f"({width})::text::numeric"
    if column.type in FLOATS:  # of 15 digits, fewer than the quotient has
        number = f"floor({value} / {width})"
    else:  # exact for any digits
        number = f"(div({value}, {width}) - CASE WHEN mod({value}, {width}) < 0 THEN 1 ELSE 0 END)"
    return Output(Column(name, "numeric", "numeric"), f"{number} * {width}")


def _equal_buckets(column: Column, sql: str, buckets: int, bounds: int, name: str) -> Output:
    """Buckets of equal width from the least to the greatest value; infinities and NaN stay by themselves."""
    type = "float8" if column.type in FLOATS else "numeric"
    value, low, high = f"{sql}::{type}", bound(bounds), bound(bounds + 1)
    number = f"(least(width_bucket({value}, {low}, {high}, {buckets}), {buckets}) - 1)"
    if type == "float8":
        start = f"{low} * (1 - {number} / {buckets}::float8) + {high} * ({number} / {buckets}::float8)"
    else:
        start = f"trim_scale({low} + ({high} - {low}) * {number} / {buckets})"
    return Output(
        Column(name, type, type),
        f"CASE WHEN {sql} IS NULL THEN NULL WHEN NOT ({finite(value)}) THEN {value} WHEN {low} = {high} THEN {low}"
        f" ELSE {start} END",
        tuple(f"{aggregate}({value}) FILTER (WHERE {finite(value)})" for aggregate in ("min", "max")),
    )
