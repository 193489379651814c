"""Working off the queue: every worker of the service takes jobs, some at a time, each on a connection of its own.

That session holds the lock on the job (see ``sql/0009_jobs.sql``). So nobody else begins the job while its process
lives, and somebody does as soon as it is gone, without heartbeats and without a time to wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import structlog

from datastore.jobs.queue import CHANGED, Job, as_job
from datastore.postgres.database import CONNECTION_LOST, Database
from datastore.postgres.notifications import CHANNEL
from datastore.postgres.sessions import connect_as_owner

log = structlog.get_logger(__name__)

_POLL = 30.0
"""Seconds after which the queue is looked at though nobody said that there is something: whose process was killed has
told nobody."""
_HERD = 0.1
"""Most seconds until a worker looks, so that not all of them connect for one job."""
_RETRY = 10.0
"""Seconds until a job that has failed is tried again; four times as many after each further failure."""
_LONGEST_RETRY = 3600.0
_FAILED_KEPT = 30 * 86400.0
"""Seconds for which a job that has failed for good is kept."""
_PURGE = 3600.0

_BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, *CONNECTION_LOST)

# How PostgreSQL notices that the process at the other end is gone: within seconds also while a statement runs, within a
# minute if its machine is gone.
_SESSION = {
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True, slots=True)
class Work:
    """A job that this worker does now."""

    job: Job
    connection: asyncpg.Connection
    """The owner's, for this job alone, without time limits. When it is lost, so is the claim to the job: the work is
    cancelled."""
    database: Database

    async def note(self, level: str, message: str) -> None:
        """Say something in the job's log (``info``, ``warning``, ``error``), for all to see at once."""
        await self.database.owner.execute(
            "INSERT INTO datastore.job_logs (job_id, level, message) VALUES ($1, $2, $3)", self.job.id, level, message
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job."""

    name: str
    function: Callable[[Work], Awaitable[None]]
    """Does it. It may run more than once for a job: after a failure, and after its process was killed."""
    kept: float = 0.0
    """Seconds for which a job that is done can still be shown, with its log."""


class Jobs:
    """Works off the queue in one worker, from :meth:`start` to :meth:`close`."""

    def __init__(self, dsn: str, database: Database) -> None:
        self._dsn = dsn
        self._database = database
        self._kinds: dict[str, Kind] = {}
        self._slots: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._purged = float("-inf")
        database.notifications.subscribe(CHANGED, lambda _queue: self._wake.set())

    def register(self, kind: Kind) -> None:
        """Do jobs of this kind. Raises :class:`ValueError` if there is one of that name."""
        if kind.name in self._kinds:
            raise ValueError(f"kind of jobs registered twice: {kind.name}")
        self._kinds[kind.name] = kind

    def start(self) -> None:
        """Begin, with the jobs that a killed process has left."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Give up the jobs that run, for others to begin anew, and take no more."""
        if self._task is not None:
            await _cancelled(self._task)
        await asyncio.gather(*(_cancelled(slot) for slot in list(self._slots)))

    # Looking

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wait = 1.0
            try:
                ready, wait = await self._look()
                while ready and len(self._slots) < self._database.settings.job_slots:
                    ready -= 1
                    self._open_slot()
            except _BROKEN as error:
                log.warning("jobs_not_looked_for", error=repr(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # wait_for may swallow a cancellation
                    await self._wake.wait()
            await asyncio.sleep(random.uniform(0, _HERD))  # noqa: S311 -- no secret

    async def _look(self) -> tuple[int, float]:
        """How many jobs can begin, and after how many seconds to look again."""
        now = asyncio.get_running_loop().time()
        pool = self._database.owner
        if now - self._purged > _PURGE:
            await pool.execute("DELETE FROM datastore.jobs WHERE expires < now()")
            self._purged = now
        row = await pool.fetchrow(
            """
            SELECT (SELECT count(*) FROM datastore.ready_jobs WHERE kind = ANY ($1::text[])) AS ready,
                   (SELECT extract(epoch FROM min(due) - now())::float8 FROM datastore.jobs
                    WHERE state = 'waiting' AND due > now() AND kind = ANY ($1::text[])) AS next
            """,
            list(self._kinds),
        )
        return row["ready"], _POLL if row["next"] is None else min(_POLL, row["next"])

    # Working

    def _open_slot(self) -> None:
        slot = asyncio.create_task(self._work_off())
        self._slots.add(slot)
        slot.add_done_callback(self._slots.discard)

    async def _work_off(self) -> None:
        """Do one job after the other until there is none, all on one connection."""
        try:
            connection = await connect_as_owner(self._dsn, self._database.settings, _SESSION)
        except _BROKEN as error:
            log.warning("jobs_not_begun", error=repr(error))
            return
        slot = asyncio.current_task()

        def lost(_connection: object) -> None:
            if slot is not None:
                slot.cancel()

        connection.add_termination_listener(lost)
        begun: Job | None = None
        try:
            while row := await connection.fetchrow("SELECT * FROM datastore.begin_job($1)", list(self._kinds)):
                begun = as_job(row)
                await self._do(Work(begun, connection, self._database))
                begun = None
                self._wake.set()  # what waited for this one, or came while all were at work
        except asyncio.CancelledError:
            connection.remove_termination_listener(lost)
            connection.terminate()  # the lock goes with the session; only then may others begin
            if begun is not None:
                await self._give_back(begun)
            raise
        except _BROKEN as error:
            log.warning("jobs_broken_off", error=repr(error))
        finally:
            connection.remove_termination_listener(lost)
            connection.terminate()

    async def _do(self, work: Work) -> None:
        job = work.job
        if job.attempts > job.most_attempts:
            await self._fail(job, "its process ended each time", None)
            return
        log.info("job_begun", **_described(job))
        try:
            await self._kinds[job.kind].function(work)
        except Exception as error:
            await self._retry(job, error)
        else:
            await self._finish(job)

    async def _finish(self, job: Job) -> None:
        kept = self._kinds[job.kind].kept
        if kept:
            await self._set(job, "state = 'done', error = NULL, expires = now() + make_interval(secs => $3)", kept)
        else:
            await self._database.owner.execute(f"DELETE FROM datastore.jobs WHERE {_MINE}", job.id, job.attempts)
        # What failed before is of no interest any more.
        await self._database.owner.execute(
            "DELETE FROM datastore.jobs WHERE kind = $1 AND key = $2 AND state = 'failed'", job.kind, job.key
        )
        log.info("job_done", **_described(job))

    async def _retry(self, job: Job, error: Exception) -> None:
        if job.attempts >= job.most_attempts:
            await self._fail(job, repr(error), error)
            return
        delay = min(_RETRY * 4 ** (job.attempts - 1), _LONGEST_RETRY)
        log.warning("job_attempt_failed", **_described(job), again_in=delay, exc_info=error)
        await self._wait_again(job, job.attempts, delay, repr(error))

    async def _fail(self, job: Job, reason: str, error: Exception | None) -> None:
        log.error("job_failed", **_described(job), reason=reason, exc_info=error)
        assignments = "state = 'failed', error = $3, expires = now() + make_interval(secs => $4)"
        await self._set(job, assignments, reason, _FAILED_KEPT)

    async def _give_back(self, job: Job) -> None:
        try:
            await self._wait_again(job, job.attempts - 1, 0.0, job.error)
            await self._database.owner.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{CHANGED}:{job.queue}")
        except _BROKEN as error:  # then it is found by its lock, which nobody holds
            log.warning("job_not_given_back", **_described(job), error=repr(error))

    async def _wait_again(self, job: Job, attempts: int, delay: float, error: str | None) -> None:
        assignments = "state = 'waiting', attempts = $3, due = now() + make_interval(secs => $4), error = $5"
        try:
            await self._set(job, assignments, attempts, delay, error)
        except asyncpg.UniqueViolationError:
            # Somebody has asked for the same meanwhile.
            await self._database.owner.execute(f"DELETE FROM datastore.jobs WHERE {_MINE}", job.id, job.attempts)

    async def _set(self, job: Job, assignments: str, *values: object) -> None:
        await self._database.owner.execute(
            f"UPDATE datastore.jobs SET {assignments} WHERE {_MINE}", job.id, job.attempts, *values
        )


# As nobody else has begun it since.
_MINE = "id = $1 AND attempts = $2 AND state = 'running'"


def _described(job: Job) -> dict[str, str]:
    return {"job": job.id, "kind": job.kind, "key": job.key}


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
