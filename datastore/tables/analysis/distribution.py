"""The second scan of datastore_stats: of every column the distinct values, the most frequent ones, a histogram.

The rows of the selection, or of a sample of it, are read once; the values of each column are grouped, and everything
else is made of the groups. Pure: :func:`plan` writes the statement, :func:`read` reads what it gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Context, Decimal

import msgspec

from datastore.postgres.quoting import identifier
from datastore.tables import render
from datastore.tables.analysis.extents import Extent, has_histogram, is_short
from datastore.tables.analysis.outputs import TIMES, comparable, finite
from datastore.tables.arguments import Arguments
from datastore.tables.schema import Column
from datastore.tables.types import FLOATS, INTEGERS

_LAST_DAY = 2145042905  # 5874897-12-31, in days since 1970: the last date that PostgreSQL has
_LAST_INTEGER = 2**63 - 1
_DAY = 86_400_000_000  # microseconds


class Value(msgspec.Struct, frozen=True):
    """A value and the number of its rows."""

    value: msgspec.Raw
    count: int


class Distribution(msgspec.Struct, frozen=True):
    """What the scan found of a column."""

    grouped: int
    """Rows with a value that was short enough to be compared."""
    long: int
    """Rows with one that was not."""
    distinct: int
    single: int
    """Values that were met once."""
    top: list[Value]
    edges: list[msgspec.Raw] | None = None
    """The bounds of the histogram's buckets, one more than there are buckets."""
    counts: dict[str, int] | None = None
    """Rows by the number of the bucket, from 1; empty buckets are left out."""


def plan(
    columns: Sequence[Column],
    extents: Sequence[Extent],
    source: str,
    arguments: Arguments,
    *,
    top: int,
    least: int,
    buckets: int,
    milliseconds: bool,
) -> str:
    """The statement for up to 100 columns: a JSON list of an object a column.

    ``source`` is the FROM clause with the rows ``t``; ``arguments`` has its arguments, and takes further ones.
    ``top`` is the number of most frequent values, which occur at least ``least`` times; ``buckets`` the most buckets.
    """
    row, steps, objects = [], [], []
    for number, (column, extent) in enumerate(zip(columns, extents, strict=True)):
        sql = f"t.{identifier(column.name)}"
        short = is_short(column, sql)
        value = _value(column, sql)
        row.append(f"CASE WHEN {short} THEN {value} END AS v{number}" if short else f"{value} AS v{number}")
        row.append(f"NOT ({short}) AND {sql} IS NOT NULL AS long{number}" if short else f"false AS long{number}")
        steps.append(
            f"g{number} AS (SELECT v{number} AS v, count(*) AS n FROM s WHERE v{number} IS NOT NULL GROUP BY 1)"
        )
        members = [
            "'grouped', coalesce(sum(n), 0), 'distinct', count(*), 'single', count(*) FILTER (WHERE n = 1)",
            f"'long', (SELECT count(*) FROM s WHERE long{number})" if short else "'long', 0",
            f"'top', {_top(column, f'g{number}', top, least, milliseconds)}",
        ]
        if has_histogram(column) and extent.low is not None and extent.high is not None:
            bounds = edges(column, extent.low, extent.high, buckets)
            steps.append(f"h{number} AS (SELECT {_edges(column, arguments.add(bounds))} AS edges)")
            members += _histogram(column, number, len(bounds) - 1, milliseconds)
        objects.append(f"(SELECT json_build_object({', '.join(members)}) FROM g{number})")
    rows = f"s AS MATERIALIZED (SELECT {', '.join(row)} {source})"
    return f"WITH {', '.join([rows, *steps])} SELECT json_build_array({', '.join(objects)})"


def read(result: bytes) -> list[Distribution]:
    """The distribution of each column."""
    return msgspec.json.decode(result, type=list[Distribution])


def _value(column: Column, sql: str) -> str:
    """The value as something that can be grouped. JSON by its text: not every json can be a jsonb."""
    if column.type == "json":
        return f"{sql}::text"
    return f"array_to_json({sql})::text" if column.element == "json" else comparable(column, sql)[0]


def _top(column: Column, groups: str, top: int, least: int, milliseconds: bool) -> str:
    shown = comparable(column, "")[1]
    is_json = "json" in (column.type, column.element)
    value = "top.v::json" if is_json else render.as_json(replace(shown, name="v"), milliseconds, "top")
    return (
        f"(SELECT coalesce(json_agg(json_build_object('value', {value}, 'count', top.n)), '[]')"
        f" FROM (SELECT v, n FROM {groups} WHERE n >= {least} ORDER BY n DESC, v LIMIT {top}) AS top)"
    )


def _type(column: Column) -> str:
    """The type in which the buckets of a column are."""
    return "int8" if column.type in INTEGERS else "float8" if column.type in FLOATS else column.type


def _edges(column: Column, texts: str) -> str:
    """The edges as an array of the column's type."""
    if column.type == "date":
        edge = "date '1970-01-01' + edge::int4"
    elif column.type in TIMES:
        edge = f"{column.type} '1970-01-01' + edge::interval"
    else:
        edge = f"edge::{_type(column)}"
    return f"ARRAY(SELECT {edge} FROM unnest({texts}::text[]) WITH ORDINALITY AS e (edge, i) ORDER BY i)"


def _histogram(column: Column, number: int, buckets: int, milliseconds: bool) -> list[str]:
    type = _type(column)
    edge = render.as_json(Column("edge", type, ""), milliseconds, "e")
    bucket = f"greatest(1, least({buckets}, width_bucket(v::{type}, edges)))"
    return [
        f"'edges', (SELECT json_agg({edge} ORDER BY i) FROM h{number}, unnest(edges) WITH ORDINALITY AS e (edge, i))",
        f"'counts', (SELECT json_object_agg(b, n) FROM (SELECT {bucket} AS b, sum(n) AS n FROM g{number}, h{number}"
        f" WHERE {finite('v') if type != 'int8' else 'true'} GROUP BY 1) AS counted)",
    ]


def edges(column: Column, low: str, high: str, buckets: int) -> list[str]:
    """The bounds of at most so many buckets of equal width, from the least to the greatest value, for :func:`plan`.

    Whole numbers and days have buckets of whole width, the last of which may end beyond the greatest value.
    """
    if column.type in INTEGERS or column.type == "date":
        first, last = int(low), int(high)
        width = -(-(last - first + 1) // buckets)
        count = -(-(last - first + 1) // width)
        limit = _LAST_DAY if column.type == "date" else _LAST_INTEGER
        return [str(min(first + number * width, limit)) for number in range(count + 1)]
    if low == high:
        buckets = 1
    if column.type in TIMES:
        first, last = int(low), int(high)
        return [_interval(first + (last - first) * number // buckets) for number in range(buckets + 1)]
    if column.type in FLOATS:
        least, most = float(low), float(high)
        shares = [number / buckets for number in range(1, buckets)]
        # The difference of two floats may be infinite; this is not.
        inner = [min(most, max(least, least * (1 - share) + most * share)) for share in shares]
        return [repr(edge) for edge in (least, *sorted(inner), most)]
    exact = Context(prec=len(low) + len(high) + 20)
    start, span = Decimal(low), exact.subtract(Decimal(high), Decimal(low))
    inner_edges = [
        exact.add(start, exact.divide(exact.multiply(span, Decimal(number)), Decimal(buckets)))
        for number in range(1, buckets)
    ]
    return [low, *(f"{edge.normalize(exact):f}" for edge in inner_edges), high]


def _interval(microseconds: int) -> str:
    """Time since 1970 as text of a PostgreSQL interval: days and seconds apart, so that every microsecond counts."""
    days, rest = divmod(microseconds, _DAY)
    return f"{days} days {rest // 1_000_000}.{rest % 1_000_000:06} secs"


def estimate_distinct(found: Distribution, rows: int) -> int:
    """The number of distinct values among ``rows``, from a sample: the estimator of Haas and Stokes, as PostgreSQL's
    ANALYZE uses it (IBM Research Report RJ 10025). A long value counts as different from all others.
    """
    sampled, distinct, single = found.grouped, found.distinct, found.single
    if sampled == 0:
        return min(1, rows)
    estimate = sampled * distinct / (sampled - single + single * sampled / rows)
    return max(distinct, min(rows, math.floor(estimate + 0.5)))
