"""Where statements run: connections of their own, of the least role, so that they never take those of searches.

A statement about public tables runs as the role that may read nothing else. One that reads further datasets runs as a
role that may read just these besides: it is made when such a statement first comes, and nobody logs in as it.
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import structlog

from datastore.errors import Unavailable
from datastore.postgres.database import Database, Transaction
from datastore.postgres.quoting import identifier
from datastore.postgres.reads import ReadPool

log = structlog.get_logger(__name__)


class Sandbox:
    """The connections for statements of one worker, opened when needed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        settings = database.settings
        limits = {
            "statement_timeout": f"{int(settings.sql_timeout * 1000)}ms",
            "lock_timeout": "5s",
            "default_transaction_read_only": "on",
            "standard_conforming_strings": "on",
            "work_mem": f"{settings.sql_work_mem // 1024}kB",
            "max_parallel_workers_per_gather": "0",
            "idle_in_transaction_session_timeout": f"{int(settings.sql_timeout * 1000) + 5000}ms",
        }
        self._pools = {
            public: ReadPool(partial(self._connect, role, limits), settings.sql_connections)
            for public, role in ((True, settings.public_role), (False, settings.reader_role))
        }
        self._free = {public: asyncio.Semaphore(settings.sql_connections) for public in self._pools}
        self._roles: dict[frozenset[str], str] = {}
        self.told: set[str] = set()
        """What was said once in the log, by the names of the events."""

    async def _connect(self, role: str, limits: dict[str, str]) -> asyncpg.Connection:
        settings = self._database.settings
        connection = await self._database.connect_reading(role, limits)
        try:
            await connection.execute(f"SET temp_file_limit = '{settings.sql_temp_limit // 1024}kB'")
        except asyncpg.InsufficientPrivilegeError:
            self._tell("sql_temp_limit_not_set", hint=f"GRANT SET ON PARAMETER temp_file_limit TO {identifier(role)}")
        if settings.database_url is None:
            _limit_memory(connection.get_server_pid(), settings.sql_max_memory)
        return connection

    def _tell(self, event: str, **details: str) -> None:
        """Log what the connections lack, once."""
        if event not in self.told:
            self.told.add(event)
            log.warning(event, **details)

    async def close(self) -> None:
        """Close the connections after the statements in flight."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    @asynccontextmanager
    async def transaction(
        self, private: frozenset[str], isolation: str = "read_committed"
    ) -> AsyncIterator[asyncpg.Connection]:
        """A read-only transaction of the role that may read public datasets and the ``private`` ones, by id.

        Raises :class:`Unavailable` when no connection becomes free in time.
        """
        role = await self._role(private) if private else None
        public = role is None
        try:
            await asyncio.wait_for(self._free[public].acquire(), self._database.settings.sql_timeout)
        except TimeoutError:
            raise Unavailable("too many statements at a time; try again") from None
        try:
            async with (
                self._pools[public].acquire() as connection,
                connection.transaction(isolation=isolation, readonly=True),
            ):
                if role is not None:
                    await connection.execute(f"SET LOCAL ROLE {identifier(role)}")
                yield connection
        finally:
            self._free[public].release()

    async def _role(self, datasets: frozenset[str]) -> str:
        """The role that may read these datasets and the public ones."""
        role = self._roles.get(datasets)
        if role is None:
            settings = self._database.settings
            digest = hashlib.sha256("\n".join(sorted(datasets)).encode()).hexdigest()[:16]
            role = f"{settings.role_prefix}_sql_{digest}"
            await self._make(role, datasets)
            self._roles[datasets] = role
        return role

    async def _make(self, role: str, datasets: frozenset[str]) -> None:
        async def work(tx: Transaction) -> None:
            # Roles belong to the whole server, so another instance may be about to make the same one.
            await tx.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", role)
            name = identifier(role)
            if not await tx.connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
                await tx.connection.execute(f"CREATE ROLE {name} NOLOGIN INHERIT")
            await tx.connection.execute(f"GRANT {identifier(tx.settings.public_role)} TO {name}")
            await tx.connection.execute(f"GRANT {name} TO {identifier(tx.settings.reader_role)}")
            for dataset in sorted(datasets):
                await tx.connection.execute(f"GRANT USAGE ON SCHEMA {identifier(dataset)} TO {name}")

        try:
            await self._database.write(work)
        except (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError):
            await self._database.write(work)
        log.info("sql_role_made", role=role, datasets=len(datasets))


def _limit_memory(process: int, most: int) -> None:
    """Let a process of our own PostgreSQL have less memory than all of them may (see ``cluster.py``).

    In a container nobody may limit a process of another account: all of them have the other limit then.
    """
    try:
        resource.prlimit(process, resource.RLIMIT_DATA, (most, most))
    except (OSError, ValueError) as error:
        log.debug("sql_memory_not_limited", reason=str(error))
