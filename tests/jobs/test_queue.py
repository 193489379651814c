"""The queue: what waits, in which order, and what of it can be taken back."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from datastore.actions.services import Services
from datastore.errors import NotFound, ValidationError
from datastore.jobs.queue import Job, Request, cancel, clear, enqueue, find_job, list_jobs
from datastore.postgres.database import Transaction

LATER = 3600.0


@pytest.fixture
def queue() -> str:
    """The name of a queue of this test alone."""
    return f"queue-{uuid.uuid4().hex[:10]}"


def request(queue: str, key: str = "x", **values: Any) -> Request:
    """A job of a kind that nobody does."""
    return replace(Request(f"kind of {queue}", key, f"About {key}", queue=queue, delay=LATER), **values)


async def put(services: Services, *requests: Request) -> list[str]:
    async def work(tx: Transaction) -> list[str]:
        return [await enqueue(tx, each) for each in requests]

    return await services.database.write(work)


async def titles(services: Services, *queues: str, limit: int | None = None) -> list[str]:
    return [job.title for job in await list_jobs(services.database.owner, queues, limit)]


async def test_list_and_find(services: Services, queue: str) -> None:
    first, second = await put(services, request(queue, "a", parameters={"n": [1, None]}), request(queue, "b"))
    (other,) = await put(services, request(f"{queue} too", "a"))
    assert await titles(services, queue) == ["About a", "About b"]
    assert await titles(services, queue, limit=1) == ["About a"]
    assert await titles(services, queue, f"{queue} too") == ["About a", "About b", "About a"]
    assert await titles(services, f"{queue} none") == []
    everything = {job.id for job in await list_jobs(services.database.owner)}
    assert {first, second, other} <= everything
    job = await find_job(services.database.owner, first)
    assert isinstance(job, Job)
    assert (job.queue, job.key, job.state, job.attempts, job.parameters) == (queue, "a", "waiting", 0, {"n": [1, None]})
    with pytest.raises(NotFound):
        await find_job(services.database.owner, "no such job")


async def test_one_waits_for_each_key(services: Services, queue: str) -> None:
    (first,) = await put(services, request(queue, parameters={"n": 1}))
    again = await put(services, request(queue, title="Newer", parameters={"n": 2}, delay=2 * LATER))
    assert again == [first]
    [job] = await list_jobs(services.database.owner, [queue])
    assert (job.title, job.parameters) == ("Newer", {"n": 2})
    assert (job.due.replace(tzinfo=None) - job.created).total_seconds() > LATER


async def test_a_transaction_that_fails_enqueues_nothing(services: Services, queue: str) -> None:
    async def work(tx: Transaction) -> None:
        await enqueue(tx, request(queue))
        raise ValidationError({"it": ["fails"]})

    with pytest.raises(ValidationError):
        await services.database.write(work)
    assert await titles(services, queue) == []


async def test_cancel(services: Services, queue: str) -> None:
    first, second = await put(services, request(queue, "a"), request(queue, "b"))
    await services.database.write(lambda tx: cancel(tx, first))
    assert await titles(services, queue) == ["About b"]
    with pytest.raises(NotFound):
        await services.database.write(lambda tx: cancel(tx, first))
    await services.database.owner.execute("UPDATE datastore.jobs SET state = 'running' WHERE id = $1", second)
    with pytest.raises(ValidationError) as caught:
        await services.database.write(lambda tx: cancel(tx, second))
    assert caught.value.fields == {"id": ["The job has begun already"]}


async def test_clear(services: Services, queue: str) -> None:
    await put(services, request(queue, "a"), request(queue, "b"), request(f"{queue} too"))
    names = [queue, f"{queue} none"]
    assert await services.database.write(lambda tx: clear(tx, names)) == names
    assert await titles(services, queue) == []
    assert await titles(services, f"{queue} too") == ["About x"]
