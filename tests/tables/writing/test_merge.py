"""Upserts of many records: they do what each record by itself would do, whichever statements are chosen for them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.tables.writing import write

CallAction = Callable[..., Awaitable[Any]]
FIELDS = [{"id": "k", "type": "int"}, {"id": "a", "type": "text"}, {"id": "b", "type": "text"}]
LONG = "x" * 400
"""With it, 4,000 records are more than ``write.UNORDERED_FROM`` bytes."""


@pytest.fixture
async def table(call: CallAction, resource: str) -> str:
    await call("datastore_create", resource_id=resource, fields=FIELDS, primary_key="k")
    return resource


async def rows(call: CallAction, table: str) -> list[tuple[Any, ...]]:
    found = await call("datastore_search", resource_id=table, limit=32_000, sort="_id")
    assert found["total"] == len(found["records"])
    return [(row["k"], row["a"], row["b"]) for row in found["records"]]


def one_by_one(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    stored: dict[Any, dict[str, Any]] = {}
    for number, record in enumerate(records):
        key = record["k"] if record["k"] is not None else ("null", number)
        stored.setdefault(key, {"a": None, "b": None}).update(record)
    return [(row["k"], row["a"], row["b"]) for row in stored.values()]


async def test_many_records_half_of_which_exist(call: CallAction, table: str) -> None:
    records = [{"k": key, "a": LONG, "b": str(key)} for key in range(4000)]
    random.Random(1).shuffle(records)
    await call("datastore_upsert", resource_id=table, records=[{**record, "b": "old"} for record in records[:2000]])
    await call("datastore_upsert", resource_id=table, records=records)
    assert await rows(call, table) == one_by_one(records)


@pytest.mark.parametrize("repeated", ["new", "existing"])
async def test_many_records_some_with_one_key(call: CallAction, table: str, repeated: str) -> None:
    """The last one wins, and rows are numbered in the order of the records that made them."""
    records = [{"k": key, "a": LONG, "b": "first"} for key in range(4000)]
    if repeated == "existing":
        await call("datastore_upsert", resource_id=table, records=[{"k": 7}])
    again: list[dict[str, Any]] = [
        {"k": 7, "a": "again", "b": "second"},
        {"k": None, "a": "n", "b": "1"},
        {"k": None, "a": "n", "b": "2"},
    ]
    await call("datastore_upsert", resource_id=table, records=[*records, *again])
    found = await rows(call, table)
    assert len(found) == 4002
    assert (7, "again", "second") in found
    assert sorted(found, key=repr) == sorted(one_by_one([*records, *again]), key=repr)


async def test_many_records_one_of_which_is_refused(call: CallAction, table: str) -> None:
    records: list[dict[str, Any]] = [{"k": key, "a": LONG, "b": "x"} for key in range(4000)]
    records[3210]["k"] = "no number"
    with pytest.raises(ValidationError) as refused:
        await call("datastore_upsert", resource_id=table, records=records)
    assert refused.value.fields["records_row"] == 3210
    assert await rows(call, table) == []


async def test_many_records_by_id(call: CallAction, table: str) -> None:
    records = [{"_id": number, "k": number, "a": LONG, "b": "x"} for number in range(1, 4001)]
    await call("datastore_upsert", resource_id=table, records=records)
    await call("datastore_upsert", resource_id=table, records=[{"k": 5000}])  # numbered behind them
    assert [row[0] for row in await rows(call, table)] == [*range(1, 4001), 5000]


async def test_large_upserts_of_the_same_rows(call: CallAction, services: Services, table: str) -> None:
    """In other orders, at the same time: each is all there or replaced by another, and no key is there twice."""

    async def writer(number: int) -> None:
        keys = list(range(4000))
        random.Random(number).shuffle(keys)
        records = [{"k": key, "a": LONG, "b": str(number)} for key in keys]
        assert len(records) * len(LONG) > write.UNORDERED_FROM
        await call("datastore_upsert", resource_id=table, records=records)

    await asyncio.gather(*(writer(number) for number in range(3)))
    found = await rows(call, table)
    assert sorted(row[0] for row in found) == list(range(4000))
    assert len({row[2] for row in found}) == 1


@pytest.mark.parametrize("seed", range(6))
async def test_records_that_name_other_columns(call: CallAction, table: str, seed: int) -> None:
    """Few keys, so that the order of the records matters; some are NULL."""
    choice = random.Random(seed)
    records: list[dict[str, Any]] = []
    for number in range(60):
        record: dict[str, Any] = {"k": choice.choice([None, *range(20 if seed % 2 else 200)])}
        for name in choice.sample(["a", "b"], choice.randint(0, 2)):
            record[name] = str(number)
        records.append(record)
    shown = await call("datastore_upsert", resource_id=table, records=records, include_records=True)
    assert sorted(await rows(call, table), key=repr) == sorted(one_by_one(records), key=repr)
    keys = [row["k"] for row in shown["records"]]
    assert keys == [row[0] for row in one_by_one(records)]


async def statements(services: Services, table: str) -> int:
    """How many statements have written the rows as they are: each leaves its transaction and its number in them."""
    schema = await services.schemas.fresh(table)
    assert schema is not None
    found: int = await services.database.owner.fetchval(
        f"SELECT count(DISTINCT (xmin::text, cmin::text)) FROM {schema.sql_name}"
    )
    return found


@pytest.mark.parametrize("method", ["upsert", "update"])
async def test_alternating_key_sets(call: CallAction, services: Services, table: str, method: str) -> None:
    """Two statements for ten thousand records, as long as no row needs them in turns."""
    records = [{"k": key, "ab"[key % 2]: str(key)} for key in range(10_000)]
    if method == "update":
        await call("datastore_upsert", resource_id=table, records=[{"k": key} for key in range(10_000)])
    await call("datastore_upsert", resource_id=table, method=method, records=records)
    assert await statements(services, table) == 2
    assert sorted(await rows(call, table)) == sorted(one_by_one(records))


async def test_key_sets_of_one_row_in_turns(call: CallAction, services: Services, table: str) -> None:
    """All records of the first set, then all of the second, would not leave the last value."""
    records = [{"k": 1, "a": "1"}, {"k": 1, "b": "2"}, {"k": 1, "a": "3"}, {"k": 2, "b": "4"}]
    await call("datastore_upsert", resource_id=table, records=records)
    assert await rows(call, table) == [(1, "3", "2"), (2, None, "4")]


async def test_by_id_a_key_that_moves(call: CallAction, table: str) -> None:
    """Each record changes the key that the next one takes: they go one after the other."""
    await call("datastore_upsert", resource_id=table, records=[{"k": 1}, {"k": 2}, {"k": 3}])
    records = [{"_id": 1, "k": 10}, {"_id": 2, "k": 1, "a": "x"}, {"_id": 3, "k": 2}]
    await call("datastore_upsert", resource_id=table, records=records)
    assert await rows(call, table) == [(10, None, None), (1, "x", None), (2, None, None)]
