"""``datastore serve`` as an operator knows it: it answers, stops in order, and survives whatever is killed."""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from datastore.postgres.embedded.connection_file import connection_dsn
from datastore.settings import Settings
from tests.processes import Service, alive, eventually, free_port, make_folder, run_command

MANY = 50_000


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = make_folder()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Service]:
    service = Service(folder / "store", free_port(), "--no-demo", "--workers", "2")
    yield service
    service.client.close()
    service.kill()


@pytest.fixture
def service(running: Service) -> Service:
    """The service of this file, answering, whatever the test before did to it."""
    if running.process is None or running.process.poll() is not None:
        running.start()
    eventually(running.ready)
    return running


@pytest.fixture
def table(service: Service) -> dict[str, Any]:
    """A new table with the columns ``id`` (its key) and ``value``: its resource_id, and the dataset's id."""
    suffix = f"{time.monotonic_ns():x}"
    if "org" not in service.call("organization_list"):
        service.call("organization_create", name="org")
    dataset = service.call("package_create", name=f"data-{suffix}", owner_org="org")
    created = service.call(
        "datastore_create",
        resource={"package_id": dataset["id"]},
        fields=[{"id": "id", "type": "int"}, {"id": "value", "type": "text"}],
        primary_key="id",
    )
    return {"resource_id": created["resource_id"], "dataset_id": dataset["id"]}


def count(service: Service, table: dict[str, Any]) -> int:
    """The rows that are there, counted by PostgreSQL; the registry must agree."""
    found = service.call("datastore_search", resource_id=table["resource_id"], limit=0)
    rows = query(service, f'SELECT count(*) FROM "{table["dataset_id"]}"."{table["resource_id"]}"')
    assert found["total"] == rows
    return int(rows)


def query(service: Service, sql: str) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(connection_dsn(Settings(data_dir=service.data_dir, database_url=None)))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(fetch())


class Request(threading.Thread):
    """A call of an action that runs meanwhile. ``status`` is None if no answer came."""

    def __init__(self, service: Service, action: str, parameters: dict[str, Any]) -> None:
        super().__init__()
        self._service, self._action, self._parameters = service, action, parameters
        self.status: int | None = None

    def run(self) -> None:
        headers = {"Authorization": self._service.client.headers["Authorization"]}
        try:
            address = f"{self._service.address}/api/3/action/{self._action}"
            self.status = httpx.post(address, json=self._parameters, headers=headers, timeout=60).status_code
        except httpx.TransportError:
            self.status = None


def writing(service: Service) -> bool:
    """Whether a transaction that has written is open in PostgreSQL."""
    sql = """
        SELECT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE backend_xid IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid())
    """
    return bool(query(service, sql))


def test_it_says_what_runs_where(service: Service) -> None:
    eventually(lambda: f"on {service.address}" in service.log())
    log = service.log()

    assert "2 workers, embedded PostgreSQL " in log
    assert str(service.data_dir) in log
    assert "datastore token create admin" in log
    assert len(service.workers()) == 2


def test_the_port_is_taken_before_anything_slow(service: Service, folder: Path) -> None:
    second = run_command("serve", "--port", str(service.port), "--data-dir", str(folder / "second"))

    assert second.returncode == 1
    assert f"Something else listens on 127.0.0.1:{service.port} already" in second.stderr
    assert "Traceback" not in second.stderr
    assert not (folder / "second").exists()


def test_sigterm_lets_a_request_finish(service: Service, table: dict[str, Any]) -> None:
    """A write waits for a lock while the service is told to stop; it is done before PostgreSQL stops."""
    process, workers, postmaster = service.process, service.workers(), service.postmaster()
    assert process is not None

    async def stop_during_write() -> Request:
        connection = await asyncpg.connect(connection_dsn(Settings(data_dir=service.data_dir, database_url=None)))
        try:
            async with connection.transaction():
                await connection.execute(
                    f'LOCK TABLE "{table["dataset_id"]}"."{table["resource_id"]}" IN ACCESS EXCLUSIVE MODE'
                )
                request = Request(
                    service,
                    "datastore_upsert",
                    {"resource_id": table["resource_id"], "records": [{"id": 1, "value": "late"}]},
                )
                request.start()
                waiting = """
                    SELECT EXISTS (
                        SELECT FROM pg_stat_activity
                        WHERE wait_event_type = 'Lock' AND query !~ '^ANALYZE')
                """
                while not await connection.fetchval(waiting):  # noqa: ASYNC110 -- PostgreSQL's event
                    await asyncio.sleep(0.02)
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(eventually, lambda: not service.listening())
                assert request.is_alive()
                assert process.poll() is None
        finally:
            await connection.close()
        return request

    request = asyncio.run(stop_during_write())
    request.join()
    assert request.status == 200
    assert process.wait(60) == 0
    assert not alive(postmaster)
    assert not any(alive(worker) for worker in workers)
    assert "Traceback" not in service.log()

    service.start()
    assert count(service, table) == 1


def test_last_modified_survives_a_kill(service: Service, table: dict[str, Any]) -> None:
    """It follows a write by seconds: if everything is killed before, the next start finds it."""
    resource = table["resource_id"]
    service.call("resource_patch", id=resource, last_modified="2001-01-01")
    service.call("datastore_upsert", resource_id=resource, method="insert", records=[{"id": 1}])
    service.kill()
    service.start()
    eventually(lambda: service.call("resource_show", id=resource)["last_modified"] > "2001-01-02", 60)


@pytest.mark.parametrize("victims", ["service", "service and PostgreSQL"])
def test_a_killed_write_leaves_all_or_nothing(service: Service, table: dict[str, Any], victims: str) -> None:
    records = [{"id": number, "value": f"value {number}"} for number in range(MANY)]
    first = {"resource_id": table["resource_id"], "records": [{"id": -1, "value": "acknowledged"}]}
    service.call("datastore_upsert", **first)
    request = Request(service, "datastore_upsert", {"resource_id": table["resource_id"], "records": records})
    request.start()
    eventually(lambda: writing(service))

    killed = [psutil.Process(service.pid), *service.workers()]
    if victims != "service":
        killed.append(service.postmaster())
    for process in killed:
        process.kill()
    request.join()
    assert service.process is not None
    service.process.wait()
    service.start()

    rows = count(service, table)
    assert rows in (1, 1 + MANY)
    if request.status == 200:
        assert rows == 1 + MANY
    service.call("datastore_upsert", resource_id=table["resource_id"], records=records)
    assert count(service, table) == 1 + MANY


def test_postgresql_comes_back_by_itself(service: Service, table: dict[str, Any]) -> None:
    supervisor, workers = service.pid, {worker.pid for worker in service.workers()}
    service.call("datastore_upsert", resource_id=table["resource_id"], records=[{"id": 1, "value": "kept"}])

    postmaster = service.postmaster()
    postmaster.kill()
    postmaster.wait(60)
    eventually(service.ready)

    assert count(service, table) == 1
    service.call("datastore_upsert", resource_id=table["resource_id"], records=[{"id": 2, "value": "new"}])
    assert count(service, table) == 2
    assert service.pid == supervisor
    assert {worker.pid for worker in service.workers()} == workers


def test_workers_go_with_their_supervisor(service: Service) -> None:
    workers = service.workers()
    assert service.process is not None
    service.process.kill()
    service.process.wait()
    service.launch()  # at once, at the same port

    eventually(lambda: not any(alive(worker) for worker in workers))
    eventually(service.ready)
    assert len(service.workers()) == 2


def test_a_dead_worker_is_replaced(service: Service) -> None:
    victim, other = service.workers()
    victim.kill()
    eventually(lambda: victim.pid not in {worker.pid for worker in service.workers()} and len(service.workers()) == 2)

    assert alive(other)
    assert all(service.ready() for _ in range(5))


def test_a_worker_that_dies_while_its_supervisor_waits_for_it_is_replaced(service: Service) -> None:
    victim, _other = service.workers()
    victim.suspend()
    time.sleep(1.5)  # the supervisor asks twice a second: now it waits for an answer
    victim.kill()
    eventually(
        lambda: victim.pid not in {worker.pid for worker in service.workers()} and len(service.workers()) == 2, 20
    )


def test_hangup_replaces_the_workers(service: Service) -> None:
    before = {worker.pid for worker in service.workers()}
    assert service.process is not None
    service.process.send_signal(signal.SIGHUP)

    def replaced() -> bool:
        now = {worker.pid for worker in service.workers()}
        return len(now) == 2 and not now & before and service.ready()

    eventually(replaced)


def test_sigterm_during_the_start_is_in_order(service: Service) -> None:
    assert service.stop() == 0
    service.launch()
    assert service.process is not None
    eventually(lambda: (service.data_dir / "postgres/data/postmaster.pid").exists())
    service.process.send_signal(signal.SIGTERM)

    assert service.process.wait(60) == 0
    assert not (service.data_dir / "postgres/data/postmaster.pid").exists()


def test_a_revoked_token_and_a_taken_role_count_in_every_worker(service: Service) -> None:
    suffix = f"{time.monotonic_ns():x}"
    organization = service.call("organization_create", name=f"org-{suffix}")["id"]
    dataset = service.call("package_create", name=f"d-{suffix}", owner_org=organization, private=True)["id"]
    user = service.call(
        "user_create", name=f"u-{suffix}", email=f"{suffix}@example.org", password="long enough", with_apitoken=True
    )
    service.call("organization_member_create", id=organization, username=user["id"], role="member")

    def statuses() -> set[int]:
        """Of the same request over many connections, which the kernel spreads over the workers."""
        each_its_own = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(headers={"Authorization": user["token"]}, limits=each_its_own, timeout=60) as client:
            address = f"{service.address}/api/3/action/package_show?id={dataset}"
            return {client.get(address).status_code for _ in range(20)}

    eventually(lambda: statuses() == {200})
    service.call("organization_member_delete", id=organization, username=user["id"])
    eventually(lambda: statuses() == {403})
    service.call("organization_member_create", id=organization, username=user["id"], role="editor")
    eventually(lambda: statuses() == {200})
    service.call("api_token_revoke", token=user["token"])
    eventually(lambda: statuses() == {403})
