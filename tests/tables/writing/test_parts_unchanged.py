"""Large upserts that change little, or fill an empty table: what need not be written is not, and all else is."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.tables.schema import TableSchema
from datastore.tables.writing import parts, write
from datastore.tables.writing.sources import JsonList

CallAction = Callable[..., Awaitable[Any]]
FIELDS = [{"id": "k", "type": "int"}, {"id": "a", "type": "text"}, {"id": "b", "type": "text"}]
LONG = "x" * 400
"""With it, a piece of records has about 280 of them."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "UNORDERED_FROM", 2**16)
    monkeypatch.setattr(parts, "FIRST_PART", 1)
    monkeypatch.setattr(parts, "LARGEST_PART", 1)  # each piece is a part


@pytest.fixture
async def table(call: CallAction, resource: str) -> str:
    await call("datastore_create", resource_id=resource, fields=FIELDS, primary_key="k")
    return resource


def record(key: int | None, mark: str) -> dict[str, Any]:
    return {"k": key, "a": LONG, "b": mark}


async def schema_of(services: Services, table: str) -> TableSchema:
    schema = await services.schemas.fresh(table)
    assert schema is not None
    return schema


async def versions(services: Services, table: str) -> dict[tuple[int | None, str | None], str]:
    """Where each row lies, by its key and mark: another place after it has been written."""
    schema = await schema_of(services, table)
    rows = await services.database.owner.fetch(f"SELECT k, b, ctid::text FROM {schema.sql_name}")
    return {(row["k"], row["b"]): row["ctid"] for row in rows}


async def test_what_is_the_same_is_not_written(call: CallAction, services: Services, table: str) -> None:
    await call("datastore_upsert", resource_id=table, records=[record(key, "old") for key in range(2000)])
    before = await versions(services, table)
    changed = set(random.Random(7).sample(range(2000), 150))
    keys = random.Random(8).sample(range(2100), 2100)
    records = [record(key, "new" if key in changed else "old") for key in keys]
    await call("datastore_upsert", resource_id=table, records=records)
    after = await versions(services, table)
    assert after.keys() == {(each["k"], each["b"]) for each in records}
    assert {key for key, place in after.items() if before.get(key) == place} == before.keys() & after.keys()


async def test_rows_that_are_gone_in_between(call: CallAction, services: Services, table: str) -> None:
    """A part whose first rows are the same, and others new or changed in each of its rows."""
    records = [record(key, "old") for key in range(600)]
    await call("datastore_upsert", resource_id=table, records=records)
    await call("datastore_delete", resource_id=table, filters={"k": list(range(100, 200))})
    await call(
        "datastore_upsert", resource_id=table, records=records[:250] + [record(k, "new") for k in range(250, 600)]
    )
    expected = {(key, "old") for key in range(250)} | {(key, "new") for key in range(250, 600)}
    assert (await versions(services, table)).keys() == expected


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old"), ("old", "old")])
async def test_a_key_twice(call: CallAction, services: Services, table: str, order: tuple[str, str]) -> None:
    """One record of the key is as the row was: the last one counts all the same."""
    records = [record(key, "old") for key in range(600)]
    await call("datastore_upsert", resource_id=table, records=records)
    first, second = order
    again = [*records[:99], record(99, first), *records[100:110], record(99, second), *records[110:]]
    await call("datastore_upsert", resource_id=table, records=again)
    expected = {(each["k"], each["b"]) for each in records} - {(99, "old")} | {(99, second)}
    assert (await versions(services, table)).keys() == expected


@pytest.mark.parametrize(
    ("kind", "stored", "sent", "shown"),
    [
        ("float", "0.0", "-0.0", "-0"),
        ("numeric", "1.0", "1.00", "1.00"),
        ("json", '{"a": 1}', '{"a": 1.0}', '{"a": 1.0}'),
        ("jsonb", '{"a": 1}', '{"a": 1.0}', '{"a": 1.0}'),
        ("_numeric", "[1.0]", "[1.00]", "{1.00}"),
        ("text", '"e"', '"e\u0301"', "e\u0301"),
        ("text", "null", '""', ""),
        ("timestamp", '"2020-01-01T00:00:00"', '"2020-01-01T00:00:00.000001"', "2020-01-01 00:00:00.000001"),
        ("bool", "false", "null", None),
    ],
)
async def test_equal_is_not_the_same(
    call: CallAction, services: Services, resource: str, kind: str, stored: str, sent: str, shown: str | None
) -> None:
    """Values that PostgreSQL finds equal, or nearly, are written if they would be shown in another way."""
    fields = [{"id": "k", "type": "int"}, {"id": "v", "type": kind}, {"id": "a", "type": "text"}]
    await call("datastore_create", resource_id=resource, fields=fields, primary_key="k")
    schema = await schema_of(services, resource)

    async def upsert(value: str) -> None:
        values = [value if key > 200 else stored for key in range(300)]
        text = ",".join(f'{{"k": {key}, "v": {value}, "a": "{LONG}"}}' for key, value in enumerate(values))
        await services.database.write(lambda tx: write.merge(tx, schema, JsonList(f"[{text}]".encode())))

    await upsert(stored)
    await upsert(sent)
    found = await services.database.owner.fetch(f"SELECT v::text FROM {schema.sql_name} ORDER BY k")
    assert [row["v"] for row in found[201:]] == [shown] * 99
    assert shown not in [row["v"] for row in found[:201]]


async def test_what_is_the_same_is_locked(call: CallAction, services: Services, table: str) -> None:
    """Nobody changes such a row before the upsert is committed: all of it comes before, or after, another write."""
    records = [record(key, "old") for key in range(600)]
    await call("datastore_upsert", resource_id=table, records=records)
    schema = await schema_of(services, table)

    async def upsert_and_look(tx: Transaction) -> None:
        await write.merge(tx, schema, JsonList(json.dumps(records).encode()))
        with pytest.raises(asyncpg.LockNotAvailableError):
            await services.database.owner.execute(f"SELECT FROM {schema.sql_name} WHERE k = 300 FOR UPDATE NOWAIT")

    await services.database.write(upsert_and_look)


async def test_writers_in_each_others_way(call: CallAction, services: Services, table: str) -> None:
    """Each row is as one of them says, and all rows as the same one says."""
    keys = range(600)
    await call("datastore_upsert", resource_id=table, records=[record(key, "0") for key in keys])

    async def writer(number: int) -> None:
        records = [record(key, str(number)) for key in keys]
        for _ in range(4):
            await call("datastore_upsert", resource_id=table, records=records)

    await asyncio.gather(*(writer(number) for number in range(3)))
    found = await versions(services, table)
    assert len(found) == 600
    assert len({mark for _, mark in found}) == 1


async def test_an_empty_table(call: CallAction, services: Services, table: str) -> None:
    """It is filled at once, each row numbered as its record came."""
    keys: list[int | None] = [*random.Random(3).sample(range(2000), 2000), None, None]
    await call("datastore_upsert", resource_id=table, records=[record(key, "new") for key in keys])
    schema = await schema_of(services, table)
    rows = await services.database.owner.fetch(
        f"SELECT k, count(*) OVER (PARTITION BY xmin::text, cmin::text) FROM {schema.sql_name} ORDER BY _id"
    )
    assert [tuple(row) for row in rows] == [(key, 2002) for key in keys]


@pytest.mark.parametrize("second", [20, 900])
async def test_a_key_twice_into_an_empty_table(call: CallAction, services: Services, table: str, second: int) -> None:
    records = [record(key, "first") for key in range(1000)]
    records.insert(second, record(7, "second"))
    await call("datastore_upsert", resource_id=table, records=records)
    expected = {(key, "first") for key in range(1000)} - {(7, "first")} | {(7, "second")}
    assert (await versions(services, table)).keys() == expected


async def test_an_empty_table_stays_empty(call: CallAction, services: Services, table: str) -> None:
    records = [record(key, "first") for key in range(1000)]
    records[900]["k"] = 2**40
    with pytest.raises(ValidationError, match="out of range") as refused:
        await call("datastore_upsert", resource_id=table, records=records)
    assert refused.value.fields["records_row"] == 900
    assert await versions(services, table) == {}
