"""Prometheus metrics. Several workers share one folder, ``PROMETHEUS_MULTIPROC_DIR``; one worker needs none.

The command line sets the variable before it starts workers: prometheus_client reads it when it is imported. Every label
has few values: actions are those of the registry, ``unknown``, or empty for requests that are no action.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from bisect import bisect_left
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
_MOMENT = 0.1
"""Seconds after which other workers can tell what this one has counted."""
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


class _Answers:
    """What was answered to an action with a status since it was last written."""

    __slots__ = ("_buckets", "_count", "_counter", "_histogram", "_seconds")

    def __init__(self, action: str, status: int) -> None:
        self._counter = _requests.labels(action, status)
        self._histogram = _seconds.labels(action)
        self._count = 0
        self._seconds = 0.0
        self._buckets = [0] * (len(_BUCKETS) + 1)

    def add(self, seconds: float) -> None:
        self._count += 1
        self._seconds += seconds
        self._buckets[bisect_left(_BUCKETS, seconds)] += 1

    def write(self) -> None:
        """As Histogram.observe does for each of them, which has no way to take many."""
        if self._count:
            self._counter.inc(self._count)
            self._histogram._sum.inc(self._seconds)
            for bucket, count in zip(self._histogram._buckets, self._buckets, strict=True):
                if count:
                    bucket.inc(count)
            self._count, self._seconds, self._buckets = 0, 0.0, [0] * len(self._buckets)


class _Tally:
    """Counts in memory what comes within a moment, and writes it to the shared file then: each write costs as much as
    all else that is told of a request. The first of a moment is written at once.
    """

    def __init__(self) -> None:
        self._running = 0
        self._answers: dict[tuple[str, int], _Answers] = {}
        self._writing: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._running += 1
        if self._writing is None:
            self._write_now()

    def end(self, action: str, status: int, seconds: float) -> None:
        self._running -= 1
        answers = self._answers.get((action, status))
        if answers is None:
            answers = self._answers[action, status] = _Answers(action, status)
        answers.add(seconds)
        if self._writing is None:
            self._write_now()

    def write(self) -> None:
        """Bring the file up to date."""
        _in_flight.set(self._running)
        for answers in self._answers.values():
            answers.write()

    def _write_now(self) -> None:
        self.write()
        with contextlib.suppress(RuntimeError):  # outside of an event loop each is written
            self._writing = asyncio.get_running_loop().call_later(_MOMENT, self._write_later)

    def _write_later(self) -> None:
        self._writing = None
        self.write()


_tally = _Tally()


def begin() -> None:
    """A request has come in."""
    _tally.begin()


def end(action: str, status: int, seconds: float) -> None:
    """It has been answered."""
    _tally.end(action, status, seconds)


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
    _tally.write()
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
    _tally.write()
    if _FOLDER is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
