"""Prometheus metrics. Several workers share one folder, ``PROMETHEUS_MULTIPROC_DIR``; one worker needs none.

The command line sets the variable before it starts workers: prometheus_client reads it when it is imported. Every label
has few values: actions are those of the registry, ``unknown``, or empty for requests that are no action.
"""

from __future__ import annotations

import asyncio
import os
import re
from functools import lru_cache
from pathlib import Path

import asyncpg
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

import datastore
from datastore.postgres.database import Database
from datastore.postgres.reads import ReadPool

_FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
_REFRESH_SECONDS = 5.0
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

disable_created_metrics()  # type: ignore[no-untyped-call]
_requests = Counter("datastore_requests", "Requests answered.", ["action", "status"])
_seconds = Histogram(
    "datastore_request_duration_seconds", "Time to the end of the response.", ["action"], buckets=_BUCKETS
)
_in_flight = Gauge("datastore_requests_in_flight", "Requests being answered.", multiprocess_mode="livesum")
_connections = Gauge(
    "datastore_pool_connections",
    "Connections to PostgreSQL: open ones, idle ones among them, and the most that may be open.",
    ["pool", "state"],
    multiprocess_mode="livesum",
)
_started = Gauge(
    "datastore_start_time_seconds",
    "Unix time at which the service started; the uptime is time() minus this.",
    multiprocess_mode="livemin",
)
_version = Gauge("datastore_build_info", "1; the version is the label.", ["version"], multiprocess_mode="livemax")


def begin() -> None:
    """A request has come in."""
    _in_flight.inc()


def end(action: str, status: int, seconds: float) -> None:
    """It has been answered."""
    _in_flight.dec()
    count, duration = _of(action, status)
    count.inc()
    duration.observe(seconds)


@lru_cache(maxsize=4096)
def _of(action: str, status: int) -> tuple[Counter, Histogram]:
    """The metrics with their labels, looked up once."""
    return _requests.labels(action, status), _seconds.labels(action)


def start() -> None:
    """A worker starts: note when, and forget workers that died without saying so."""
    _started.set_to_current_time()
    _version.labels(datastore.__version__).set(1)
    if _FOLDER is not None:
        for path in Path(_FOLDER).glob("gauge_live*_*.db"):
            match = re.search(r"_(\d+)\.db$", path.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                mark_process_dead(int(match[1]))  # type: ignore[no-untyped-call]


def stop() -> None:
    """A worker stops: its gauges count no longer."""
    if _FOLDER is not None:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


def measure(database: Database) -> None:
    """Measure this worker's pools."""
    pools: dict[str, asyncpg.Pool | ReadPool] = {
        "owner": database.owner,
        "reader": database.reader,
        "public": database.public,
    }
    for name, pool in pools.items():
        _connections.labels(name, "open").set(pool.get_size())
        _connections.labels(name, "idle").set(pool.get_idle_size())
        _connections.labels(name, "max").set(pool.get_max_size())


async def keep_measuring(database: Database) -> None:
    """Measure the pools every few seconds, until cancelled: another worker may be the one that is asked."""
    while True:
        measure(database)
        await asyncio.sleep(_REFRESH_SECONDS)


def exposition() -> bytes:
    """All metrics of all workers, in the text format of Prometheus."""
    if _FOLDER is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
