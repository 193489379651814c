"""Doing jobs: in order, once at a time, again after failures, and by others when the one who began is gone."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from datastore.actions.services import Services
from datastore.jobs.queue import Job, Request, enqueue, find_job, job_log, list_jobs
from datastore.jobs.runner import Jobs, Kind, Work
from datastore.postgres.database import Transaction
from tests.jobs import worker_to_kill
from tests.upkeep import settled


@pytest.fixture
def kind() -> str:
    """A kind of job of this test alone, and the name of its queue."""
    return f"kind-{uuid.uuid4().hex[:10]}"


@asynccontextmanager
async def worker(services: Services, url: str, *kinds: Kind) -> AsyncIterator[Jobs]:
    """A worker that does these kinds of job, besides that of the services."""
    jobs = Jobs(url, services.database)
    for each in kinds:
        jobs.register(each)
    jobs.start()
    try:
        yield jobs
    finally:
        await jobs.close()


async def put(services: Services, kind: str, *keys: str, **values: Any) -> list[str]:
    async def work(tx: Transaction) -> list[str]:
        return [await enqueue(tx, Request(kind, key, f"About {key}", queue=kind, **values)) for key in keys]

    return await services.database.write(work)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens in the background."""
    async with asyncio.timeout(120):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def state(services: Services, job_id: str) -> tuple[str, int]:
    job = await find_job(services.database.owner, job_id)
    return job.state, job.attempts


async def hurry(services: Services, kind: str) -> None:
    """What waits for its next attempt is due now."""

    async def work(tx: Transaction) -> None:
        await tx.connection.execute("UPDATE datastore.jobs SET due = now() WHERE kind = $1", kind)
        tx.changed("jobs", kind)

    await services.database.write(work)


async def test_each_is_done_once(services: Services, database_url: str, kind: str) -> None:
    done: list[str] = []

    async def do(work: Work) -> None:
        done.append(work.job.key)

    keys = [f"job {number}" for number in range(8)]
    await put(services, kind, *keys)
    await put(services, kind, "later", delay=3600)
    async with worker(services, database_url, Kind(kind, do)), worker(services, database_url, Kind(kind, do)):
        await settled(services, kind, *keys)
        assert sorted(done) == keys
        await put(services, kind, "new")  # a message wakes the workers
        await settled(services, kind, "new")
    assert done[-1] == "new"
    assert [job.key for job in await list_jobs(services.database.owner, [kind], over=True)] == ["later"]


async def test_order(services: Services, database_url: str, kind: str) -> None:
    """As PostgreSQL hands them out, to whoever asks."""
    await put(services, kind, "low 1", "low 2")
    await put(services, kind, "high", priority=5)
    connection = await asyncpg.connect(database_url)
    keys = []
    for _ in range(4):
        row = await connection.fetchrow("SELECT * FROM datastore.begin_job($1)", [kind])
        if row is not None:
            keys.append(row["key"])
            await connection.execute("DELETE FROM datastore.jobs WHERE id = $1", row["id"])
    await connection.close()
    assert keys == ["high", "low 1", "low 2"]


async def test_one_of_a_key_at_a_time(services: Services, database_url: str, kind: str) -> None:
    begun, go_on, at_work, most = asyncio.Event(), asyncio.Event(), 0, 0

    async def do(_work: Work) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        begun.set()
        await go_on.wait()
        at_work -= 1

    async with worker(services, database_url, Kind(kind, do)), worker(services, database_url, Kind(kind, do)):
        (first,) = await put(services, kind, "x")
        await begun.wait()
        # The one that runs may have read already what this write changed: a second one has to follow.
        (second,) = await put(services, kind, "x")
        assert first != second
        connection = await asyncpg.connect(database_url)
        assert await connection.fetch("SELECT * FROM datastore.begin_job($1)", [kind]) == []
        await connection.close()
        assert await state(services, first) == ("running", 1)
        assert await state(services, second) == ("waiting", 0)
        go_on.set()
        await settled(services, kind, "x")
    assert most == 1


async def test_failures(services: Services, database_url: str, kind: str) -> None:
    fails = True

    async def do(work: Work) -> None:
        await work.note("info", f"attempt {work.job.attempts}")
        if fails:
            raise ValueError("as it should")

    async with worker(services, database_url, Kind(kind, do)):
        (job_id,) = await put(services, kind, "x", attempts=2)

        async def failed_once() -> bool:
            return (await find_job(services.database.owner, job_id)).error is not None

        async def failed_for_good() -> bool:
            return await state(services, job_id) == ("failed", 2)

        await until(failed_once)
        await hurry(services, kind)
        await until(failed_for_good)
        job = await find_job(services.database.owner, job_id)
        assert job.error == "ValueError('as it should')"
        lines = await job_log(services.database.owner, job_id)
        assert [(line.level, line.message) for line in lines] == [("info", "attempt 1"), ("info", "attempt 2")]
        assert await list_jobs(services.database.owner, [kind]) == []  # nobody waits for it any more
        fails = False
        await put(services, kind, "x")
        await settled(services, kind, "x")

        async def forgotten() -> bool:
            return await list_jobs(services.database.owner, [kind], over=True) == []

        await until(forgotten)  # that it once failed is of no interest when it has been done


async def test_kept(services: Services, database_url: str, kind: str) -> None:
    async def do(work: Work) -> None:
        await work.note("info", str(work.job.parameters["text"]))

    async with worker(services, database_url, Kind(kind, do, kept=3600)):
        (job_id,) = await put(services, kind, "x", parameters={"text": "hello"})
        await settled(services, kind, "x")
    assert await state(services, job_id) == ("done", 1)
    [line] = await job_log(services.database.owner, job_id)
    assert line.message == "hello"


async def test_a_killed_worker(services: Services, database_url: str, kind: str) -> None:
    """What a process leaves that is killed: a row that says that it runs, and no session that holds its lock."""
    (job_id,) = await put(services, kind, "x")
    dead = await asyncpg.connect(database_url)
    assert (await dead.fetchrow("SELECT id FROM datastore.begin_job($1)", [kind]))["id"] == job_id
    done: list[Job] = []

    async def do(work: Work) -> None:
        done.append(work.job)

    async with worker(services, database_url, Kind(kind, do)):

        async def released() -> bool:
            ready = "SELECT count(*) FROM datastore.ready_jobs WHERE id = $1"
            return bool(await services.database.owner.fetchval(ready, job_id))

        assert not await released()
        assert await state(services, job_id) == ("running", 1)
        assert done == []
        dead.terminate()
        await until(released)
        await hurry(services, kind)
        await settled(services, kind, "x")
    assert [(job.id, job.attempts) for job in done] == [(job_id, 2)]


async def test_a_process_killed_in_the_middle(services: Services, database_url: str, kind: str) -> None:
    """Its session is in the middle of a statement, and would be for long: PostgreSQL finds out that nobody waits."""
    (job_id,) = await put(services, kind, "x")
    secret = services.settings.secret_key or ""
    process = await asyncio.create_subprocess_exec(
        sys.executable, worker_to_kill.__file__, database_url, kind, secret, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:  # its log comes as well
            if line == b"begun\n":
                break
    finally:
        process.kill()
        await process.wait()
    assert await state(services, job_id) == ("running", 1)

    async def released() -> bool:
        ready = "SELECT count(*) FROM datastore.ready_jobs WHERE id = $1"
        return bool(await services.database.owner.fetchval(ready, job_id))

    await until(released)
    attempts: list[int] = []

    async def do(work: Work) -> None:
        attempts.append(work.job.attempts)

    async with worker(services, database_url, Kind(kind, do)):
        await settled(services, kind, "x")
    assert attempts == [2]


async def test_one_that_kills_its_process_each_time(services: Services, database_url: str, kind: str) -> None:
    (job_id,) = await put(services, kind, "x", attempts=1)
    dead = await asyncpg.connect(database_url)
    await dead.fetchrow("SELECT id FROM datastore.begin_job($1)", [kind])
    await dead.close()

    async def do(_work: Work) -> None:
        raise AssertionError("never begun again")

    async with worker(services, database_url, Kind(kind, do)):

        async def given_up() -> bool:
            return (await state(services, job_id))[0] == "failed"

        await until(given_up)
    assert (await find_job(services.database.owner, job_id)).error == "its process ended each time"


async def test_a_lost_connection_cancels_the_work(services: Services, database_url: str, kind: str) -> None:
    begun: list[int] = []
    cancelled = asyncio.Event()

    async def do(work: Work) -> None:
        begun.append(work.connection.get_server_pid())
        if len(begun) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    async with worker(services, database_url, Kind(kind, do)):
        (job_id,) = await put(services, kind, "x")

        async def running() -> bool:
            return await state(services, job_id) == ("running", 1) and bool(begun)

        await until(running)
        await services.database.owner.execute("SELECT pg_terminate_backend($1)", begun[0])
        await cancelled.wait()
        await hurry(services, kind)
        await settled(services, kind, "x")
    assert len(begun) == 2


async def test_close_gives_back(services: Services, database_url: str, kind: str) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def do(_work: Work) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with worker(services, database_url, Kind(kind, do)):
        (job_id,) = await put(services, kind, "x")
        await begun.wait()
    assert cancelled.is_set()
    assert await state(services, job_id) == ("waiting", 0)
    # Whoever comes next does it at once.
    done = asyncio.Event()

    async def finish(_work: Work) -> None:
        done.set()

    async with worker(services, database_url, Kind(kind, finish)):
        await settled(services, kind, "x")
    assert done.is_set()


async def test_a_kind_is_registered_once(services: Services, database_url: str, kind: str) -> None:
    async def do(_work: Work) -> None: ...

    jobs = Jobs(database_url, services.database)
    jobs.register(Kind(kind, do))
    with pytest.raises(ValueError, match="registered twice"):
        jobs.register(Kind(kind, do))
