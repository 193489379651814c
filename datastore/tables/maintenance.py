"""Work on a table after writes, off their path: the full-text index of a table that has grown, fresh statistics.

Every worker looks after the tables that it wrote; a lock lets one of them do the work. A table that nobody looked
after (a process was killed) is found at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import structlog

from datastore.postgres.database import CONNECTION_LOST, Database, connect_as_owner
from datastore.postgres.notifications import CHANNEL
from datastore.postgres.quoting import qualified
from datastore.tables import fulltext
from datastore.tables.schema import CACHE_KIND, TableSchema, load

log = structlog.get_logger(__name__)

INDEX_FROM = 1_000
"""From this many rows on a table gets its full-text index; below, a scan is as quick."""

_LOCK = 0x64617462
_DELAY = 1.0
"""Seconds without a further write after which the work starts."""


class Maintenance:
    """The background work of one worker."""

    def __init__(self, dsn: str, database: Database) -> None:
        self._dsn = dsn
        self._database = database
        self._due: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def touch(self, resource_id: str) -> None:
        """The table has been written."""
        self._due[resource_id] = asyncio.get_running_loop().time() + _DELAY
        self._wake.set()

    async def close(self) -> None:
        """Stop; an index that is being built is given up, and built after the next start."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        await self._left_behind()
        while True:
            await self._wake.wait()
            now = asyncio.get_running_loop().time()
            ready = [resource_id for resource_id, due in self._due.items() if due <= now]
            for resource_id in ready:
                del self._due[resource_id]
                try:
                    await self.maintain(resource_id)
                except (asyncpg.PostgresError, asyncpg.InterfaceError, *CONNECTION_LOST) as error:
                    log.warning("maintenance failed", resource_id=resource_id, error=repr(error))
            if not self._due:
                self._wake.clear()
            else:
                await asyncio.sleep(max(0.05, min(self._due.values()) - now))

    async def _left_behind(self) -> None:
        try:
            rows = await self._database.owner.fetch(
                "SELECT resource_id FROM datastore.tables WHERE fulltext = 'none' AND record_count >= $1", INDEX_FROM
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, *CONNECTION_LOST) as error:
            log.warning("maintenance could not look for tables left behind", error=repr(error))
            return
        for row in rows:
            self.touch(row["resource_id"])

    async def maintain(self, resource_id: str) -> None:
        """Analyze the table, and build its full-text index if it lacks one and has grown."""
        connection = await connect_as_owner(self._dsn, self._database.settings)
        try:
            # Held by this session, so it goes with it, whatever happens.
            if await connection.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK, resource_id):
                await self._maintain(connection, resource_id)
        finally:
            await connection.close()

    async def _maintain(self, connection: asyncpg.Connection, resource_id: str) -> None:
        schema = await load(connection, resource_id)
        if schema is None:
            return
        with contextlib.suppress(asyncpg.UndefinedTableError):
            await connection.execute(f"ANALYZE {schema.sql_name}")
        rows = await connection.fetchval(
            "SELECT record_count FROM datastore.tables WHERE resource_id = $1", resource_id
        )
        if schema.fulltext == "none" and schema.columns and (rows or 0) >= INDEX_FROM:
            await self._build(connection, schema)

    async def _build(self, connection: asyncpg.Connection, schema: TableSchema) -> None:
        log.info("building full-text index", resource_id=schema.resource_id)
        # What an interrupted build left behind is invalid, and in the way.
        name = qualified(schema.dataset_id, fulltext.index_name(schema))
        try:
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            await connection.execute(fulltext.create_index(schema))
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError):
            return  # dropped or changed meanwhile; a change is a write, which comes here again

        await connection.execute(
            "UPDATE datastore.tables SET fulltext = 'ready' WHERE resource_id = $1", schema.resource_id
        )
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{CACHE_KIND}:{schema.resource_id}")
        log.info("full-text index ready", resource_id=schema.resource_id)
