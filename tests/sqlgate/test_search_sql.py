"""datastore_search_sql over HTTP, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.sqlgate.conftest import World

RunSql = Callable[..., Awaitable[Any]]
URL = "/api/3/action/datastore_search_sql"


async def test_get_and_post(client: httpx.AsyncClient, world: World) -> None:
    statement = f'SELECT name, eggs FROM "{world.birds}" ORDER BY eggs LIMIT 2;'
    for response in (
        await client.get(URL, params={"sql": statement}),
        await client.post(URL, json={"sql": statement}),
    ):
        assert response.status_code == 200, response.text
        assert response.json()["result"] == {
            "sql": statement,
            "fields": [{"id": "name", "type": "text"}, {"id": "eggs", "type": "int4"}],
            "records": [{"name": "Kiwi", "eggs": 1}, {"name": "Eule", "eggs": 3}],
        }


async def test_missing_sql(client: httpx.AsyncClient) -> None:
    response = await client.get(URL)
    assert response.status_code == 409
    assert response.json()["error"]["sql"] == ["Missing value"]


async def test_values(sql: RunSql) -> None:
    result = await sql(
        """SELECT 1.10::numeric AS a, 'NaN'::float8 AS b, 'Infinity'::numeric AS c, timestamp '2020-01-02 03:04:05' AS d,
        timestamp '2020-01-02 03:04:05.5' AS e, '{"a": [1.0, "ü"]}'::jsonb AS f, '\\x0102'::bytea AS g, ARRAY['a', NULL] AS h,
        interval '26 hours' AS i, NULL::int AS j, 12345678901234567890123 AS k, timestamptz '2020-01-02 03:04:05+01' AS l,
        (1, 'x') AS m, true AS n"""
    )
    assert result["records"] == [
        {
            "a": 1.10,
            "b": "NaN",
            "c": "Infinity",
            "d": "2020-01-02T03:04:05",
            "e": "2020-01-02T03:04:05.500000",
            "f": {"a": [1.0, "ü"]},
            "g": "\\x0102",
            "h": ["a", None],
            "i": "26:00:00",
            "j": None,
            "k": 12345678901234567890123,
            "l": "2020-01-02T02:04:05+00:00",
            "m": {"f1": 1, "f2": "x"},
            "n": True,
        }
    ]
    assert [field["type"] for field in result["fields"]] == [
        "numeric", "float8", "numeric", "timestamp", "timestamp", "jsonb", "bytea", "_text", "interval", "int4", "numeric",
        "timestamptz", "record", "bool",
    ]  # fmt: skip
