"""Writers, readers and changes of the schema at the same time: nothing is lost, and the count stays right."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from datastore.actions.services import Services
from datastore.errors import NotFound, ValidationError

CallAction = Callable[..., Awaitable[Any]]
WRITERS = 8


async def true_count(services: Services, resource_id: str) -> tuple[int, int]:
    """Rows in the table, and rows by the registry."""
    schema = await services.schemas.fresh(resource_id)
    assert schema is not None
    row = await services.database.owner.fetchrow(
        f"SELECT (SELECT count(*) FROM {schema.sql_name}), record_count FROM datastore.tables WHERE resource_id = $1",
        resource_id,
    )
    return row[0], row[1]


async def test_overlapping_upserts(call: CallAction, services: Services, resource: str) -> None:
    """Each writer upserts the same keys in another order: no deadlock, no double key, the last writer's values."""
    fields = [{"id": "k", "type": "int"}, {"id": "v", "type": "text"}]
    await call("datastore_create", resource_id=resource, fields=fields, primary_key="k")

    async def writer(number: int) -> None:
        for turn in range(4):
            keys = list(range(60))
            random.Random(number * 100 + turn).shuffle(keys)
            records = [{"k": key, "v": f"{number}.{turn}"} for key in keys]
            await call("datastore_upsert", resource_id=resource, records=records)

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    found = await call("datastore_search", resource_id=resource, limit=100)
    assert sorted(row["k"] for row in found["records"]) == list(range(60))
    # Each upsert is one transaction over all keys, so one writer's turn is everywhere.
    assert len({row["v"] for row in found["records"]}) == 1
    assert await true_count(services, resource) == (60, 60)


async def test_inserts_deletes_and_new_columns(call: CallAction, services: Services, resource: str) -> None:
    await call("datastore_create", resource_id=resource, fields=[{"id": "a", "type": "int"}])
    inserted = 0

    async def inserter(number: int) -> None:
        nonlocal inserted
        for turn in range(5):
            records = [{"a": number * 1000 + turn * 100 + row} for row in range(50)]
            await call("datastore_upsert", resource_id=resource, method="insert", records=records)
            inserted += 50

    async def deleter() -> None:
        for bound in range(0, 3000, 300):
            await call("datastore_delete", resource_id=resource, filters={"a": {"lt": bound}})

    async def changer() -> None:
        for number in range(5):
            await call("datastore_create", resource_id=resource, fields=[{"id": f"c{number}", "type": "text"}])

    async def reader() -> None:
        for _ in range(30):
            found = await call("datastore_search", resource_id=resource, limit=32000)
            assert found["total"] == len(found["records"])  # one statement, one snapshot

    await asyncio.gather(*(inserter(number) for number in range(4)), deleter(), changer(), reader(), reader())
    rows, count = await true_count(services, resource)
    assert rows == count
    assert inserted == 1000
    info = await call("datastore_info", id=resource)
    assert [field["id"] for field in info["fields"]] == ["a", "c0", "c1", "c2", "c3", "c4"]


async def test_two_first_creates(call: CallAction, services: Services, dataset: str) -> None:
    """Tables of one dataset made at once, and one table made twice at once."""
    resources = [await call("resource_create", package_id=dataset, url_type="datastore") for _ in range(3)]

    async def create(resource_id: str) -> None:
        await call("datastore_create", resource_id=resource_id, records=[{"a": 1}])

    ids = [resource["id"] for resource in resources] * 2
    await asyncio.gather(*(create(resource_id) for resource_id in ids))
    for resource_id in ids:
        assert await true_count(services, resource_id) == (2, 2)


async def test_readers_of_a_table_that_goes(call: CallAction, resource: str) -> None:
    """A reader sees the table or is told that it is gone: nothing else."""
    await call("datastore_create", resource_id=resource, records=[{"a": number} for number in range(100)])

    async def reader() -> None:
        for _ in range(40):
            try:
                found = await call("datastore_search", resource_id=resource)
                assert found["total"] in (100, 2)
            except NotFound:
                pass
            except ValidationError as error:
                raise AssertionError(error.fields) from None

    async def dropper() -> None:
        await asyncio.sleep(0.02)
        await call("datastore_delete", resource_id=resource)
        await asyncio.sleep(0.02)
        await call("datastore_create", resource_id=resource, records=[{"a": "x"}, {"a": "y"}])

    await asyncio.gather(reader(), reader(), dropper())
