"""Groups and their figures are those of a naive evaluation in Python."""

from __future__ import annotations

import datetime
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.accounts.actor import Actor
from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.tables import types
from tests.tables.samples import (
    ANYTHING,
    NUMBERS,
    ORDERED,
    VALUES,
    Sample,
    ask,
    canonical,
    close,
    create,
    identity,
    is_approximate,
    number,
    plain,
    samples,
)
from tests.tables.strategies import Value


def floats(values: Sequence[Value]) -> list[float]:
    return [float(value.sent) for value in values]


def between(values: Sequence[float], p: float) -> Any:
    """The value at the place p, interpolated; infinities and NaN are not looked at."""
    if not all(map(math.isfinite, values)):
        return ANYTHING
    ordered = sorted(values)
    place = p * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return close(low + (high - low) * (place - math.floor(place)), max(map(abs, ordered)))


def by_order(type: str) -> Callable[[Value], Any]:
    if type in ("float4", "float8"):
        return lambda value: (value.sent == "NaN", 0.0 if value.sent == "NaN" else float(value.sent))
    return lambda value: value.sent


def figure(function: str, type: str, values: Sequence[Value]) -> Any:
    """The function of the values that are not NULL."""
    if function == "count":
        return len(values)
    if function == "count_distinct":
        return len({identity(type, value) for value in values})
    if not values:
        return None
    if function in ("min", "max"):
        return {"min": min, "max": max}[function](values, key=by_order(type)).shown
    exact = type not in ("float4", "float8")
    if function == "sum":
        return sum(map(number, values)) if exact else close(sum(floats(values)), sum(map(abs, floats(values))))
    if function == "avg":
        return close(sum(floats(values)) / len(values), max(map(abs, floats(values))))
    if function == "median" and exact:
        ordered = sorted(map(number, values))
        return Decimal(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) * Decimal("0.5")
    if function in ("median", "p25"):
        return between(floats(values), 0.5 if function == "median" else 0.25)
    if len(values) == 1:
        return None if math.isfinite(float(values[0].sent)) else ANYTHING
    if not all(map(math.isfinite, floats(values))):
        return "NaN"
    return close(float(statistics.stdev(map(Fraction, floats(values)))), max(map(abs, floats(values))))


FUNCTIONS = {
    "count": sorted(VALUES),
    "count_distinct": sorted(VALUES),
    "min": ORDERED,
    "max": ORDERED,
    "sum": NUMBERS,
    "avg": NUMBERS,
    "median": NUMBERS,
    "p25": NUMBERS,
    "stddev": NUMBERS,
}


@settings(max_examples=150)
@given(data=st.data(), sample=samples())
async def test_figures_of_groups(
    services: Services, sysadmin: Actor, dataset: str, data: st.DataObject, sample: Sample
) -> None:
    names = list(sample.types)
    group_by = data.draw(st.lists(st.sampled_from(names), unique=True, max_size=2), "group_by")
    measures = [(function, name) for function, types in FUNCTIONS.items() for name in sample.columns(types)]
    resource_id = await create(services, sysadmin, dataset, sample)
    found = await ask(
        services,
        sysadmin,
        "datastore_aggregate",
        resource_id=resource_id,
        group_by=group_by,
        aggregates=["count", "min(_id)", *(f"{function}({name}) as {function} {name}" for function, name in measures)],
    )

    expected: dict[Any, list[int]] = defaultdict(list)
    for at, row in enumerate(sample.rows):
        expected[tuple(identity(sample.types[name], row[name]) for name in group_by)].append(at)
    if not group_by and not expected:
        expected[()] = []
    assert found["total"] == len(found["records"]) == len(expected)
    by_first = {record["min__id"]: record for record in found["records"]}
    for members in expected.values():
        record = by_first[members[0] + 1 if members else None]
        assert record["count"] == len(members)
        for name in group_by:
            assert canonical(plain(record[name])) == canonical(plain(sample.rows[members[0]][name].shown)) or (
                identity(sample.types[name], sample.rows[members[0]][name]) == 0  # -0.0 and 0.0 are one
            )
        for function, name in measures:
            values = [sample.rows[at][name] for at in members if sample.rows[at][name].shown is not None]
            shown = record[f"{function} {name}"]
            wanted = figure(function, sample.types[name], values)
            if is_approximate(wanted) and shown is not None:
                shown = float(shown)
            elif not isinstance(wanted, Decimal):
                shown = plain(shown)
            assert wanted == shown, (
                function,
                name,
                [value.sent for value in values],
            )


async def test_the_deviation_of_large_integers_has_all_digits(
    services: Services, sysadmin: Actor, dataset: str
) -> None:
    sample = Sample({"x": "int4"}, [{"x": Value(value, value)} for value in (1, -228092280)])
    resource_id = await create(services, sysadmin, dataset, sample)
    found = await ask(services, sysadmin, "datastore_aggregate", resource_id=resource_id, aggregates="stddev(x)")
    assert float(found["records"][0]["stddev_x"]) == pytest.approx(161285598.63140747, rel=1e-14)


# --- buckets ----------------------------------------------------------------------------------------------------------


@given(
    values=st.lists(st.decimals(-(10**12), 10**12, allow_nan=False, places=6), max_size=10),
    width=st.decimals("0.000001", 10**6, allow_nan=False, places=6),
)
async def test_buckets_of_a_width(
    services: Services, sysadmin: Actor, dataset: str, values: list[Decimal], width: Decimal
) -> None:
    sample = Sample({"x": "numeric"}, [{"x": Value(value, value)} for value in values])
    resource_id = await create(services, sysadmin, dataset, sample)
    found = await ask(
        services,
        sysadmin,
        "datastore_aggregate",
        resource_id=resource_id,
        group_by=[{"column": "x", "width": str(width)}],
        records_format="lists",
    )
    expected: dict[Fraction, int] = defaultdict(int)
    for value in values:
        expected[Fraction(value) // Fraction(width) * Fraction(width)] += 1
    assert [(Fraction(low), count) for low, count in found["records"]] == sorted(expected.items())


@given(
    values=st.lists(st.integers(-1000, 1000) | st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=30),
    buckets=st.integers(1, 50),
)
async def test_equal_buckets(
    services: Services, sysadmin: Actor, dataset: str, values: list[int], buckets: int
) -> None:
    sample = Sample({"x": "int4"}, [{"x": Value(value, value)} for value in [*values, None]])
    resource_id = await create(services, sysadmin, dataset, sample)
    found = await ask(
        services,
        sysadmin,
        "datastore_aggregate",
        resource_id=resource_id,
        group_by=[{"column": "x", "buckets": buckets}],
        records_format="lists",
    )
    low, high = min(values), max(values)
    expected: dict[int, int] = defaultdict(int)
    for value in values:
        expected[min(buckets - 1, (value - low) * buckets // (high - low)) if high > low else 0] += 1
    assert [count for _, count in found["records"]] == [*(expected[key] for key in sorted(expected)), 1]
    lows = [float(low + Fraction(high - low) * key / buckets) for key in sorted(expected)]
    assert [float(start) for start, _ in found["records"][:-1]] == pytest.approx(lows)


def truncated(unit: str, value: datetime.datetime) -> datetime.datetime:
    value = value.replace(microsecond=0)
    if unit == "hour":
        return value.replace(minute=0, second=0)
    value = value.replace(hour=0, minute=0, second=0)
    if unit == "week":
        return value - datetime.timedelta(days=value.weekday())
    month = {"month": value.month, "quarter": (value.month - 1) // 3 * 3 + 1}.get(unit, 1)
    return value if unit == "day" else value.replace(month=month, day=1)


@given(
    values=st.lists(st.datetimes(datetime.datetime(1, 1, 8), datetime.datetime(9999, 12, 31)), max_size=8),
    unit=st.sampled_from(["hour", "day", "week", "month", "quarter", "year"]),
    type=st.sampled_from(["date", "timestamp", "timestamptz"]),
)
async def test_buckets_of_time(
    services: Services, sysadmin: Actor, dataset: str, values: list[datetime.datetime], unit: str, type: str
) -> None:
    zone = "Z" if type == "timestamptz" else ""
    sample = Sample({"x": type}, [{"x": Value(f"{value.isoformat()}{zone}", "")} for value in values])
    resource_id = await create(services, sysadmin, dataset, sample)
    parameters = {"resource_id": resource_id, "group_by": f"{unit}(x)", "records_format": "lists"}
    if type == "date" and unit == "hour":
        with pytest.raises(ValidationError):
            await ask(services, sysadmin, "datastore_aggregate", **parameters)
        return
    found = await ask(services, sysadmin, "datastore_aggregate", **parameters)
    expected: dict[datetime.datetime, int] = defaultdict(int)
    for value in values:
        expected[truncated(unit, value)] += 1
    shown = [datetime.datetime.fromisoformat(start).replace(tzinfo=None) for start, _ in found["records"]]
    assert dict(zip(shown, (count for _, count in found["records"]), strict=True)) == expected
    assert shown == sorted(shown)


# --- types ------------------------------------------------------------------------------------------------------------

LITERALS = {
    "point": "(1,2)",
    "box": "(1,2),(3,4)",
    "json": '{"a": 1}',
    "jsonb": '{"a": 1}',
    "inet": "10.0.0.1",
    "int4range": "[1,5)",
    "int4multirange": "{[1,5)}",
    "tsvector": "a b",
    "jsonpath": "$.a",
    "money": "1.50",
    "bit": "1",
    "name": "n",
    "interval": "1 day",
    "int2vector": "1 2",
    "oidvector": "1 2",
}


async def test_every_type_can_be_grouped_and_described(services: Services, sysadmin: Actor, dataset: str) -> None:
    names = await services.database.owner.fetch(
        "SELECT typname::text AS name FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace"
    )
    async with services.database.owner.acquire() as connection:
        declared = sorted((await types.resolve(connection, [row["name"] for row in names])).keys() - {"_cstring"})
    assert len(declared) > 90
    fields = [{"id": f"of {name}", "type": name} for name in declared]
    record: dict[str, Any] = {f"of {name}": literal for name, literal in LITERALS.items() if name in declared}
    record |= {f"of _{name}": f'{{"{LITERALS[name]}"}}' for name in ("point", "inet")}
    record |= {"of _json": [{"a": 1}], "of _jsonb": [{"a": 1}]}
    data = {"resource": {"package_id": dataset}, "fields": fields, "records": [record, record, {}]}
    resource_id = (await ask(services, sysadmin, "datastore_create", **data))["resource_id"]

    async def figure_of(function: str, name: str) -> None:
        parameters = {"resource_id": resource_id, "aggregates": f"{function}({name})"}
        try:
            await ask(services, sysadmin, "datastore_aggregate", **parameters)
        except ValidationError as error:
            refused.append((name, function, list(error.fields)))

    refused: list[tuple[str, str, list[str]]] = []
    stats = await ask(services, sysadmin, "datastore_stats", resource_id=resource_id)
    described = {column["id"]: column for column in stats["fields"]}
    for field in fields:
        name = field["id"]
        rows = 2 if name in record else 0
        for records_format in ("objects", "csv"):
            found = await ask(
                services,
                sysadmin,
                "datastore_aggregate",
                resource_id=resource_id,
                group_by=[name],
                aggregates=["count", f"count_distinct({name})"],
                records_format=records_format,
            )
            assert found["total"] == (2 if rows else 1), name
        for function in ("min", "max", "sum", "avg", "median", "stddev", "p90"):
            await figure_of(function, name)
        column = described[name]
        assert (column["count"], column["nulls"], column["distinct"]) == (rows, 3 - rows, min(1, rows)), name
        assert [top["count"] for top in column["top_values"]] == [2] * min(1, rows)
    # What does not apply is told by us, before PostgreSQL is asked.
    assert [entry for entry in refused if entry[2] != ["aggregates"]] == []
