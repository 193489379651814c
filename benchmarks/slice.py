"""Pages of a table. Floor: ``bare.py``, the least ASGI handler, on the same rows with as many workers.

The first page, asked for again and again, is in a worker's memory then, and only the table's version is looked up;
pages at varying offsets are read, and nothing of their addresses is known before.
"""

from __future__ import annotations

import http.client

from benchmarks import bare, clients, sample
from benchmarks.harness import Measurement, Spread, against_floor, interleave
from benchmarks.run import Run
from benchmarks.service import HOST, exchange

ROWS = 100_000
LIMITS = (20, 100)
CLIENTS = (1, 16, 64)
WORKERS = (1, 2)
OFFSETS = 4_000
"""Pages that are asked for in turn: more than a worker remembers query strings, so that it reads each of them anew."""


def measure(run: Run) -> list[Measurement]:
    """Requests per second and latencies of ``limit=20`` and ``limit=100``, by workers and clients."""
    service, workers = run.service, run.service.workers
    resource = service.create_table(sample.FIELDS)
    service.fill(resource, sample.rows(1, run.size(ROWS)))
    address = f"/api/3/action/datastore_search?resource_id={resource}&limit="
    found: list[Measurement] = []
    for count in WORKERS:
        service.restart(count)
        found += _by_clients(run, resource, address)
    service.restart(workers)
    return found


def _by_clients(run: Run, resource: str, address: str) -> list[Measurement]:
    statements = {str(limit): bare.page(run, resource, f"ORDER BY _id LIMIT {limit}") for limit in LIMITS}
    statements |= {
        f"further{limit}": bare.page(run, resource, f"ORDER BY _id LIMIT {limit} OFFSET $1::bigint") for limit in LIMITS
    }
    found: list[Measurement] = []
    with bare.serve(run, statements) as floor:
        for limit in LIMITS:
            _check_same_rows(run, f"{address}{limit}", floor.port, f"/{limit}")
            for count in CLIENTS:
                found += _measure(run, f"{address}{limit}", floor.port, f"/{limit}", f"limit={limit}", count)
        offsets = min(OFFSETS, run.size(ROWS) // 2)
        for limit in LIMITS:
            ours, further = f"{address}{limit}&offset=", f"/further{limit}?"
            _check_same_rows(run, f"{ours}7", floor.port, f"{further}7")
            for count in CLIENTS:
                found += _measure(run, ours, floor.port, further, f"limit={limit}, varying offsets", count, offsets)
        found.append(_not_modified(run, f"{address}{LIMITS[-1]}"))
    return found


def _check_same_rows(run: Run, ours: str, port: int, floor: str) -> None:
    """The bare handler's whole answer stands, byte by byte, in ours."""
    if exchange(port, "GET", floor)[1] not in exchange(run.service.server.port, "GET", ours)[1]:
        raise RuntimeError("the service and the bare handler do not send the same rows")


def _measure(run: Run, ours: str, port: int, floor: str, page: str, count: int, numbers: int = 0) -> list[Measurement]:
    own = run.service.server.port
    pairs = interleave(
        lambda: clients.run(f"http://{HOST}:{own}{ours}", count, run.seconds, numbers=numbers),
        lambda: clients.run(f"http://{HOST}:{port}{floor}", count, run.seconds, numbers=numbers),
        run.pairs,
    )
    workers = run.service.workers
    name = f"slice {page}, {count} client{'s' if count > 1 else ''}, {workers} worker{'s' if workers > 1 else ''}"
    p99_goal = round(1 / 1.5, 3) if count == max(CLIENTS) else None
    return [
        against_floor(name, "req/s", [(a.rate, b.rate) for a, b in pairs], goal=0.8),
        against_floor(f"{name}: p50", "ms", [(a.p50, b.p50) for a, b in pairs], None, less_is_better=True),
        against_floor(f"{name}: p99", "ms", [(a.p99, b.p99) for a, b in pairs], p99_goal, less_is_better=True),
    ]


def _not_modified(run: Run, address: str) -> Measurement:
    """The same for clients that have the page already: 304."""
    port, workers = run.service.server.port, run.service.workers
    tag = header(port, address, "ETag")
    rates = [
        clients.run(f"http://{HOST}:{port}{address}", max(CLIENTS), run.seconds, f"If-None-Match: {tag}").rate
        for _ in range(run.pairs)
    ]
    name = f"not modified, {max(CLIENTS)} clients, {workers} worker{'s' if workers > 1 else ''}"
    return Measurement(name, "req/s", Spread.of(rates))


def header(port: int, address: str, name: str) -> str:
    """A header of an answer. Raises :class:`RuntimeError` if it has none."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request("GET", address)
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    value = response.getheader(name)
    if value is None:
        raise RuntimeError(f"no {name}: {address}")
    return value
