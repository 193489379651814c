"""What is computed of each group: counts, sums, averages, percentiles → SQL. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from datastore.postgres.quoting import identifier
from datastore.tables.analysis.outputs import NUMBERS, TIMES, UNORDERED, Item, Output, comparable
from datastore.tables.arguments import Arguments
from datastore.tables.names import printable
from datastore.tables.schema import Column, TableSchema
from datastore.tables.types import FLOATS, JSON

# Types for which every PostgreSQL has min() and max(), with the same type as result.
_MIN_MAX = NUMBERS | TIMES | {"text", "bpchar", "time", "timetz", "interval", "money"}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,6})?|100)")


def measure(given: Any, schema: TableSchema, arguments: Arguments) -> Output:
    """A member of ``aggregates``: what is computed of each group. Raises :class:`ValidationError` ``aggregates``."""
    item = Item(given, "aggregates", schema, arguments)
    function = (item.text("function") or "").lower()
    column, p = item.column(), item.number("p")
    default = function
    if (short := _PERCENTILE.fullmatch(function)) is not None and p is None:
        function, p = "percentile", Decimal(short[1]) / 100
    if function not in _FUNCTIONS:
        raise item.error(f"Unknown function: {printable(function)}" if function else 'Missing value: "function"')
    if (p is not None) != (function == "percentile"):
        raise item.error('"percentile" needs "p", from 0 to 1, and nothing else does')
    if p is not None and not 0 <= p <= 1:
        raise item.error('"p" is not from 0 to 1')
    if column is None:
        if function != "count":
            raise item.error(f'"{function}" needs a column')
        return item.named(Output(_integer(), "count(*)"), function)
    if default == "percentile" and p is not None:
        default = f"p{(p * 100).normalize():f}"
    found = _FUNCTIONS[function](column, f"t.{identifier(column.name)}", "" if p is None else arguments.add(str(p)))
    if found is None:
        raise item.error(f'"{function}" does not apply to "{column.name}", which is of type {column.type}')
    return item.named(found, f"{default}_{column.name}")


def _typed(type: str) -> Column:
    return Column("", type, type)


def _integer() -> Column:
    return _typed("int8")


def _count(column: Column, sql: str, _p: str) -> Output:
    return Output(_integer(), f"count({sql})")


def _count_distinct(column: Column, sql: str, _p: str) -> Output:
    return Output(_integer(), f"count(DISTINCT {comparable(column, sql)[0]})")


def _sum(column: Column, sql: str, _p: str) -> Output | None:
    if column.type in FLOATS:
        return Output(_typed("float8"), f"sum({sql}::float8)")
    if column.type in ("int2", "int4"):
        return Output(_integer(), f"sum({sql})")
    if column.type in ("int8", "numeric"):
        return Output(_typed("numeric"), f"sum({sql})")
    return Output(_typed("interval"), f"sum({sql})") if column.type == "interval" else None


def _avg(column: Column, sql: str, _p: str) -> Output | None:
    if column.type in FLOATS:
        return Output(_typed("float8"), f"avg({sql}::float8)")
    if column.type in NUMBERS:
        return Output(_typed("numeric"), f"trim_scale(avg({sql}))")
    return Output(_typed("interval"), f"avg({sql})") if column.type == "interval" else None


def _spread(function: str, column: Column, sql: str, _p: str) -> Output | None:
    """Of a sample (n - 1)."""
    if column.type in FLOATS:
        return Output(_typed("float8"), f"{function}({sql}::float8)")
    if column.type not in NUMBERS:
        return None
    return Output(_typed("numeric"), f"trim_scale({exact_stddev(sql) if function == 'stddev' else f'variance({sql})'})")


def exact_stddev(sql: str) -> str:
    """The standard deviation of exact numbers. Their stddev() has as many decimals as their variance: too few."""
    return f"sqrt(variance({sql}))"


def _extreme(function: str, column: Column, sql: str, _p: str) -> Output | None:
    """By the order of the type, in which NaN is above everything."""
    if column.type in UNORDERED | JSON or column.element in UNORDERED | JSON:
        return None
    shown = replace(column, name="", info=None, not_null=False)
    if column.type == "bool":
        return Output(shown, f"{'bool_and' if function == 'min' else 'bool_or'}({sql})")
    if column.type in _MIN_MAX:
        return Output(shown, f"{function}({sql})")
    # Not every PostgreSQL has min() of uuid, bytea, ranges …; the first in order is the same.
    return Output(shown, f"percentile_disc({0 if function == 'min' else 1}) WITHIN GROUP (ORDER BY {sql})")


def _median(column: Column, sql: str, _p: str) -> Output | None:
    if column.type in FLOATS or column.type not in NUMBERS:
        return _percentile(column, sql, "0.5")
    # The middle one from below and the middle one from above: exact, where percentile_cont computes in float8.
    middle = "percentile_disc(0.5) WITHIN GROUP (ORDER BY {sql}{descending})::numeric"
    both = " + ".join(middle.format(sql=sql, descending=word) for word in ("", " DESC"))
    return Output(_typed("numeric"), f"trim_scale(({both}) * 0.5)")


def _percentile(column: Column, sql: str, p: str) -> Output | None:
    """Between two values if need be; of points in time the value at that place."""
    fraction = f"({p})::text::float8"
    if column.type in NUMBERS:
        return Output(_typed("float8"), f"percentile_cont({fraction}) WITHIN GROUP (ORDER BY {sql}::float8)")
    if column.type == "interval":
        return Output(_typed("interval"), f"percentile_cont({fraction}) WITHIN GROUP (ORDER BY {sql})")
    if column.type in TIMES | {"time", "timetz"}:
        shown = replace(column, name="", info=None, not_null=False)
        return Output(shown, f"percentile_disc({fraction}) WITHIN GROUP (ORDER BY {sql})")
    return None


_FUNCTIONS: dict[str, Callable[[Column, str, str], Output | None]] = {
    "count": _count,
    "count_distinct": _count_distinct,
    "sum": _sum,
    "avg": _avg,
    "min": partial(_extreme, "min"),
    "max": partial(_extreme, "max"),
    "median": _median,
    "percentile": _percentile,
    "stddev": partial(_spread, "stddev"),
    "variance": partial(_spread, "variance"),
}
FUNCTIONS = tuple(_FUNCTIONS)
"""What can be computed of a group."""
