"""Work on a table after writes, off their path: the full-text index of a table that has grown, fresh statistics.

Every worker looks after the tables that it wrote: it enqueues a job for each that needs something, and tells their
resources when their data changed. A table that nobody looked after (a process was killed) is found at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from math import inf

import asyncpg
import structlog

from datastore.jobs.queue import enqueue
from datastore.jobs.runner import Jobs, Kind, Work
from datastore.postgres.database import CONNECTION_LOST, Database, Transaction
from datastore.postgres.notifications import CHANNEL
from datastore.postgres.quoting import qualified
from datastore.tables.reading import fulltext
from datastore.tables.schema import CACHE_KIND, TableSchema, load
from datastore.tables.upkeep.requests import PREPARE, QUIET, preparation

log = structlog.get_logger(__name__)

INDEX_FROM = 1_000
"""From this many rows on a table gets its full-text index; below, a scan is as quick."""

_MODIFIED_DELAY = 15.0
"""Seconds after a write at which the resource's ``last_modified`` is set, for all writes until then."""

_PATIENCE = 600.0
"""Seconds after which a table that is written all the time is looked after all the same. A load in many requests is
over by then as a rule, and has not paid for the full-text index."""

_STALE = 0.2
"""Share of the rows that must have come or gone since the statistics were made, for new ones to be worth their cost."""

# Of many tables, those for which there is something to do; mostly none. Of small tables PostgreSQL itself makes
# statistics after a minute or so; a large one that was just loaded is read before that.
_NEEDS = """
    WITH found AS (
        SELECT registry.resource_id, registry.fulltext, registry.record_count AS rows,
               greatest(class.reltuples, 0) AS analyzed
        FROM datastore.tables AS registry
        JOIN pg_namespace AS namespace ON namespace.nspname = registry.dataset_id
        JOIN pg_class AS class ON class.relnamespace = namespace.oid AND class.relname = registry.resource_id
        WHERE registry.resource_id = ANY ($1::text[])
    ),
    need AS (
        SELECT found.resource_id,
               abs(found.rows - found.analyzed) > $3::float8 * greatest(found.rows, found.analyzed) AS statistics,
               found.fulltext = 'none' AND found.rows >= $2::bigint AS fulltext
        FROM found
        WHERE greatest(found.rows, found.analyzed) >= $2::bigint
    )
    SELECT need.resource_id, need.statistics, need.fulltext
    FROM need
    WHERE need.statistics OR need.fulltext
"""


@dataclass(frozen=True, slots=True)
class Need:
    """What a table needs."""

    resource_id: str
    statistics: bool
    """How many rows it has, and which values, for PostgreSQL to plan by."""
    fulltext: bool
    """The index of its full text."""


async def needs(connection: asyncpg.Connection | asyncpg.Pool, resource_ids: Sequence[str]) -> list[Need]:
    """Those of the tables for which there is something to do, found by one statement."""
    rows = await connection.fetch(_NEEDS, list(resource_ids), INDEX_FROM, _STALE)
    return [Need(**row) for row in rows]


_LEFT_BEHIND = """
    SELECT resource_id, written IS NOT NULL AS written, fulltext = 'none' AND record_count >= $1 AS fulltext
    FROM datastore.tables
    WHERE written IS NOT NULL OR (fulltext = 'none' AND record_count >= $1)
"""

# Rows that a transaction holds are left for later: so nobody waits here, and nobody for this.
_SHOW = """
    WITH waiting AS (
        SELECT resource_id FROM datastore.tables WHERE resource_id = ANY ($1::text[]) AND written IS NOT NULL
    ),
    held AS (
        SELECT registry.resource_id, registry.written
        FROM datastore.tables AS registry
        JOIN datastore.resources AS resource ON resource.id = registry.resource_id
        WHERE registry.resource_id = ANY ($1::text[]) AND registry.written IS NOT NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ),
    told AS (
        UPDATE datastore.tables AS registry SET written = NULL
        FROM held
        WHERE registry.resource_id = held.resource_id
    ),
    shown AS (
        UPDATE datastore.resources AS resource SET last_modified = held.written AT TIME ZONE 'UTC'
        FROM held
        WHERE resource.id = held.resource_id
    )
    SELECT resource_id FROM waiting
    EXCEPT
    SELECT resource_id FROM held
"""


async def show_writes(connection: asyncpg.Connection | asyncpg.Pool, resource_ids: Sequence[str]) -> list[str]:
    """Set ``last_modified`` of the resources to when the data of their tables changed.

    Gives those for which it is still to be done.
    """
    return [row["resource_id"] for row in await connection.fetch(_SHOW, list(resource_ids))]


class Schedule:
    """Names with the time at which each is due: ``delay`` after it was added last, but at most ``patience`` after it
    was added first. However many there are, a write costs the same."""

    def __init__(self, delay: float, patience: float) -> None:
        self._delay, self._patience = delay, patience
        # Both in the order of their times.
        self._quiet: OrderedDict[str, float] = OrderedDict()
        self._latest: OrderedDict[str, float] = OrderedDict()

    def add(self, name: str, now: float) -> None:
        """Put it off, or in."""
        self._quiet[name] = now + self._delay
        self._quiet.move_to_end(name)
        self._latest.setdefault(name, now + self._patience)

    def take(self, now: float) -> list[str]:
        """Those that are due, which are then gone."""
        ready = [
            name
            for times in (self._quiet, self._latest)
            for name, _ in takewhile(lambda entry: entry[1] <= now, times.items())
        ]
        for name in (found := list(dict.fromkeys(ready))):
            del self._quiet[name], self._latest[name]
        return found

    @property
    def next(self) -> float:
        """When the first one is due; infinity if there is none."""
        return min((time for times in (self._quiet, self._latest) for time in islice(times.values(), 1)), default=inf)


class Maintenance:
    """The background work of one worker."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database = database
        jobs.register(Kind(PREPARE, _prepare))
        self._written = Schedule(QUIET, _PATIENCE)
        self._modified = Schedule(_MODIFIED_DELAY, _MODIFIED_DELAY)
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def touch(self, resource_id: str) -> None:
        """The table has been written."""
        now = asyncio.get_running_loop().time()
        if self._written.next == inf:  # else it wakes in time
            self._wake.set()
        self._written.add(resource_id, now)
        self._modified.add(resource_id, now)

    async def close(self) -> None:
        """Stop, and leave what is still to do to others: as jobs."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._set_modified(self._modified.take(inf))
        await self._maintain_quietly(self._written.take(inf))

    async def _run(self) -> None:
        await self._left_behind()
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now = loop.time()
            for resource_id in await self._set_modified(self._modified.take(now)):
                self._modified.add(resource_id, loop.time())
            if written := self._written.take(now):
                await self._maintain_quietly(written)
            wait = min(self._written.next, self._modified.next) - loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait == inf else max(wait, 0.01)):
                    await self._wake.wait()

    async def _set_modified(self, resource_ids: list[str]) -> list[str]:
        """Those for which it is still to be done."""
        if not resource_ids:
            return []
        try:
            return await show_writes(self._database.owner, resource_ids)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, *CONNECTION_LOST) as error:
            log.warning("last_modified_not_set", error=repr(error))
            return resource_ids

    async def _left_behind(self) -> None:
        try:
            rows = await self._database.owner.fetch(_LEFT_BEHIND, INDEX_FROM)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, *CONNECTION_LOST) as error:
            log.warning("tables_left_behind_not_found", error=repr(error))
            return
        now = asyncio.get_running_loop().time()
        for row in rows:
            if row["fulltext"]:
                self._written.add(row["resource_id"], now)
            if row["written"]:
                self._modified.add(row["resource_id"], now)

    async def _maintain_quietly(self, resource_ids: Sequence[str]) -> None:
        try:
            await self.maintain(resource_ids)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, *CONNECTION_LOST) as error:
            log.warning("maintenance_failed", resource_ids=resource_ids, error=repr(error))

    async def maintain(self, resource_ids: Sequence[str]) -> None:
        """Enqueue a job for each of the tables that has changed much, or lacks its full-text index.

        One statement finds them, mostly none.
        """
        needed = await needs(self._database.owner, resource_ids)
        if not needed:
            return

        async def work(tx: Transaction) -> None:
            for need in sorted(needed, key=lambda need: need.resource_id):  # the order in which rows are locked
                await enqueue(tx, preparation(need.resource_id))

        await self._database.write(work)


async def _prepare(work: Work) -> None:
    """Make statistics and the full-text index, as far as the table needs them now."""
    connection = work.connection
    for need in await needs(connection, [work.job.key]):
        schema = await load(connection, need.resource_id)
        if schema is None:
            return
        if need.statistics:
            with contextlib.suppress(*_CHANGED):
                await connection.execute(f"ANALYZE {schema.sql_name}")
        if need.fulltext and schema.columns:
            await _build(connection, schema)


_CHANGED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)
"""The table was dropped or changed meanwhile; a change is a write, after which it is looked after again."""


async def _build(connection: asyncpg.Connection, schema: TableSchema) -> None:
    # What an interrupted build left behind is invalid, and in the way.
    name = qualified(schema.dataset_id, fulltext.index_name(schema))
    try:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        await connection.execute(fulltext.create_index(schema))
        # How frequent its words are: without that PostgreSQL takes each for a rare one, and ranks with one process.
        await connection.execute(f"ANALYZE {schema.sql_name}")
    except _CHANGED:
        return
    async with connection.transaction():
        await connection.execute(_LOCK_ROW, schema.resource_id)
        await connection.execute(_READY, schema.resource_id, name)
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{CACHE_KIND}:{schema.resource_id}")


# Who drops the index says so in the same row: with that locked, what the next statement sees stays so.
_LOCK_ROW = "SELECT FROM datastore.tables WHERE resource_id = $1 FOR UPDATE"
_READY = """
    UPDATE datastore.tables SET fulltext = 'ready'
    WHERE resource_id = $1 AND EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($2) AND indisvalid)
"""
