"""Work on tables after writes: what is found to do, by how many statements and connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest

from datastore.actions.services import Services
from datastore.postgres.database import connect_as_owner
from datastore.tables.upkeep import maintenance
from datastore.tables.upkeep.maintenance import INDEX_FROM, Need, needs

CallAction = Callable[..., Awaitable[Any]]


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[asyncpg.Connection]]:
    """The connections that maintenance opens."""
    opened: list[asyncpg.Connection] = []

    async def connect(*arguments: Any) -> asyncpg.Connection:
        opened.append(await connect_as_owner(*arguments))
        return opened[-1]

    monkeypatch.setattr(maintenance, "connect_as_owner", connect)
    yield opened
    assert all(connection.is_closed() for connection in opened)


async def make_table(call: CallAction, dataset: str, rows: int) -> str:
    records = [{"name": f"row {number}"} for number in range(rows)]
    fields = [{"id": "name", "type": "text"}]
    created = await call(
        "datastore_create", resource={"package_id": dataset, "name": "table"}, fields=fields, records=records
    )
    return str(created["resource_id"])


async def test_small_tables_need_nothing(
    call: CallAction, services: Services, organization: str, connections: list[asyncpg.Connection]
) -> None:
    tables: list[str] = []
    for _ in range(5):
        dataset = await call("package_create", owner_org=organization, name=f"small-{len(tables)}-{organization[:8]}")
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
    assert connections == []


async def test_large_tables_share_a_connection(
    call: CallAction, services: Services, dataset: str, connections: list[asyncpg.Connection]
) -> None:
    large = [await make_table(call, dataset, INDEX_FROM) for _ in range(3)]
    small = await make_table(call, dataset, INDEX_FROM - 1)
    found = await needs(services.database.owner, [*large, small])
    assert {need.resource_id for need in found} == set(large)
    assert all(need.fulltext for need in found)
    await services.maintenance.maintain([*large, small])
    assert len(connections) == 1
    assert await needs(services.database.owner, large) == []
    for table in large:
        schema = await services.schemas.fresh(table)
        assert schema is not None
        assert schema.fulltext == "ready"


async def test_statistics_of_an_indexed_table(call: CallAction, services: Services, dataset: str) -> None:
    table = await make_table(call, dataset, INDEX_FROM)
    await services.maintenance.maintain([table])
    records = [{"name": f"more {number}"} for number in range(INDEX_FROM)]
    await call("datastore_upsert", resource_id=table, method="insert", records=records)
    found = await needs(services.database.owner, [table])
    assert found in ([Need(table, statistics=True, fulltext=False)], [])  # PostgreSQL may have been quicker
    await services.maintenance.maintain([table])
    rows = await services.database.owner.fetchval("SELECT reltuples FROM pg_class WHERE relname = $1", table)
    assert rows == 2 * INDEX_FROM
