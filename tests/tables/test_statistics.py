"""Statistics are those of a naive evaluation in Python; of large selections they are estimates, and say so."""

from __future__ import annotations

import asyncio
import datetime
import json
import math
import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.accounts.actor import Actor
from datastore.actions.services import Services
from datastore.tables.analysis import distribution
from datastore.tables.analysis.distribution import Distribution
from datastore.tables.analysis.statistics import Effort, Request, Statistics
from datastore.tables.reading.matching import Match
from datastore.tables.schema import Column, TableSchema
from tests.tables.samples import (
    NUMBERS,
    Sample,
    ask,
    canonical,
    close,
    create,
    identity,
    is_approximate,
    plain,
    samples,
)
from tests.tables.strategies import Value

CallAction = Callable[..., Awaitable[Any]]


def is_finite(value: Value) -> bool:
    return value.sent not in ("NaN", "Infinity", "-Infinity")


@given(sample=samples())
async def test_every_column(services: Services, sysadmin: Actor, dataset: str, sample: Sample) -> None:
    resource_id = await create(services, sysadmin, dataset, sample)
    found = await ask(services, sysadmin, "datastore_stats", resource_id=resource_id, top=3, buckets=4)
    assert (found["total"], found["approximate"], found["estimates"]) == (len(sample.rows), False, [])
    assert [column["id"] for column in found["fields"]] == list(sample.types)
    for column in found["fields"]:
        type = sample.types[column["id"]]
        values = [row[column["id"]] for row in sample.rows if row[column["id"]].shown is not None]
        assert (column["count"], column["nulls"]) == (len(values), len(sample.rows) - len(values))
        # json is compared by its text here: in these tables the same as by its structure, but for a number's form.
        counts = Counter(identity(type, value) for value in values)
        assert column["distinct"] == len(counts)
        assert [top["count"] for top in column["top_values"]] == [count for _, count in counts.most_common(3)]
        shown = [canonical(plain(value.shown)) for value in values]
        assert all(canonical(plain(top["value"])) in shown or top["value"] == 0 for top in column["top_values"])
        if type in NUMBERS:
            exact = exact_float if type.startswith("float") else Fraction
            check_figures(column, [exact(value.sent) for value in values if is_finite(value)], exact)
            check_histogram(column["histogram"], [exact(value.sent) for value in values if is_finite(value)], exact)
        elif type in ("date", "timestamp"):
            check_histogram(column["histogram"], [seconds(value.sent) for value in values], seconds)
        if type in ("text", "varchar", "date"):
            ordered = sorted(value.sent for value in values)
            assert (column["min"], column["max"]) == ((ordered[0], ordered[-1]) if ordered else (None, None))


def seconds(text: str) -> Fraction:
    distance = datetime.datetime.fromisoformat(text) - datetime.datetime(1970, 1, 1)
    return Fraction(distance // datetime.timedelta(microseconds=1), 1_000_000)


def exact_float(value: Any) -> Fraction:
    """A float, however it is written."""
    return Fraction(float(value))


def check_figures(column: dict[str, Any], numbers: list[Fraction], exact: Callable[[Any], Fraction]) -> None:
    if not numbers:
        assert (column["min"], column["max"], column["mean"], column["stddev"]) == (None, None, None, None)
        return
    assert (exact(column["min"]), exact(column["max"])) == (min(numbers), max(numbers))
    scale = float(max(map(abs, numbers)))
    assert float(column["mean"]) == close(float(sum(numbers) / len(numbers)), scale)
    wanted = close(float(statistics.stdev(numbers)), scale) if len(numbers) > 1 else None
    assert wanted == (float(column["stddev"]) if is_approximate(wanted) else column["stddev"])


def check_histogram(histogram: dict[str, Any] | None, values: list[Fraction], exact: Callable[[Any], Fraction]) -> None:
    """The counts are those of the edges; the edges are equally far apart, from the least to the greatest value."""
    if histogram is None:
        assert not values
        return
    is_time = exact is seconds
    edges = [exact(edge) for edge in histogram["edges"]]
    # Timestamps are shown in milliseconds, cut.
    shift = Fraction(1, 1000) if is_time else 0
    counts, slack = [0] * (len(edges) - 1), 0
    for value in values:
        slack += any(edge <= value <= edge + shift for edge in edges) if is_time else 0
        counts[max(0, min(bisect_right(edges, value), len(counts)) - 1)] += 1
    assert sum(histogram["counts"]) == len(values)
    assert sum(abs(ours - theirs) for ours, theirs in zip(counts, histogram["counts"], strict=True)) <= 2 * slack
    assert 0 <= min(values) - edges[0] <= shift
    assert edges[-1] + shift >= max(values)
    widths = [float(after - before) for before, after in pairwise(edges)]
    assert widths == pytest.approx([widths[0]] * len(widths), rel=1e-6, abs=0.002)
    assert len(counts) <= 4


# --- samples ----------------------------------------------------------------------------------------------------------

ROWS = 4000


@pytest.fixture
async def large(call: CallAction, services: Services, dataset: str) -> TableSchema:
    """A table that is large for the efforts below."""
    records = [
        {"unique": row, "letter": "abcde"[row % 5], "rare": 1 if row == 5 else None, "skewed": int(row**0.5)}
        for row in range(ROWS)
    ]
    created = await call("datastore_create", resource={"package_id": dataset}, records=records)
    schema = await services.schemas.get(created["resource_id"])
    assert schema is not None
    return schema


async def described(services: Services, schema: TableSchema, request: Request) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(await Statistics(services.database).get(schema, request))
    return {**result, "fields": {column.pop("id"): column for column in result["fields"]}}


@pytest.mark.parametrize(
    ("filters", "total"), [(None, ROWS), ({"unique": {"lt": 3000}}, 3000), ({"letter": ["a", "b"]}, 1600)]
)
async def test_a_sample_of_a_large_selection(services: Services, large: TableSchema, filters: Any, total: int) -> None:
    request = Request(match=Match(filters=filters), effort=Effort(exact=1000, sample=800))
    found = await described(services, large, request)
    assert (found["total"], found["approximate"]) == (total, True)
    assert found["estimates"] == ["distinct", "top_values", "histogram"]
    unique, letter, rare = (found["fields"][name] for name in ("unique", "letter", "rare"))
    assert (unique["count"], unique["min"], rare["nulls"], rare["max"]) == (total, 0, total - 1, 1)
    assert unique["mean"] == pytest.approx(statistics.mean(kept(filters)))
    assert unique["distinct"] == total
    assert unique["top_values"] == []
    assert sum(unique["histogram"]["counts"]) == pytest.approx(total, abs=20)
    letters = 5 if filters is None or "unique" in filters else 2
    assert letter["distinct"] == letters
    assert [top["count"] for top in letter["top_values"]] == pytest.approx([total / letters] * letters, rel=0.3)
    skewed = len({int(row**0.5) for row in kept(filters)})
    assert found["fields"]["skewed"]["distinct"] == pytest.approx(skewed, rel=0.3)


def kept(filters: Any) -> list[int]:
    fits = {"letter": lambda row: row % 5 < 2, "unique": lambda row: row < 3000}
    return [row for row in range(ROWS) if all(fits[name](row) for name in filters or ())]


async def test_a_whole_table_too_large_to_be_read(services: Services, large: TableSchema) -> None:
    effort = Effort(exact=100, sample=1500, scanned=1000, scan_sample=2500)
    found = await described(services, large, Request(effort=effort))
    assert (found["total"], found["approximate"]) == (ROWS, True)
    assert {"count", "min", "mean", "distinct"} <= set(found["estimates"])
    unique = found["fields"]["unique"]
    assert (unique["count"], unique["distinct"]) == (ROWS, ROWS)
    assert unique["mean"] == pytest.approx(ROWS / 2, rel=0.5)
    assert found["fields"]["letter"]["distinct"] == 5
    # A selection is read as a whole.
    found = await described(services, large, Request(Match(filters={"unique": {"gte": 3990}}), effort=effort))
    assert (found["total"], found["approximate"]) == (10, False)


async def test_a_small_selection_is_exact(services: Services, large: TableSchema) -> None:
    effort = Effort(exact=1000, sample=100)
    found = await described(services, large, Request(Match(filters={"unique": {"lt": 1000}}), effort=effort))
    assert (found["total"], found["approximate"], found["estimates"]) == (1000, False, [])
    assert found["fields"]["letter"]["top_values"][0] == {"value": "a", "count": 200}


# --- what is kept -----------------------------------------------------------------------------------------------------


async def test_results_are_kept_until_a_write(call: CallAction, services: Services, large: TableSchema) -> None:
    kept = Statistics(services.database)
    first = await kept.get(large, Request())
    assert await kept.get(large, Request()) is first
    other = await kept.get(large, Request(top=1))
    assert other != first
    assert await kept.get(large, Request(top=1)) is other
    await call("datastore_upsert", resource_id=large.resource_id, records=[{"letter": "z"}], method="insert")
    second = await kept.get(large, Request())
    assert json.loads(second)["total"] == ROWS + 1
    assert await kept.get(large, Request()) is second
    await call("datastore_delete", resource_id=large.resource_id, filters={"letter": "z"})
    assert json.loads(await kept.get(large, Request()))["total"] == ROWS


async def test_what_was_asked_longest_ago_is_dropped_first(services: Services, large: TableSchema) -> None:
    requests = [Request(fields=[name]) for name in ("unique", "letter", "skewed")]
    size = sum([len(await Statistics(services.database).get(large, request)) for request in requests[:2]])
    kept = Statistics(services.database, size=size)
    first, second = [await kept.get(large, request) for request in requests[:2]]
    assert await kept.get(large, requests[0]) is first
    third = await kept.get(large, requests[2])
    assert await kept.get(large, requests[2]) is third
    assert await kept.get(large, requests[1]) is not second
    tiny = Statistics(services.database, size=10)
    assert await tiny.get(large, requests[0]) is not await tiny.get(large, requests[0])


async def test_who_asks_the_same_at_the_same_time_gets_the_same(services: Services, large: TableSchema) -> None:
    kept = Statistics(services.database)
    results = await asyncio.gather(*(kept.get(large, Request()) for _ in range(5)))
    assert all(result is results[0] for result in results)


# --- parts ------------------------------------------------------------------------------------------------------------


def found(grouped: int, distinct: int, single: int) -> Distribution:
    return Distribution(grouped=grouped, long=0, distinct=distinct, single=single, top=[])


def test_the_estimate_of_distinct_values() -> None:
    assert distribution.estimate_distinct(found(100, 100, 100), 5000) == 5000  # a key
    assert distribution.estimate_distinct(found(100, 4, 0), 5000) == 4  # a category
    assert distribution.estimate_distinct(found(0, 0, 0), 0) == 0
    assert distribution.estimate_distinct(found(0, 0, 0), 3) == 1  # so rare that the sample has none
    assert 50 < distribution.estimate_distinct(found(100, 50, 20), 5000) < 100


@given(low=st.floats(allow_nan=False, allow_infinity=False), high=st.floats(allow_nan=False, allow_infinity=False))
def test_edges_of_floats(low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    edges = [float(edge) for edge in distribution.edges(Column("x", "float8", ""), repr(low), repr(high), 20)]
    assert edges == sorted(edges)
    assert (edges[0], edges[-1]) == (low, high)
    assert all(map(math.isfinite, edges))
    assert len(edges) == (2 if low == high else 21)


@given(low=st.decimals(allow_nan=False, allow_infinity=False), span=st.decimals(0, 1000), buckets=st.integers(1, 30))
def test_edges_of_exact_numbers(low: Decimal, span: Decimal, buckets: int) -> None:
    high = Fraction(low) + Fraction(span)
    decimals = max(0, -int(low.as_tuple().exponent), -int(span.as_tuple().exponent))
    top = f"{high.numerator * 10**decimals // high.denominator:d}e-{decimals}"
    edges = [
        Fraction(Decimal(edge)) for edge in distribution.edges(Column("x", "numeric", ""), f"{low:f}", top, buckets)
    ]
    assert edges == sorted(edges)
    assert (edges[0], edges[-1]) == (Fraction(low), high)
    widths = [float(after - before) for before, after in pairwise(edges)]
    assert widths == pytest.approx([float(span) / len(widths)] * len(widths), rel=1e-6)


@given(
    low=st.integers(-(2**63), 2**63 - 1), span=st.integers(0, 100) | st.integers(0, 2**63), buckets=st.integers(1, 30)
)
def test_edges_of_integers(low: int, span: int, buckets: int) -> None:
    high = min(low + span, 2**63 - 1)
    edges = [int(edge) for edge in distribution.edges(Column("x", "int8", ""), str(low), str(high), buckets)]
    assert edges[0] == low
    assert len(edges) <= buckets + 1
    assert edges[-2] <= high <= edges[-1]
    assert len({after - before for before, after in pairwise(edges) if after < 2**63 - 1}) <= 1
