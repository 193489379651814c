"""The first page of a table. Floor: ``bare.py``, the least ASGI handler, on the same rows with as many workers."""

from __future__ import annotations

import sys

from benchmarks import clients, sample
from benchmarks.harness import Measurement, against_floor, interleave
from benchmarks.run import Run
from benchmarks.service import HOST, ServerProcess, exchange, free_port

ROWS = 100_000
LIMITS = (20, 100)
CLIENTS = (1, 16, 64)


def measure(run: Run) -> list[Measurement]:
    """Requests per second and latencies of ``limit=20`` and ``limit=100`` at 1, 16 and 64 clients."""
    service = run.service
    resource = service.create_table(sample.FIELDS)
    service.fill(resource, sample.rows(1, run.size(ROWS)))
    address = f"/api/3/action/datastore_search?resource_id={resource}&limit="
    with _bare(run, resource) as bare:
        found: list[Measurement] = []
        for limit in LIMITS:
            _check_same_rows(exchange(service.server.port, "GET", f"{address}{limit}")[1], bare.port, limit)
            ours = f"http://{HOST}:{service.server.port}{address}{limit}"
            for count in CLIENTS:
                found += _measure(run, ours, f"http://{HOST}:{bare.port}/{limit}", limit, count)
        return found


def _bare(run: Run, resource: str) -> ServerProcess:
    service, port = run.service, free_port()
    columns = f"_id, {sample.COLUMNS}".replace(
        '"measured_at"', "to_char(measured_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS') AS measured_at"
    )
    page = f"SELECT {columns} FROM {service.sql_name(resource)} ORDER BY _id LIMIT $1"
    environment = {"BARE_DSN": service.dsn, "BARE_SQL": f"SELECT json_agg(r) FROM ({page}) AS r"}
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.bare:create_app", "--no-access-log"]
    command += ["--log-level", "warning", "--port", str(port), "--workers", str(service.workers)]
    return ServerProcess(command, environment, port, "/1", service.folder / "bare.log")


def _check_same_rows(answer: bytes, port: int, limit: int) -> None:
    """The bare handler's whole answer stands, byte by byte, in ours."""
    if exchange(port, "GET", f"/{limit}")[1] not in answer:
        raise RuntimeError("the service and the bare handler do not send the same rows")


def _measure(run: Run, ours: str, floor: str, limit: int, count: int) -> list[Measurement]:
    pairs = interleave(
        lambda: clients.run(ours, count, run.seconds), lambda: clients.run(floor, count, run.seconds), run.pairs
    )
    name = f"slice limit={limit}, {count} client{'s' if count > 1 else ''}, {run.service.workers} workers"
    p99_goal = round(1 / 1.5, 3) if count == max(CLIENTS) else None
    return [
        against_floor(name, "req/s", [(a.rate, b.rate) for a, b in pairs], goal=0.8),
        against_floor(f"{name}: p50", "ms", [(a.p50, b.p50) for a, b in pairs], None, less_is_better=True),
        against_floor(f"{name}: p99", "ms", [(a.p99, b.p99) for a, b in pairs], p99_goal, less_is_better=True),
    ]
