"""Large writes in a service of their own: what they hold in memory, and what is left when they break off."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from datastore.postgres.embedded.connection_file import connection_dsn
from datastore.settings import Settings
from tests.processes import TOKEN, Service, eventually, free_port, make_folder

MIB = 2**20
CELL = "ä cell of some length. " * 40
FIELDS = [{"id": "id", "type": "int"}, {"id": "value", "type": "text"}]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = make_folder()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Service]:
    service = Service(folder / "store", free_port(), "--no-demo", "--workers", "1")
    service.start()
    service.call("organization_create", name="org")
    service.call("package_create", name="data", owner_org="org")
    yield service
    service.client.close()
    service.kill()


@pytest.fixture
def table(running: Service) -> str:
    eventually(running.ready)
    created = running.call("datastore_create", resource={"package_id": "data"}, fields=FIELDS, primary_key="id")
    return str(created["resource_id"])


def count(service: Service, table: str) -> int:
    return int(service.call("datastore_search", resource_id=table, limit=0)["total"])


def csv(size: int) -> Iterator[bytes]:
    """A file of at least ``size`` bytes."""
    yield b"id,value\n"
    number = sent = 0
    while sent < size:
        lines = "".join(f"{number + more},{CELL}\n" for more in range(500)).encode()
        yield lines
        number, sent = number + 500, sent + len(lines)


@contextmanager
def memory_growth(worker: psutil.Process) -> Iterator[list[float]]:
    """The most that the process grows by while the block runs, in MiB."""
    before = peak = worker.memory_info().rss
    done = threading.Event()

    def look() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, worker.memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    growth: list[float] = []
    try:
        yield growth
    finally:
        done.set()
        watcher.join()
        growth.append((peak - before) / MIB)


def address(service: Service, table: str, method: str) -> str:
    return f"{service.address}/api/3/action/datastore_upsert?resource_id={table}&method={method}"


@pytest.mark.parametrize("method", ["insert", "upsert"])
def test_a_file_does_not_fill_the_memory(running: Service, table: str, method: str) -> None:
    headers = {"Authorization": TOKEN, "Content-Type": "text/csv"}
    with memory_growth(running.workers()[0]) as growth:
        response = httpx.post(address(running, table, method), content=csv(200 * MIB), headers=headers, timeout=300)
    assert response.status_code == 200, response.text
    assert count(running, table) > 200_000
    assert growth[0] < 120


@pytest.mark.parametrize("method", ["insert", "upsert"])
def test_a_json_body_takes_a_few_times_its_size(running: Service, table: str, method: str) -> None:
    records = [{"id": number, "value": CELL} for number in range(30_000)]
    body = json.dumps({"resource_id": table, "method": method, "records": records}, ensure_ascii=False).encode()
    with memory_growth(running.workers()[0]) as growth:
        headers = {"Authorization": TOKEN, "Content-Type": "application/json"}
        response = httpx.post(
            f"{running.address}/api/3/action/datastore_upsert", content=body, headers=headers, timeout=300
        )
    assert response.status_code == 200, response.text
    assert count(running, table) == len(records)
    assert growth[0] < 4 * len(body) / MIB


def test_a_client_that_goes_away(running: Service, table: str) -> None:
    """In the middle of its body: nothing is written, and the service goes on."""
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        head = f"POST /api/3/action/datastore_upsert?resource_id={table}&method=insert HTTP/1.1\r\nHost: test\r\n"
        head += f"Authorization: {TOKEN}\r\nContent-Type: text/csv\r\nContent-Length: {10 * MIB}\r\n\r\n"
        connection.sendall(head.encode() + b"".join(csv(5 * MIB)))
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(60)
        while connection.recv(1000):
            pass
    assert count(running, table) == 0
    running.call("datastore_upsert", resource_id=table, records=[{"id": 1, "value": "later"}])
    assert count(running, table) == 1


def test_a_killed_load_leaves_nothing(running: Service, table: str) -> None:
    worker = running.workers()[0]
    headers = {"Authorization": TOKEN, "Content-Type": "text/csv"}

    def send() -> None:
        with pytest.raises(httpx.TransportError):
            httpx.post(address(running, table, "insert"), content=csv(200 * MIB), headers=headers, timeout=300)

    request = threading.Thread(target=send)
    request.start()
    copying = "SELECT FROM pg_stat_progress_copy WHERE tuples_processed > 0"
    eventually(lambda: _rows(running, copying), 120)
    worker.kill()
    request.join()
    eventually(running.ready)
    assert count(running, table) == 0


def _rows(service: Service, statement: str) -> int:
    async def ask() -> int:
        connection = await asyncpg.connect(connection_dsn(Settings(data_dir=service.data_dir, database_url=None)))
        try:
            return len(await connection.fetch(statement))
        finally:
            await connection.close()

    return asyncio.run(ask())
