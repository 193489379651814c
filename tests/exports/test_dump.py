"""Dumps: one snapshot, constant memory, and errors that show."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from datastore.actions.registry import RawJson
from datastore.actions.services import Services
from datastore.exports import dump
from datastore.exports.formats import FORMATS, by_extension
from datastore.exports.rows import of_table
from datastore.exports.writer import Options
from datastore.tables import search
from datastore.tables.schema import TableSchema
from datastore.tables.search import Search

CallAction = Callable[..., Awaitable[Any]]
ROWS = 40_000


@pytest.fixture
async def large(call: CallAction, services: Services, resource: str, monkeypatch: pytest.MonkeyPatch) -> TableSchema:
    """A table whose dump is several times what may wait in memory."""
    monkeypatch.setattr(dump, "_CHUNKS", 1)
    await call(
        "datastore_create", resource_id=resource, fields=[{"id": "n", "type": "int"}, {"id": "t", "type": "text"}]
    )
    records = ",".join(f'{{"n":{number},"t":"{"x" * 300}"}}' for number in range(ROWS))
    await call("datastore_upsert", resource_id=resource, method="insert", records=RawJson(f"[{records}]".encode()))
    schema = await services.schemas.get(resource)
    assert schema is not None
    return schema


async def started(services: Services, schema: TableSchema, format: str = "csv") -> AsyncGenerator[bytes, None]:
    plan = search.plan(Search(limit=None, include_total=False, records_format="csv"), schema)
    opener = of_table(services.database, schema, plan)
    return await dump.start(opener, FORMATS[format], Options(), services.database.settings.dump_stall_timeout)


async def dumps_under_way(services: Services) -> int:
    return int(
        await services.database.owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY (%'"
        )
    )


async def test_one_snapshot_whatever_is_written_meanwhile(
    call: CallAction, services: Services, large: TableSchema
) -> None:
    chunks = await started(services, large)
    text = [await anext(chunks)]
    await call("datastore_delete", resource_id=large.resource_id, filters={"n": {"gte": 100}})
    await call("datastore_upsert", resource_id=large.resource_id, method="insert", records=[{"n": -1}])
    text += [chunk async for chunk in chunks]
    rows = list(csv.reader(io.StringIO(b"".join(text).decode())))
    assert [row[1] for row in rows[1:]] == [str(number) for number in range(ROWS)]


@pytest.mark.parametrize("format", ["csv", "xml", "xlsx"])
async def test_a_client_that_leaves_stops_the_query(services: Services, large: TableSchema, format: str) -> None:
    chunks = await started(services, large, format)
    await anext(chunks)
    assert await dumps_under_way(services) == 1
    await chunks.aclose()
    async with asyncio.timeout(5):
        while await dumps_under_way(services):  # noqa: ASYNC110 -- the server tells by being asked only
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("format", ["json", "parquet", "xlsx"])
async def test_an_error_in_the_middle_breaks_the_transfer(services: Services, large: TableSchema, format: str) -> None:
    chunks = await started(services, large, format)
    await anext(chunks)
    await services.database.owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE 'COPY (%' AND pid <> pg_backend_pid()"
    )
    with pytest.raises((asyncpg.PostgresError, ConnectionError, asyncpg.InterfaceError)):
        async for _ in chunks:
            pass


async def test_a_stalled_client_is_given_up(services: Services, large: TableSchema, monkeypatch: Any) -> None:
    impatient = services.settings.model_copy(update={"dump_stall_timeout": 0.2})
    monkeypatch.setattr(services.database, "settings", impatient)
    chunks = await started(services, large)
    await asyncio.sleep(0.6)
    assert await dumps_under_way(services) == 0
    with pytest.raises(TimeoutError):
        async for _ in chunks:
            pass


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.csv", "csv"),
        ("b.JSONL", "ndjson"),
        ("c.d.parquet", "parquet"),
        ("e.pdf", None),
        ("csv", None),
        ("x.arrow", "arrow"),
    ],
)
def test_format_of_a_file(name: str, format: str | None) -> None:
    assert by_extension(name) == (FORMATS[format] if format else None)
