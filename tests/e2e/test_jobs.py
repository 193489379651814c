"""Background jobs over HTTP."""

from __future__ import annotations

import uuid
from datetime import datetime

import httpx
import pytest

from datastore.actions.services import Services
from datastore.jobs.queue import Request, enqueue
from datastore.postgres.database import Transaction
from tests.e2e.http import Api


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


@pytest.fixture
def queue() -> str:
    """The name of a queue of this test alone."""
    return f"queue-{uuid.uuid4().hex[:10]}"


async def put(services: Services, queue: str, *titles: str) -> list[str]:
    async def work(tx: Transaction) -> list[str]:
        return [await enqueue(tx, Request(f"kind of {queue}", title, title, queue=queue)) for title in titles]

    return await services.database.write(work)


async def test_list_and_show(api: Api, services: Services, queue: str) -> None:
    ids = await put(services, queue, "One", "Two", "Three")
    jobs = await api.ok("job_list", queues=[queue])
    assert [set(job) for job in jobs] == [{"id", "title", "created", "queue"}] * 3
    assert [(job["id"], job["title"], job["queue"]) for job in jobs] == [
        (ids[0], "One", queue), (ids[1], "Two", queue), (ids[2], "Three", queue),
    ]  # fmt: skip
    assert datetime.fromisoformat(jobs[0]["created"]).tzinfo is None
    assert await api.ok("job_show", id=ids[1]) == jobs[1]
    assert await api.ok("job_list", queues=queue, limit=2) == jobs[:2]
    assert await api.ok("job_list", queues=f"{queue},none", ids_only=True) == ids
    assert await api.ok("job_list", queues=["none", "x" * 1000]) == []
    assert {job["id"] for job in await api.ok("job_list")} >= set(ids)
    assert await api.refused(404, "job_show", id="none") == {"message": "Not found: Job not found: none"}
    assert await api.refused(409, "job_show") == {"id": ["Missing value"]}
    assert "limit" in await api.refused(409, "job_list", limit=-1)


async def test_cancel(api: Api, services: Services, queue: str) -> None:
    first, second = await put(services, queue, "One", "Two")
    assert await api.ok("job_cancel", id=first) is None
    await api.refused(404, "job_cancel", id=first)
    assert await api.ok("job_list", queues=[queue], ids_only=True) == [second]
    await services.database.owner.execute("UPDATE datastore.jobs SET state = 'running' WHERE id = $1", second)
    assert await api.refused(409, "job_cancel", id=second) == {"id": ["The job has begun already"]}
    assert await api.ok("job_list", queues=[queue], ids_only=True) == [second]


async def test_clear(api: Api, services: Services, queue: str) -> None:
    await put(services, queue, "One", "Two")
    [kept] = await put(services, f"{queue}-too", "Three")
    assert await api.ok("job_clear", queues=[queue]) == [queue]
    assert await api.ok("job_list", queues=[queue, f"{queue}-too"], ids_only=True) == [kept]
    assert f"{queue}-too" in await api.ok("job_clear")
    assert await api.ok("job_list", queues=[f"{queue}-too"]) == []


@pytest.mark.parametrize("name", ["job_list", "job_show", "job_cancel", "job_clear"])
async def test_for_sysadmins_only(client: httpx.AsyncClient, name: str) -> None:
    await Api(client, {}).refused(403, name, id="x")
