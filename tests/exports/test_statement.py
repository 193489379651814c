"""Results of datastore_search_sql as files: the same checks and limits, streamed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn
from starlette.applications import Starlette

from datastore.actions.services import Services
from tests.exports.conftest import MakeTable

URL = "/api/3/action/datastore_search_sql"


@pytest.fixture
async def address(app: Starlette) -> AsyncIterator[str]:
    """The application behind a real socket."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="critical"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- it offers no event
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


async def ask(client: httpx.AsyncClient, sql: str, **parameters: Any) -> httpx.Response:
    return await client.post(URL, json={"sql": sql, **parameters})


async def test_formats(client: httpx.AsyncClient, make_table: MakeTable) -> None:
    records = [{"n": number, "x": f"{number}.50", "t": "a,b"} for number in range(10)]
    table = await make_table({"n": "int", "x": "numeric", "t": "text"}, records)
    chosen = "SELECT n AS r, sum(x) AS x, t || $1 AS t, ARRAY[n] AS l"
    sql = f'{chosen} FROM "{table}" WHERE n >= $2 GROUP BY n, t ORDER BY n DESC'
    params = ["'\\\"", 7]

    found = await ask(client, sql, params=params, format="csv")
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert found.headers["content-disposition"] == 'attachment; filename="query.csv"'
    rows = list(csv.reader(io.StringIO(found.text)))
    assert rows == [["r", "x", "t", "l"], *([str(n), f"{n}.50", "a,b'\\\"", f"[{n}]"] for n in (9, 8, 7))]
    lines = (await ask(client, sql, params=params, format="ndjson")).text.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"r": n, "x": n + 0.5, "t": "a,b'\\\"", "l": [n]} for n in (9, 8, 7)
    ]
    expected = [{"r": n, "x": Decimal(f"{n}.50"), "t": "a,b'\\\"", "l": [n]} for n in (9, 8, 7)]
    parquet = (await ask(client, sql, params=params, format="parquet")).content
    assert pq.read_table(io.BytesIO(parquet)).to_pylist() == expected
    stream = await client.get(URL, params={"sql": sql, "params": json.dumps(params), "format": "arrow"})
    assert pa.ipc.open_stream(stream.content).read_all().to_pylist() == expected


async def test_errors_before_the_first_byte_are_the_usual_ones(client: httpx.AsyncClient, services: Services) -> None:
    async def refused(sql: str, status: int = 409, **parameters: Any) -> dict[str, Any]:
        found = await ask(client, sql, format="csv", **parameters)
        assert found.status_code == status, found.text
        error: dict[str, Any] = found.json()["error"]
        return error

    assert "query" in await refused("SELECT 1 / 0")
    assert "query" in await refused("SELEC 1")
    assert "query" in await refused("DELETE FROM x")
    assert await refused("SELECT pg_sleep(1)", 403)
    assert "params" in await refused("SELECT $1::int", params=[])
    assert "query" in await refused("SELECT $1::int", params=["x"])
    assert "too many bytes" in str(await refused("SELECT repeat('x', 100000000)"))
    assert "format" in (await ask(client, "SELECT 1", format="xlsx")).json()["error"]
    assert "format" in await refused("SELECT FROM generate_series(1, 2)")
    assert (await ask(client, "SELECT 1 AS a", format="csv")).text == "a\n1\n"


async def test_more_rows_than_allowed_break_off(
    address: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = services.settings.model_copy(update={"sql_file_rows_max": 50_000})
    monkeypatch.setattr("datastore.actions.registry.Call.settings", few)
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        fits = await ask(client, "SELECT g, repeat('x', 50) AS t FROM generate_series(1, 50000) g", format="csv")
        assert len(fits.text.splitlines()) == 50_001
        sql = "SELECT g, md5(g::text) AS a, md5(g::text || 'x') AS b FROM generate_series(1, 90000) g"
        for format in ("csv", "ndjson", "arrow", "parquet"):
            with pytest.raises(httpx.RemoteProtocolError):
                await ask(client, sql, format=format)
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(
                client, "SELECT 1 / (40000 - g) AS x, md5(g::text) FROM generate_series(1, 50000) g", format="csv"
            )


async def test_a_client_that_leaves_stops_the_statement(address: str, services: Services) -> None:
    async def under_way() -> int:
        return int(
            await services.database.owner.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
                " AND query LIKE 'COPY (%left_early%'"
            )
        )

    async def until(count: int) -> None:
        async with asyncio.timeout(60):
            while await under_way() != count:  # noqa: ASYNC110 -- the server tells by being asked only
                await asyncio.sleep(0.02)

    sql = "SELECT g AS left_early, md5(g::text) FROM generate_series(1, 900000) g"
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        async with client.stream("POST", URL, json={"sql": sql, "format": "csv"}) as response:
            chunks = response.aiter_raw()  # kept: the response is closed when it is collected
            await anext(chunks)  # the head of the table may come before PostgreSQL has begun
            await until(1)
        await until(0)
        assert (await ask(client, "SELECT 1 AS a", format="csv")).text == "a\n1\n"
