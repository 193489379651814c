"""Work on tables after writes: what is found to do, by one statement, and that it gets done."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import asyncpg

from datastore.actions.services import Services
from datastore.jobs.queue import enqueue, list_jobs
from datastore.postgres.database import Transaction
from datastore.tables.locking import exclusively
from datastore.tables.upkeep.maintenance import INDEX_FROM, Schedule, needs, show_writes
from datastore.tables.upkeep.requests import PREPARE, drop_index, preparation
from tests.upkeep import maintained, settled

CallAction = Callable[..., Awaitable[Any]]


async def make_table(call: CallAction, dataset: str, rows: int) -> str:
    records = [{"name": f"row {number}"} for number in range(rows)]
    fields = [{"id": "name", "type": "text"}]
    created = await call(
        "datastore_create", resource={"package_id": dataset, "name": "table"}, fields=fields, records=records
    )
    return str(created["resource_id"])


async def test_small_tables_need_nothing(call: CallAction, services: Services, organization: str) -> None:
    tables: list[str] = []
    for _ in range(5):
        dataset = await call("package_create", owner_org=organization, name=f"small-{uuid.uuid4().hex[:10]}")
        tables += [await make_table(call, dataset["id"], 100) for _ in range(8)]
    statements: list[str] = []
    async with services.database.owner.acquire() as connection:
        connection.add_query_logger(logger := lambda record: statements.append(record.query))
        try:
            assert await needs(connection, tables) == []
        finally:
            connection.remove_query_logger(logger)
    assert len(statements) == 1
    await services.maintenance.maintain(tables)
    # So nothing opens a connection for them, now or later.
    assert not [job for job in await list_jobs(services.database.owner, over=True) if job.key in tables]


async def test_large_tables(call: CallAction, services: Services, dataset: str) -> None:
    large = [await make_table(call, dataset, INDEX_FROM) for _ in range(3)]
    small = await make_table(call, dataset, INDEX_FROM - 1)
    await maintained(services, *large, small)
    assert await needs(services.database.owner, [*large, small]) == []
    for table in large:
        schema = await services.schemas.fresh(table)
        assert schema is not None
        assert schema.fulltext == "ready"
        (rows, analyzed) = await services.database.owner.fetchrow(
            "SELECT record_count, reltuples FROM datastore.tables JOIN pg_class ON relname = resource_id"
            " WHERE resource_id = $1",
            table,
        )
        assert rows == analyzed


async def pending(source: asyncpg.Connection | asyncpg.Pool, table: str) -> list[str]:
    """The titles of the jobs that wait or run for a table."""
    rows = await source.fetch(
        "SELECT title FROM datastore.jobs WHERE kind = $1 AND key = $2 AND state IN ('waiting', 'running')",
        PREPARE,
        table,
    )
    return [row["title"] for row in rows]


async def test_who_drops_the_index_asks_for_another(call: CallAction, services: Services, dataset: str) -> None:
    """In the same transaction: whatever becomes of this process, somebody builds it."""
    table = await make_table(call, dataset, INDEX_FROM)
    await maintained(services, table)
    schema = await services.schemas.fresh(table)
    assert schema is not None
    asked: list[str] = []

    async def work(tx: Transaction) -> None:
        await exclusively(tx, schema)
        await drop_index(tx, schema)

        async def look() -> None:
            asked.extend(await pending(tx.connection, table))

        tx.before_commit(look)

    await services.database.write(work)
    assert asked == [f"Statistics and full-text index of table {table}"]
    await settled(services, PREPARE, table)
    assert await needs(services.database.owner, [table]) == []


async def test_changes_that_need_another_index(call: CallAction, services: Services, dataset: str) -> None:
    table = await make_table(call, dataset, INDEX_FROM)
    await maintained(services, table)
    for parameters in ({"fields": [{"id": "name"}, {"id": "more", "type": "text"}]}, {"language": "german"}):
        await call("datastore_create", resource_id=table, **parameters)
        await settled(services, PREPARE, table)
        schema = await services.schemas.fresh(table)
        assert schema is not None
        assert schema.fulltext == "ready"


async def test_a_dropped_table(call: CallAction, services: Services, dataset: str) -> None:
    table = await make_table(call, dataset, INDEX_FROM)

    async def ask(tx: Transaction) -> None:
        await enqueue(tx, preparation(table))

    await call("datastore_delete", resource_id=table)
    await services.database.write(ask)
    await settled(services, PREPARE, table)
    assert not [job for job in await list_jobs(services.database.owner, over=True) if job.key == table]


async def test_by_itself(call: CallAction, services: Services, dataset: str) -> None:
    tables = [await make_table(call, dataset, INDEX_FROM) for _ in range(2)]
    ready = "SELECT count(*) FROM datastore.tables WHERE resource_id = ANY ($1) AND fulltext = 'ready'"
    async with asyncio.timeout(120):
        while await services.database.owner.fetchval(ready, tables) < len(tables):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def last_modified(call: CallAction, table: str) -> str:
    return str((await call("resource_show", id=table))["last_modified"])


async def shown(services: Services, table: str) -> None:
    """Have the resource show the last write; the service itself may be about to do it just now."""
    async with asyncio.timeout(120):
        while await show_writes(services.database.owner, [table]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def version(services: Services, table: str) -> int:
    found: int = await services.database.owner.fetchval(
        "SELECT version FROM datastore.tables WHERE resource_id = $1", table
    )
    return found


async def test_a_resource_shows_when_its_data_changed(call: CallAction, services: Services, dataset: str) -> None:
    """Once: what is set by hand afterwards stays. And it is no change of the table."""
    table, owner = await make_table(call, dataset, 3), services.database.owner
    for action, change in (
        ("datastore_upsert", {"method": "insert", "records": [{"name": "a"}]}),
        ("datastore_records_delete", {"filters": {"name": "a"}}),
        ("datastore_create", {"fields": [{"id": "name", "type": "text"}, {"id": "more", "type": "int"}]}),
    ):
        await call("resource_patch", id=table, last_modified="2001-01-01")
        began = await owner.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")
        await call(action, resource_id=table, force=True, **change)
        before = await version(services, table)
        await shown(services, table)
        assert await last_modified(call, table) > began, action
        assert await version(services, table) == before
    await call("resource_patch", id=table, last_modified="2001-01-01")
    await shown(services, table)
    assert await last_modified(call, table) == "2001-01-01T00:00:00"


async def test_a_table_that_is_busy_is_shown_later(call: CallAction, services: Services, dataset: str) -> None:
    table, owner = await make_table(call, dataset, 3), services.database.owner
    async with owner.acquire() as other, other.transaction():
        await other.execute("SELECT FROM datastore.resources WHERE id = $1 FOR UPDATE", table)
        await call("datastore_upsert", resource_id=table, method="insert", records=[{"name": "a"}])
        assert await show_writes(owner, [table]) == [table]
    await shown(services, table)


def test_a_schedule_waits_for_quiet_but_not_for_ever() -> None:
    schedule = Schedule(delay=3, patience=10)
    assert (schedule.next, schedule.take(1e9)) == (inf, [])
    schedule.add("once", 0)
    for now in range(10):
        schedule.add("busy", now)
    assert (schedule.next, schedule.take(2.9), schedule.take(3)) == (3, [], ["once"])
    schedule.add("late", 9.5)
    assert (schedule.next, schedule.take(9.9), schedule.take(10)) == (10, [], ["busy"])
    schedule.add("busy", 10)
    assert (schedule.next, schedule.take(12.5)) == (12.5, ["late"])
    assert (schedule.take(12.9), schedule.take(13)) == ([], ["busy"])
    assert schedule.next == inf
