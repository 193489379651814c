"""COPY in the binary format, and statements in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from datastore.actions.services import Services
from datastore.postgres.binary_copy import BinaryCopy

MANY = 20_000
"""More than asyncpg and the socket hold."""


@pytest.fixture
async def connection(services: Services) -> AsyncIterator[asyncpg.Connection]:
    """In a transaction, with a temporary table."""
    async with services.database.owner.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("CREATE TEMPORARY TABLE copied (a int, b text) ON COMMIT DROP")
        yield connection
        await transaction.rollback()


async def rows(count: int) -> AsyncIterator[tuple[int, str]]:
    for number in range(count):
        if number % 1000 == 0:
            await asyncio.sleep(0)
        yield number, "x" * 100


async def test_statements_in_front(connection: asyncpg.Connection) -> None:
    copy = await BinaryCopy.prepare(connection, "pg_temp", "copied", ["a", "b"])
    assert await copy.copy(rows(3)) == 3
    assert (
        await copy.copy(rows(MANY), "UPDATE pg_temp.copied SET a = -1; DELETE FROM pg_temp.copied WHERE b = ''") == MANY
    )
    assert await connection.fetchval("SELECT count(*) FROM pg_temp.copied WHERE a = -1") == 3
    assert await connection.fetchval("SELECT count(*) FROM pg_temp.copied") == MANY + 3


@pytest.mark.parametrize("count", [0, 1, MANY])
async def test_an_error_of_theirs(connection: asyncpg.Connection, count: int) -> None:
    copy = await BinaryCopy.prepare(connection, "pg_temp", "copied", ["a", "b"])
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with connection.transaction():
            await copy.copy(rows(count), "DO 'BEGIN PERFORM 1 / 0; END'")
    assert await copy.copy(rows(2)) == 2
    assert await connection.fetchval("SELECT count(*) FROM pg_temp.copied") == 2


async def test_a_record_that_cannot_be_sent(connection: asyncpg.Connection) -> None:
    async def bad() -> AsyncIterator[tuple[int | str, str]]:
        async for row in rows(MANY):
            yield row
        yield "no number", ""

    copy = await BinaryCopy.prepare(connection, "pg_temp", "copied", ["a", "b"])
    with pytest.raises(TypeError):
        async with connection.transaction():
            await copy.copy(bad(), "INSERT INTO pg_temp.copied VALUES (1)")
    assert await connection.fetchval("SELECT count(*) FROM pg_temp.copied") == 0
