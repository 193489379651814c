"""Dumps: one snapshot, constant memory, and errors that show."""

from __future__ import annotations

import asyncio
import csv
import io
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from datastore.actions.registry import RawJson
from datastore.actions.services import Services
from datastore.exports import arrow, dump, rows
from datastore.exports.formats import FORMATS, by_extension
from datastore.exports.rows import of_table
from datastore.exports.writer import Options
from datastore.postgres import copy_out
from datastore.tables.reading import search
from datastore.tables.reading.matching import Match
from datastore.tables.reading.search import Search
from datastore.tables.schema import TableSchema
from tests.e2e.test_wire import serve
from tests.exports.conftest import MakeTable

CallAction = Callable[..., Awaitable[Any]]
ROWS = 40_000


@pytest.fixture(params=[1, 2], ids=["one connection", "two connections"])
def connections(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many connections read the table."""
    count: int = request.param
    if count == 2:
        monkeypatch.setattr(rows, "_LARGE", 2**20)
        monkeypatch.setattr(rows, "_STRETCH", 2**18)
        monkeypatch.setattr(copy_out, "_AHEAD", 1)
    return count


@pytest.fixture
async def large(
    call: CallAction, services: Services, resource: str, connections: int, monkeypatch: pytest.MonkeyPatch
) -> TableSchema:
    """A table whose dump is several times what may wait in memory, in any format."""
    monkeypatch.setattr(dump, "_CHUNKS", 1)
    monkeypatch.setattr(arrow._Columnar, "batch", 2**18)
    monkeypatch.setattr(arrow, "_ROW_GROUP", 2**18)
    types = {"n": "int", "t": "text", "lat": "float8", "lon": "float8"}
    await call(
        "datastore_create", resource_id=resource, fields=[{"id": name, "type": type} for name, type in types.items()]
    )
    noise = random.Random(0)  # that no format makes small
    records = ",".join(f'{{"n":{number},"t":"{noise.randbytes(150).hex()}","lat":1,"lon":2}}' for number in range(ROWS))
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


async def until(services: Services, under_way: int) -> None:
    async with asyncio.timeout(60):
        while await dumps_under_way(services) != under_way:  # noqa: ASYNC110 -- the server tells by being asked only
            await asyncio.sleep(0.02)


async def test_one_snapshot_whatever_is_written_meanwhile(
    call: CallAction, services: Services, large: TableSchema
) -> None:
    chunks = await started(services, large)
    text = [await anext(chunks)]
    await call("datastore_delete", resource_id=large.resource_id, filters={"n": {"gte": 100}})
    await call("datastore_upsert", resource_id=large.resource_id, method="insert", records=[{"n": -1}])
    text += [chunk async for chunk in chunks]
    found = list(csv.reader(io.StringIO(b"".join(text).decode())))
    assert found[0] == ["_id", "n", "t", "lat", "lon"]
    assert [row[1] for row in found[1:]] == [str(number) for number in range(ROWS)]


async def test_rows_stay_in_order_where_numbers_are_missing(
    call: CallAction, services: Services, large: TableSchema
) -> None:
    await call("datastore_delete", resource_id=large.resource_id, filters={"n": {"gte": 5000, "lt": 30_000}})
    await call("datastore_delete", resource_id=large.resource_id, filters={"n": {"gte": 39_990}})
    text = b"".join([chunk async for chunk in await started(services, large)])
    found = [int(row[1]) for row in list(csv.reader(io.StringIO(text.decode())))[1:]]
    assert found == [*range(5000), *range(30_000, 39_990)]


async def test_only_a_whole_table_by_its_numbers_is_divided(services: Services, large: TableSchema) -> None:
    def whole(**parameters: Any) -> bool:
        return search.plan(Search(**{"limit": None, "records_format": "csv", **parameters}), large).whole

    assert whole()
    assert whole(fields=["n", "_id"])
    assert whole(sort=["_id"])
    assert not whole(fields=["n"])
    assert not whole(sort=["_id desc"])
    assert not whole(sort=["n"])
    assert not whole(distinct=True)
    assert not whole(limit=10)
    assert not whole(offset=10)
    assert not whole(match=Match(filters={"n": 1}))


async def test_one_connection_if_no_second_one_is_free(
    services: Services, large: TableSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.database, "_snapshots", asyncio.Semaphore(1))
    chunks = await started(services, large)
    await anext(chunks)
    assert await dumps_under_way(services) == 1
    assert sum([chunk.count(b"\n") async for chunk in chunks]) > 0


@pytest.mark.parametrize("format", FORMATS)
async def test_a_client_that_leaves_stops_the_query(
    services: Services, large: TableSchema, connections: int, format: str
) -> None:
    chunks = await started(services, large, format)
    await anext(chunks)
    await until(services, connections)
    await chunks.aclose()
    await until(services, 0)


@pytest.mark.parametrize("format", FORMATS)
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


async def test_a_connection_that_is_closed_stops_the_query(
    app: Starlette, services: Services, large: TableSchema, connections: int
) -> None:
    async with serve(app) as (host, port):
        reader, writer = await asyncio.open_connection(host, port, limit=2**10)
        writer.write(f"GET /datastore/dump/{large.resource_id} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        await until(services, connections)
        writer.transport.abort()
        await until(services, 0)


async def test_a_part_is_not_to_be_had(client: httpx.AsyncClient, make_table: MakeTable) -> None:
    resource = await make_table({"a": "int"}, [{"a": 1}, {"a": 2}])
    path = f"/datastore/dump/{resource}"
    plain = {"Accept-Encoding": "identity"}
    whole = await client.get(path, headers={**plain, "Range": "bytes=0-3"})
    assert (whole.status_code, whole.text) == (200, "_id,a\n1,1\n2,2\n")
    head = await client.head(path, headers={**plain, "Range": "bytes=0-3"})
    assert (head.status_code, head.content) == (200, b"")
    for name in ("accept-ranges", "content-type", "content-disposition", "etag", "cache-control"):
        assert head.headers[name] == whole.headers[name], name
    assert head.headers["accept-ranges"] == "none"
    known = {**plain, "If-None-Match": head.headers["etag"]}
    assert [(await call(path, headers=known)).status_code for call in (client.get, client.head)] == [304, 304]


async def test_a_stalled_client_is_given_up(services: Services, large: TableSchema, monkeypatch: Any) -> None:
    impatient = services.settings.model_copy(update={"dump_stall_timeout": 0.2})
    monkeypatch.setattr(services.database, "settings", impatient)
    chunks = await started(services, large)
    await until(services, 0)
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
