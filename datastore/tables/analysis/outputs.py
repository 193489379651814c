"""The columns of a computed result: which groups and which measures, as a client writes them → SQL.

A client writes an object, ``{"function": "avg", "column": "dep_delay"}``, or the same in short: ``avg(dep_delay)``.
Everything here is pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import msgspec

from datastore.errors import ValidationError
from datastore.postgres.quoting import identifier
from datastore.tables.arguments import Arguments
from datastore.tables.names import printable, too_long, valid_column_name
from datastore.tables.schema import Column, TableSchema
from datastore.tables.types import FLOATS, INTEGERS, JSON

NUMBERS = INTEGERS | FLOATS | {"numeric"}
TIMES = frozenset({"date", "timestamp", "timestamptz"})
UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade")
"""The widths of time buckets. Weeks begin on Monday; times with a zone are cut in UTC."""
MAX_BUCKETS = 10_000
MAX_OUTPUTS = 100
"""Most columns of a result: as many as a function of PostgreSQL takes arguments."""
_MAX_LENGTH = 500
"""Of the short form, in characters: longer than any function, column and name together."""

# Types without an order: their values are told apart by their text.
UNORDERED = frozenset({"xml", "point", "lseg", "path", "box", "polygon", "line", "circle", "jsonpath", "int2vector"})
# Types for which every PostgreSQL has min() and max(), with the same type as result.
_MIN_MAX = NUMBERS | TIMES | {"text", "bpchar", "time", "timetz", "interval", "money"}

_CALL = re.compile(r"(?P<function>[a-z_]+[0-9.]*)\s*\((?P<column>.*)\)", re.IGNORECASE | re.DOTALL)
_NAMED = re.compile(r"(?P<what>.+?)\s+as\s+(?P<name>.+)", re.IGNORECASE | re.DOTALL)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,6})?|100)")


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result, computed from a row or from a group of rows, which stand under the name ``t``."""

    column: Column
    sql: str
    bounds: tuple[str, ...] = ()
    """Aggregates over the whole selection that ``sql`` refers to: see :func:`bound`."""


def items(value: Any, parameter: str) -> list[Any]:
    """The members of a list, of JSON text, or of a text with commas (those in brackets or quotes do not count).

    Raises :class:`ValidationError` for ``parameter`` if they are neither texts nor objects, or too many.
    """
    if isinstance(value, str):
        value = _from_text(value)
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [value]
    if not isinstance(value, list):
        raise ValidationError({parameter: ["Not a list"]})
    if len(value) > MAX_OUTPUTS:
        raise ValidationError({parameter: [f"more than {MAX_OUTPUTS} columns"]})
    for member in value:
        if not isinstance(member, (str, Mapping)):
            raise ValidationError({parameter: [f"Neither a string nor an object: {printable(repr(member))[:200]}"]})
        if isinstance(member, str) and len(member) > _MAX_LENGTH:
            raise ValidationError({parameter: [f'invalid value "{printable(member[:100])}…"']})
    return value


def _from_text(text: str) -> Any:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            pass  # a column's name may begin so
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == '"'
        depth += 0 if quoted else (character == "(") - (character == ")")
        if character == "," and depth <= 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


class _Item:
    """One member of ``group_by`` or ``aggregates``, taken apart key by key."""

    def __init__(self, given: Any, parameter: str, schema: TableSchema, arguments: Arguments) -> None:
        self.parameter = parameter
        self.schema = schema
        self.arguments = arguments
        self.given = dict(given) if isinstance(given, Mapping) else self._short(given)

    def _short(self, text: str) -> dict[str, Any]:
        if text in self.schema.by_name and self.parameter == "group_by":
            return {"column": text}
        found: dict[str, Any] = {}
        if (named := _NAMED.fullmatch(text)) is not None and not text.endswith(")"):
            text, found["as"] = named["what"], _unquoted(named["name"])
        if (call := _CALL.fullmatch(text)) is not None:
            found["function"] = call["function"].lower()
            if (column := _unquoted(call["column"])) not in ("", "*"):
                found["column"] = column
        else:
            found["column" if self.parameter == "group_by" else "function"] = _unquoted(text)
        return found

    def error(self, message: str) -> ValidationError:
        return ValidationError({self.parameter: [message]})

    def text(self, key: str) -> str | None:
        value = self.given.pop(key, None)
        if value is not None and not isinstance(value, str):
            raise self.error(f'"{key}" is not a text')
        return value or None

    def column(self) -> Column | None:
        name = self.text("column")
        if name is None:
            return None
        if (column := self.schema.by_name.get(name)) is None:
            raise self.error(f'invalid value "{printable(name)}"')
        return column

    def number(self, key: str) -> Decimal | None:
        value = self.given.pop(key, None)
        if value is None:
            return None
        try:
            number = Decimal(str(value)) if not isinstance(value, bool) else None
        except (InvalidOperation, ValueError):
            number = None
        if number is None or not number.is_finite() or abs(number.adjusted()) > 300:
            raise self.error(f'"{key}" is not a number')
        return number

    def named(self, output: Output, default: str) -> Output:
        """The output under the name that was asked for, once everything that was given has been understood."""
        name = self.text("as") or default
        if self.given:
            raise self.error(f'invalid value "{printable(str(next(iter(self.given))))}"')
        if not valid_column_name(name) and name != output.column.name:
            raise self.error(f'"{printable(name)}" is not a valid name')
        if too_long(name):
            raise self.error(f'"{printable(name)}" is too long a name: give another one with "as"')
        return output if name == output.column.name else replace(output, column=replace(output.column, name=name))


def _unquoted(name: str) -> str:
    name = name.strip()
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name


def comparable(column: Column, sql: str) -> tuple[str, Column]:
    """A value as something that can be grouped and sorted, and what it is then. JSON compares by its structure."""
    if column.type == "json" or column.element == "json":
        native = "jsonb" if column.element is None else "jsonb[]"
        type, element = ("jsonb", None) if column.element is None else ("_jsonb", "jsonb")
        return f"{sql}::{native}", replace(column, type=type, native_type=native, element=element)
    if column.type in UNORDERED or column.element in UNORDERED:
        return f"{sql}::text", replace(column, type="text", native_type="text", element=None)
    return sql, column


def bound(number: int) -> str:
    """What stands for ``bounds[number]`` of all outputs in their SQL, once the plan knows their order."""
    return f"(SELECT b{number} FROM bounds)"


# --- groups -----------------------------------------------------------------------------------------------------------


def group(given: Any, schema: TableSchema, arguments: Arguments, bounds: int = 0) -> Output:
    """A member of ``group_by``: a column, or buckets of its values. ``bounds`` is the number of bounds before it.

    Raises :class:`ValidationError` ``group_by``.
    """
    item = _Item(given, "group_by", schema, arguments)
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


def _time_bucket(item: _Item, column: Column, sql: str, unit: str) -> Output:
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


def finite(sql: str) -> str:
    """The condition that a number, date or timestamp is neither infinite nor NaN (which is above infinity)."""
    return f"{sql} > '-infinity' AND {sql} < 'infinity'"


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


# --- measures ---------------------------------------------------------------------------------------------------------


def measure(given: Any, schema: TableSchema, arguments: Arguments) -> Output:
    """A member of ``aggregates``: what is computed of each group. Raises :class:`ValidationError` ``aggregates``."""
    item = _Item(given, "aggregates", schema, arguments)
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
