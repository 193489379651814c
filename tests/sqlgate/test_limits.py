"""Statements that would take all time, memory or disk: they end with an error, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.postgres.roles import role_password
from datastore.settings import Settings
from datastore.sqlgate.run import Sql
from datastore.sqlgate.sandbox import Sandbox
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
    "an array of long texts": "SELECT array_length(array_agg(repeat(g::text, 1000000)), 1) FROM generate_series(1, 3000) g",
    "long texts at a time": "SELECT count(*) FROM (SELECT repeat('a', 900000000) a, repeat('b', 900000000) b, repeat('c', 900000000) c OFFSET 0) x WHERE a || b || c > ''",
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
    running = asyncio.create_task(impatient.run(BOMBS[bomb], [], ANONYMOUS))
    served = 0
    while not running.done():
        result = await services.sql.run(f'SELECT count(*) AS n FROM "{world.birds}"', [], ANONYMOUS)
        assert result.records == b'[{"n":4}]'
        served += 1
        await asyncio.sleep(0.02)
    with pytest.raises(ValidationError) as refusal:
        await running
    assert served
    assert "query" in refusal.value.fields


async def test_limits_of_a_session(services: Services, settings: Settings, world: World, embedded: bool) -> None:
    for private in (frozenset[str](), frozenset({world.datasets["private_a"]})):
        async with services.sql.sandbox.transaction(private) as connection:
            shown = {
                name: await connection.fetchval("SELECT current_setting($1)", name)
                for name in (
                    "temp_file_limit",
                    "work_mem",
                    "statement_timeout",
                    "max_parallel_workers_per_gather",
                    "transaction_read_only",
                    "standard_conforming_strings",
                    "search_path",
                )
            }
            limits = Path(f"/proc/{connection.get_server_pid()}/limits").read_text()  # noqa: ASYNC240
            [memory] = [line.split() for line in limits.splitlines() if line.startswith("Max data size")]
            if embedded:
                assert memory[3:] == [str(settings.sql_max_memory)] * 2 + ["bytes"]
        assert shown == {
            "temp_file_limit": "1GB",
            "work_mem": "16MB",
            "statement_timeout": "1min",
            "max_parallel_workers_per_gather": "0",
            "transaction_read_only": "on",
            "standard_conforming_strings": "on",
            "search_path": "pg_catalog",
        }


async def test_temporary_files_are_limited(services: Services, settings: Settings, world: World) -> None:
    database = services.database
    little = {"sql_temp_limit": 2**20, "sql_work_mem": 2**16}
    original, database.settings = database.settings, settings.model_copy(update=little)
    try:
        sql = Sql(database, services.schemas)
        with pytest.raises(ValidationError, match="needs too much room: temporary file size exceeds"):
            await sql.run("SELECT g FROM generate_series(1, 1000000) g ORDER BY md5(g::text) LIMIT 1", [], ANONYMOUS)
        await sql.close()
    finally:
        database.settings = original


async def test_a_server_that_grants_no_limit_of_temporary_files(
    services: Services, settings: Settings, world: World, database_url: str
) -> None:
    """Statements run without it, and the log says so once."""
    database = services.database
    poor = settings.model_copy(update={"role_prefix": f"poor_{uuid.uuid4().hex[:8]}"})
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute(f"CREATE ROLE {poor.public_role} LOGIN PASSWORD '{role_password(poor, poor.public_role)}'")
        original, database.settings = database.settings, poor
        try:
            sandbox = Sandbox(database)
            async with sandbox.transaction(frozenset()) as first, sandbox.transaction(frozenset()) as second:
                for connection in (first, second):
                    assert await connection.fetchval("SELECT current_setting('temp_file_limit')") == "-1"
            await sandbox.close()
        finally:
            database.settings = original
        assert sandbox.told == {"sql_temp_limit_not_set"}
    finally:
        await owner.execute(f"DROP ROLE IF EXISTS {poor.public_role}")
        await owner.close()


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
