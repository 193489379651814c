"""What is taken from everybody on the embedded server, and on no other."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from datastore.actions.services import Services
from datastore.postgres.embedded import EmbeddedPostgres, connection_dsn
from datastore.postgres.hardening import harden
from datastore.postgres.roles import ensure_roles
from datastore.settings import Settings

DANGEROUS = [
    "pg_sleep(0)",
    "pg_advisory_lock(1)",
    "pg_try_advisory_xact_lock(1)",
    "pg_notify('x', 'y')",
    "pg_cancel_backend(0)",
    "pg_terminate_backend(0)",
    "set_config('work_mem', '1GB', false)",
    "setseed(0.5)",
    "lo_creat(-1)",
    "txid_current()",
    "pg_export_snapshot()",
    "query_to_xml('SELECT 1', true, true, '')",
    "ts_rewrite('a'::tsquery, 'SELECT 1, 2')",
    "count(*) FROM ts_stat('SELECT to_tsvector(''x'')')",
    "count(*) FROM pg_stat_activity",
    "count(*) FROM pg_locks",
    "count(*) FROM pg_prepared_statements",
    "count(*) FROM pg_cursors",
]
_RIGHTS = "SELECT string_agg(oid || coalesce(proacl::text, ''), ',' ORDER BY oid) FROM pg_proc WHERE oid < 16384"


@pytest.fixture
async def fresh(server_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to a new database, which nobody hardened."""
    name = f"fresh_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(server_url)
    await server.execute(f'CREATE DATABASE "{name}"')
    connection = await asyncpg.connect(urlsplit(server_url)._replace(path=f"/{name}").geturl())
    yield connection
    await connection.close()
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@pytest.mark.parametrize("call", DANGEROUS)
async def test_the_roles_that_read_may_not_call(services: Services, call: str) -> None:
    for pool in (services.database.public, services.database.reader):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for function"):
            await pool.fetchval(f"SELECT {call}")


async def test_the_owner_may_and_others_may_read_on(services: Services) -> None:
    assert await services.database.owner.fetchval("SELECT pg_sleep(0) IS NOT NULL")
    # Types that asyncpg has to ask about; before that it would call set_config.
    assert await services.database.public.fetchval("SELECT ARRAY[int4multirange(int4range(1, 3))]")
    assert await services.database.public.fetchval("SELECT current_setting('work_mem')")


async def test_hardening_again_changes_nothing(fresh: asyncpg.Connection) -> None:
    owner = await fresh.fetchval("SELECT current_user::text")
    assert await harden(fresh, owner) > 50
    rights = await fresh.fetchval(_RIGHTS)
    assert await harden(fresh, owner) == 0
    assert await fresh.fetchval(_RIGHTS) == rights


async def test_on_another_server_the_rights_of_everybody_stay(fresh: asyncpg.Connection, settings: Settings) -> None:
    before = await fresh.fetchval(_RIGHTS)
    await ensure_roles(fresh, settings)
    assert await fresh.fetchval(_RIGHTS) == before


async def test_the_embedded_server_is_hardened_at_its_start() -> None:
    with tempfile.TemporaryDirectory(prefix="embedded-") as folder:
        Path(folder).chmod(0o711)  # noqa: ASYNC240 -- at once
        settings = Settings(data_dir=Path(folder) / "store", start_timeout=60)
        server = EmbeddedPostgres(settings)
        await asyncio.to_thread(server.start)
        try:
            connection = await asyncpg.connect(connection_dsn(settings))
            await ensure_roles(connection, settings)
            for role, call, parameter in (
                (settings.public_role, False, True),
                (settings.reader_role, False, True),
                (settings.triggers_role, True, False),
                (settings.owner_role, True, True),
            ):
                may = "SELECT has_function_privilege($1, 'set_config(text, text, boolean)', 'EXECUTE')"
                assert await connection.fetchval(may, role) is call
                may = "SELECT has_parameter_privilege($1, 'temp_file_limit', 'SET')"
                assert await connection.fetchval(may, role) is parameter
                may = "SELECT has_function_privilege($1, 'pg_sleep(float8)', 'EXECUTE')"
                assert await connection.fetchval(may, role) is (role == settings.owner_role)
            await connection.close()
        finally:
            await asyncio.to_thread(server.stop)
