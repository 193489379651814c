"""Statements that would take all time, memory or disk: they end with an error, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.settings import Settings
from datastore.sqlgate.run import Sql
from tests.sqlgate.conftest import World

SECONDS = 1.0

BOMBS = {
    "cross joins": "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
    "endless recursion": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "growing recursion": "WITH RECURSIVE t(s) AS (SELECT 'x'::text UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
    "a long text": "SELECT length(repeat('x', 1000000000) || repeat('y', 1000000000))",
    "many long texts": "SELECT count(DISTINCT repeat(g::text, 10000000)) FROM generate_series(1, 1000) g",
    "a large result": "SELECT repeat('x', 1000000) FROM generate_series(1, 10000)",
    "a large record": "SELECT repeat('x', 100000000)",
    "an endless series": "SELECT count(*) FROM generate_series(1, 100000000000)",
    "a large array": "SELECT array_fill(0, ARRAY[200000000])",
    "an aggregate without end": "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 10000000)",
    "a huge sort": "SELECT g FROM generate_series(1, 1000000000) g ORDER BY md5(g::text) LIMIT 1",
    "backtracking": "SELECT repeat('a', 301) ~ '^(a*)(a*)(a*)(a*)\\1\\2\\3\\4$'",
    "nested loops of regular expressions": "SELECT count(*) FROM generate_series(1, 100000) g WHERE repeat('ab', 5000) ~ ('(a|b)*' || g || '(.*)\\1')",
    "a factorial": "SELECT factorial(100000)",
    "a power": "SELECT max(length((g::numeric ^ 30000)::text)) FROM generate_series(1, 100000) g",
    "a pad": "SELECT lpad('', 1000000000, 'x')",
    "json": "SELECT json_agg(g) FROM generate_series(1, 100000000) g",
}  # fmt: skip


@pytest.fixture
async def impatient(services: Services, settings: Settings) -> AsyncIterator[Sql]:
    """Statements with little time, on the same database."""
    hurried = settings.model_copy(update={"sql_timeout": SECONDS, "sql_max_memory": 256 * 2**20})
    database = services.database
    original, database.settings = database.settings, hurried
    try:
        sql = Sql(database, services.schemas)
        yield sql
        await sql.close()
    finally:
        database.settings = original


@pytest.mark.parametrize("bomb", BOMBS, ids=str)
async def test_bomb(impatient: Sql, services: Services, world: World, bomb: str) -> None:
    begin = time.monotonic()
    running = asyncio.create_task(impatient.run(BOMBS[bomb], [], ANONYMOUS))
    served = 0
    while not running.done():
        result = await services.sql.run(f'SELECT count(*) AS n FROM "{world.birds}"', [], ANONYMOUS)
        assert result.records == b'[{"n":4}]'
        served += 1
        await asyncio.sleep(0.02)
    with pytest.raises(ValidationError) as refusal:
        await running
    assert time.monotonic() - begin < SECONDS + 3
    assert served
    assert "query" in refusal.value.fields


async def test_the_cost_may_be_limited(services: Services, settings: Settings, world: World) -> None:
    database = services.database
    original, database.settings = database.settings, settings.model_copy(update={"sql_max_cost": 1000.0})
    try:
        sql = Sql(database, services.schemas)
        await sql.run(f'SELECT * FROM "{world.birds}"', [], ANONYMOUS)
        with pytest.raises(ValidationError, match="too expensive"):
            await sql.run("SELECT count(*) FROM generate_series(1, 1000) a, generate_series(1, 1000) b", [], ANONYMOUS)
        await sql.close()
    finally:
        database.settings = original
