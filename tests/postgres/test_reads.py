"""The pool of read connections: lending, waiting, what breaks, closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import asyncpg
import pytest

from datastore.postgres import reads
from datastore.postgres.reads import ReadPool


@pytest.fixture
async def make(database_url: str) -> AsyncIterator[Callable[[int], ReadPool]]:
    """Makes pools on the test's database, and closes them."""
    pools: list[ReadPool] = []

    def pool(size: int) -> ReadPool:
        pools.append(ReadPool(lambda: asyncpg.connect(database_url), size))
        return pools[-1]

    yield pool
    for each in pools:
        each.terminate()


PID = "SELECT pg_backend_pid()"


async def test_one_connection_serves_one_after_the_other(make: Callable[[int], ReadPool]) -> None:
    pool = make(3)
    await pool.open()
    first = await pool.fetchval(PID)
    assert [row[0] for row in await pool.fetch(f"{PID} WHERE $1", True)] == [first]
    assert await pool.execute("SELECT 1") == "SELECT 1"
    assert (pool.get_size(), pool.get_idle_size(), pool.get_max_size()) == (1, 1, 3)


async def test_never_more_than_size_and_everybody_gets_a_turn(make: Callable[[int], ReadPool]) -> None:
    pool = make(3)
    rows = await asyncio.gather(*(pool.fetch(f"{PID}, pg_sleep(0.002)") for _ in range(60)))
    assert len({found[0][0] for found in rows}) == 3
    assert (pool.get_size(), pool.get_idle_size()) == (3, 3)


async def test_cancelled_statement_leaves_a_usable_connection(make: Callable[[int], ReadPool]) -> None:
    pool = make(1)
    pid = await pool.fetchval(PID)
    task = asyncio.create_task(pool.fetch("SELECT pg_sleep(60)"))
    waiting = asyncio.create_task(pool.fetchval(PID))
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(60):
        assert await waiting == pid
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_plan_for_all_values_or_one_for_each(make: Callable[[int], ReadPool]) -> None:
    """The session says which, and whoever takes a connection gets it as it is needed."""
    pool = make(1)
    mode = "SELECT current_setting('plan_cache_mode') WHERE $1"
    for generic in (True, False, False, True, True):
        expected = "force_generic_plan" if generic else "force_custom_plan"
        if not generic or pool.get_size():
            assert await pool.fetchval(mode, True, generic=generic) == expected
        else:
            assert [row[0] for row in await pool.fetch(mode, True, generic=True)] == [expected]
    async with pool.acquire() as connection:
        assert await connection.fetchval("SHOW plan_cache_mode") == "force_custom_plan"
    assert await pool.fetchval(mode, False) is None


async def test_idle_connections_are_lent_to_their_kind(make: Callable[[int], ReadPool]) -> None:
    pool = make(2)
    both = [f"{PID} FROM pg_sleep(0.5) WHERE $1"] * 2
    first, second = await asyncio.gather(
        pool.fetchval(both[0], True, generic=True), pool.fetchval(both[1], True, generic=False)
    )
    for _ in range(3):
        assert await pool.fetchval(f"{PID} WHERE $1", True, generic=True) == first
        assert await pool.fetchval(f"{PID} WHERE $1", True) == second


async def test_a_statement_whose_result_changes_its_type(make: Callable[[int], ReadPool], database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute("CREATE TABLE public.changing AS SELECT 1 AS value")
    pool = make(1)
    try:
        for _ in range(2):
            assert [tuple(row) for row in await pool.fetch("SELECT * FROM public.changing")] == [(1,)]
        await owner.execute("ALTER TABLE public.changing ALTER value TYPE text, ADD other int4")
        assert [tuple(row) for row in await pool.fetch("SELECT * FROM public.changing")] == [("1", None)]
    finally:
        await owner.execute("DROP TABLE public.changing")
        await owner.close()


async def test_cancelled_waiter_passes_its_turn_on(make: Callable[[int], ReadPool]) -> None:
    pool = make(1)
    async with pool.acquire():
        first, second = (asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(2))
        await asyncio.sleep(0)
    # The first one has been woken, and has not run yet.
    first.cancel()
    async with asyncio.timeout(60):
        assert await second == 1
    with suppress(asyncio.CancelledError):
        await first


async def test_broken_connection_is_replaced(make: Callable[[int], ReadPool], database_url: str) -> None:
    pool = make(1)
    pid = await pool.fetchval(PID)
    other = await asyncpg.connect(database_url)
    await other.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await other.close()
    await asyncio.sleep(0.05)
    assert await pool.fetchval(PID) != pid
    assert pool.get_size() == 1


async def test_connection_left_in_a_transaction_is_not_lent_again(make: Callable[[int], ReadPool]) -> None:
    pool = make(1)
    async with pool.acquire() as connection:
        await connection.execute("BEGIN")
    assert pool.get_size() == 0
    async with pool.acquire() as connection:
        assert not connection.is_in_transaction()


async def test_worn_connection_is_replaced(make: Callable[[int], ReadPool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_MOST_USES", 2)
    pool = make(1)
    pids = [await pool.fetchval(PID) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_failed_connection_does_not_use_up_the_pool(database_url: str) -> None:
    attempts = 0

    async def connect() -> asyncpg.Connection:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0)
        if attempts <= 2:
            raise ConnectionRefusedError
        return await asyncpg.connect(database_url)

    pool = ReadPool(connect, 1)
    async with asyncio.timeout(60):
        found = await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(3)), return_exceptions=True)
    assert sorted(map(repr, found)) == ["1", "ConnectionRefusedError()", "ConnectionRefusedError()"]
    await pool.close()


async def test_close_waits_for_statements_in_flight(make: Callable[[int], ReadPool]) -> None:
    pool = make(2)
    await pool.open()
    running = asyncio.create_task(pool.fetchval("SELECT 'done' FROM pg_sleep(0.05)"))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(60):
        await pool.close()
    assert running.done()
    assert await running == "done"
    with pytest.raises(asyncpg.InterfaceError):
        await pool.fetch("SELECT 1")


async def test_those_who_wait_are_told_that_it_closes(make: Callable[[int], ReadPool]) -> None:
    pool = make(1)
    async with pool.acquire():
        waiting = [asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(pool.close())
        async with asyncio.timeout(60):
            found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in found] == [asyncpg.InterfaceError] * 3
        assert not closing.done()
    async with asyncio.timeout(60):
        await closing
