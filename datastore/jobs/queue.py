"""The queue of jobs: enqueue, list, show, cancel. One row of ``datastore.jobs`` is one job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction

CHANGED = "jobs"
"""Kind of the change message that there is something to do; its key is the name of the queue."""

DEFAULT_QUEUE = "default"


@dataclass(frozen=True, slots=True)
class Request:
    """A job that is wanted."""

    kind: str
    key: str
    """What it is about. While a job of this kind and key waits, no second one is made: that one is changed."""
    title: str
    """What it does, for people."""
    parameters: Mapping[str, Any] | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    """Jobs of a higher one begin first."""
    delay: float = 0.0
    """Seconds from now before which it does not begin. A later request for the same begins to count anew."""
    attempts: int = 3
    """How often it is tried at most."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is stored."""

    id: str
    queue: str
    kind: str
    key: str
    title: str
    parameters: dict[str, Any]
    priority: int
    created: datetime
    """Naive UTC."""
    due: datetime
    state: str
    """``waiting``, ``running``, ``done`` or ``failed``; one that has failed is tried no more."""
    attempts: int
    """How often it was begun."""
    most_attempts: int
    error: str | None
    """Why the last attempt failed."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a job said."""

    timestamp: datetime
    level: str
    message: str


_ENQUEUE = """
    INSERT INTO datastore.jobs (queue, kind, key, title, parameters, priority, due, most_attempts)
    VALUES ($1, $2, $3, $4, $5::jsonb, $6, now() + make_interval(secs => $7), $8)
    ON CONFLICT (kind, key) WHERE state = 'waiting' DO UPDATE
    SET queue = excluded.queue, title = excluded.title, parameters = excluded.parameters,
        priority = excluded.priority, due = excluded.due, most_attempts = excluded.most_attempts, attempts = 0
    RETURNING id
"""


async def enqueue(tx: Transaction, request: Request) -> str:
    """Let the job be done once this transaction has committed; its id.

    The row of a job that waits already stays locked until then, so call it as late as possible
    (:meth:`Transaction.before_commit`).
    """
    job_id = await tx.connection.fetchval(
        _ENQUEUE,
        request.queue,
        request.kind,
        request.key,
        request.title,
        json.dumps(request.parameters or {}),
        request.priority,
        request.delay,
        request.attempts,
    )
    tx.changed(CHANGED, request.queue)
    return str(job_id)


_COLUMNS = "id, queue, kind, key, title, parameters, priority, created, due, state, attempts, most_attempts, error"


def as_job(row: asyncpg.Record) -> Job:
    """The job of a row."""
    values = {name: row[name] for name in _COLUMNS.split(", ")}
    return Job(**{**values, "parameters": json.loads(row["parameters"])})


async def list_jobs(
    pool: asyncpg.Pool, queues: Sequence[str] | None = None, limit: int | None = None, *, over: bool = False
) -> list[Job]:
    """The jobs that wait or run, those of ``queues`` if given, oldest first; with ``over`` also those that are kept
    though they are done or have failed."""
    rows = await pool.fetch(
        f"""
        SELECT {_COLUMNS} FROM datastore.jobs
        WHERE (state IN ('waiting', 'running') OR $3) AND ($1::text[] IS NULL OR queue = ANY ($1::text[]))
        ORDER BY created, number
        LIMIT $2::bigint
        """,
        None if queues is None else list(queues),
        limit,
        over,
    )
    return [as_job(row) for row in rows]


async def find_job(pool: asyncpg.Pool, job_id: str) -> Job:
    """A job, also one that is over as long as it is kept. Raises :class:`NotFound`."""
    row = await pool.fetchrow(f"SELECT {_COLUMNS} FROM datastore.jobs WHERE id = $1", job_id)
    if row is None:
        raise NotFound(f"Job not found: {job_id}")
    return as_job(row)


async def job_log(pool: asyncpg.Pool, job_id: str) -> list[Line]:
    """What a job has said so far, in order."""
    rows = await pool.fetch(
        "SELECT timestamp, level, message FROM datastore.job_logs WHERE job_id = $1 ORDER BY number", job_id
    )
    return [Line(**row) for row in rows]


async def cancel(tx: Transaction, job_id: str) -> None:
    """Remove a job, unless it has begun. Raises :class:`NotFound`, and :class:`ValidationError` ``id`` if it runs."""
    state = await tx.connection.fetchval("SELECT state FROM datastore.jobs WHERE id = $1 FOR UPDATE", job_id)
    if state is None:
        raise NotFound(f"Job not found: {job_id}")
    if state == "running":
        raise ValidationError({"id": ["The job has begun already"]})
    await tx.connection.execute("DELETE FROM datastore.jobs WHERE id = $1", job_id)


async def clear(tx: Transaction, queues: Sequence[str] | None = None) -> list[str]:
    """Remove the jobs of ``queues``, or of all, that have not begun; the names of the queues that were cleared."""
    rows = await tx.connection.fetch(
        """
        DELETE FROM datastore.jobs
        WHERE state = 'waiting' AND ($1::text[] IS NULL OR queue = ANY ($1::text[]))
        RETURNING queue
        """,
        None if queues is None else list(queues),
    )
    return sorted({row["queue"] for row in rows}) if queues is None else list(dict.fromkeys(queues))
