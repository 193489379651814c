"""Bulk loads leave the full-text index to a later time, and searches find the same rows all the while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.tables.upkeep import bulk
from tests.upkeep import maintained

CallAction = Callable[..., Awaitable[Any]]
ROWS = 1500
"""Enough for an index."""


@pytest.fixture
async def table(call: CallAction, services: Services, resource: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Indexed, and so small that a few thousand records more are a bulk load."""
    monkeypatch.setattr(bulk, "BULK_FROM", 2**18)
    await call(
        "datastore_create", resource_id=resource, fields=[{"id": "k", "type": "int"}, {"id": "t", "type": "text"}]
    )
    await call("datastore_upsert", resource_id=resource, method="insert", records=records(0, ROWS))
    await maintain(services, resource)
    return resource


def records(first: int, last: int, text: str = "w") -> list[dict[str, Any]]:
    return [{"k": number, "t": f"{text}{number} " + "common " * 15} for number in range(first, last)]


async def index(services: Services, table: str) -> int | None:
    """The oid of the full-text index: another one if it was built anew, which may happen at any time."""
    found: int | None = await services.database.owner.fetchval(
        """
        SELECT index.indexrelid::bigint
        FROM pg_index AS index
        JOIN pg_class AS class ON class.oid = index.indexrelid
        JOIN pg_class AS indexed ON indexed.oid = index.indrelid
        WHERE indexed.relname = $1 AND class.relname LIKE '%fulltext'
        """,
        table,
    )
    return found


async def maintain(services: Services, table: str) -> int:
    """Let the index be there; its oid."""
    await maintained(services, table)
    found = await index(services, table)
    assert found is not None
    return found


async def found(call: CallAction, table: str, words: str) -> list[int]:
    result = await call("datastore_search", resource_id=table, q=words, sort="_id", fields="k", limit=32_000)
    assert result["total"] == len(result["records"])
    return [row["k"] for row in result["records"]]


async def test_a_bulk_load_lets_the_index_go(call: CallAction, services: Services, table: str) -> None:
    before = await index(services, table)
    await call("datastore_upsert", resource_id=table, method="insert", records=records(ROWS, 5000))
    assert await index(services, table) != before
    assert await found(call, table, "w7") == [7]
    assert await found(call, table, "w4999") == [4999]
    assert await maintain(services, table) != before
    assert await found(call, table, "w7") == [7]
    assert await found(call, table, "w4999") == [4999]
    assert len(await found(call, table, "common")) == 5000


@pytest.mark.parametrize(
    ("number", "parameters"),
    [
        (20, {}),  # few bytes
        (3000, {"method": "update"}),  # no row is new
        (3000, {"dry_run": True}),
    ],
)
async def test_other_writes_keep_it(
    call: CallAction, services: Services, table: str, number: int, parameters: dict[str, Any]
) -> None:
    before = await index(services, table)
    written = [{"_id": 1 + record["k"] % ROWS, **record} for record in records(0, number, "other")]
    if parameters.get("method") != "update":
        written = records(ROWS, ROWS + number)
    await call("datastore_upsert", **{"resource_id": table, "method": "insert", "records": written, **parameters})
    assert await index(services, table) == before


async def test_a_large_table_keeps_it(call: CallAction, services: Services, table: str) -> None:
    """A load of less than what is there already."""
    await call("datastore_upsert", resource_id=table, method="insert", records=records(ROWS, 20_000))
    before = await maintain(services, table)
    await call("datastore_upsert", resource_id=table, method="insert", records=records(20_000, 23_000))
    assert await index(services, table) == before
    assert await found(call, table, "w22999") == [22_999]


async def test_a_reader_for_long(call: CallAction, services: Services, table: str) -> None:
    """The load waits for nobody: the index stays, and takes the rows in."""
    schema, before = await services.schemas.fresh(table), await index(services, table)
    assert schema is not None
    async with services.database.owner.acquire() as reader, reader.transaction():
        await reader.execute(f"LOCK TABLE {schema.sql_name} IN ACCESS SHARE MODE")
        await call("datastore_upsert", resource_id=table, method="insert", records=records(ROWS, 5000))
    assert await index(services, table) == before
    assert await found(call, table, "w4999") == [4999]


async def test_a_load_that_fails(call: CallAction, services: Services, table: str) -> None:
    bad = [*records(ROWS, 5000), {"k": "no number"}]
    with pytest.raises(ValidationError) as refused:
        await call("datastore_upsert", resource_id=table, method="insert", records=bad)
    assert refused.value.fields["records_row"] == len(bad) - 1
    assert await found(call, table, "w7") == [7]
    assert len(await found(call, table, "common")) == ROWS
    await maintain(services, table)
    assert len(await found(call, table, "common")) == ROWS
