"""Three pools, one a role; write transactions with retry; the change messages that a commit sends; long reads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import asyncpg

from datastore.errors import Unavailable
from datastore.postgres.marks import Marks
from datastore.postgres.notifications import CHANNEL, Notifications
from datastore.postgres.quoting import literal
from datastore.postgres.reads import ReadPool
from datastore.postgres.sessions import connect_as_owner, connect_dumping, connect_reading, owner_pool, read_pool
from datastore.settings import Settings

Result = TypeVar("Result")
Item = TypeVar("Item")
_RETRIED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_ATTEMPTS = 8
_SIZE_KEPT = 60.0

CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionError,
    OSError,
)
"""What asyncpg raises when the server cannot be reached or has gone away."""


@dataclass(frozen=True, slots=True)
class Author:
    """On whose behalf a transaction writes."""

    id: str | None = None
    """The user; None for the anonymous visitor and for the service itself."""
    name: str = ""
    site_url: str = ""
    """Base of the addresses in what is kept of the written objects."""


NOBODY = Author()


@dataclass
class Transaction:
    """One write transaction of the owner: all writing functions of the engine and the catalog take it."""

    connection: asyncpg.Connection
    settings: Settings
    author: Author = NOBODY
    attempt: int = 1
    """Greater after a deadlock: then it is time to take locks in a fixed order."""
    runs_functions: bool = False
    """Functions that others wrote run in it: the session is cleaned afterwards."""
    changes: list[tuple[str, str]] = field(default_factory=list)
    last_words: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    gathered: dict[Callable[[Transaction, list[Any]], Awaitable[None]], list[Any]] = field(default_factory=dict)

    @property
    def actor(self) -> str:
        """The name of who acts, for functions of triggers."""
        return self.author.name

    def changed(self, kind: str, key: str) -> None:
        """Every worker drops ``key`` from its caches of ``kind`` when this transaction commits."""
        if (kind, key) not in self.changes:
            self.changes.append((kind, key))

    def gather(self, work: Callable[[Transaction, list[Item]], Awaitable[None]], items: Sequence[Item]) -> None:
        """Run ``work`` once before COMMIT, with all the items that this transaction gathered for it, in order."""
        if items:
            self.gathered.setdefault(work, []).extend(items)

    def before_commit(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` after everything else, just before COMMIT: for row locks that must be held for a moment only."""
        self.last_words.append(work)


class Database:
    """The pools of one worker. Make one with :meth:`connect`."""

    def __init__(
        self,
        dsn: str,
        settings: Settings,
        owner: asyncpg.Pool,
        reader: ReadPool,
        public: ReadPool,
        notifications: Notifications,
    ) -> None:
        self._dsn = dsn
        self._snapshots = asyncio.Semaphore(settings.dump_connections)
        self._size = (float("-inf"), 0)
        self.settings = settings
        self.owner = owner
        self.reader = reader
        self.public = public
        self.notifications = notifications

    @classmethod
    async def connect(cls, dsn: str, settings: Settings) -> Database:
        """Open the pools. ``dsn`` is the owner's address. Raises what asyncpg raises when it cannot connect."""
        owner = owner_pool(dsn, settings)
        reader, public = (read_pool(dsn, settings, role) for role in (settings.reader_role, settings.public_role))
        connect = partial(connect_as_owner, dsn, settings)
        database = cls(dsn, settings, owner, reader, public, Notifications(connect, Marks(settings.data_dir)))
        opened: list[asyncpg.Pool | ReadPool] = []
        try:
            await owner
            opened.append(owner)
            for pool in (reader, public):
                await pool.open()
                opened.append(pool)
            await database.notifications.start()
        except BaseException:
            for each in opened:
                each.terminate()
            raise
        return database

    @asynccontextmanager
    async def snapshots(self, public: bool, most: int) -> AsyncIterator[list[asyncpg.Connection]]:
        """Up to ``most`` connections for a long read, each in a read-only transaction without a time limit, all with
        one snapshot. One is waited for; further ones are those that are free at this moment.

        They belong to the role that may read public datasets only, or every dataset, and to no pool. Slow readers
        therefore never take the connections of quick ones. Raises :class:`Unavailable` when too many are open already.
        """
        try:
            await asyncio.wait_for(self._snapshots.acquire(), self.settings.connect_timeout)
        except TimeoutError:
            raise Unavailable("too many dumps at a time; try again") from None
        async with AsyncExitStack() as stack:
            stack.callback(self._snapshots.release)
            count = 1
            while count < most and not self._snapshots.locked():
                await self._snapshots.acquire()  # at once
                stack.callback(self._snapshots.release)
                count += 1
            connections = [await stack.enter_async_context(self._long_read(public)) for _ in range(count)]
            if count > 1:
                await self._share_snapshot(connections)
            yield connections

    @asynccontextmanager
    async def _long_read(self, public: bool) -> AsyncIterator[asyncpg.Connection]:
        role = self.settings.public_role if public else self.settings.reader_role
        connection = await connect_dumping(self._dsn, self.settings, role)
        try:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection
        finally:
            # There is nothing to commit, and a COPY that nobody wants ends with its connection. A ROLLBACK would have
            # to wait until that is over, and asyncpg may then miss its end.
            connection.terminate()

    async def _share_snapshot(self, connections: Sequence[asyncpg.Connection]) -> None:
        """Let transactions that have not read anything yet see the same. The reading roles may not do that alone."""
        async with (
            self.owner.acquire() as owner,
            owner.transaction(isolation="repeatable_read", readonly=True),
        ):
            name = await owner.fetchval("SELECT pg_export_snapshot()")
            for connection in connections:
                await connection.execute(f"SET TRANSACTION SNAPSHOT {literal(name)}")

    async def connect_reading(self, role: str, limits: Mapping[str, str]) -> asyncpg.Connection:
        """A connection of its own for one of the read-only roles, with further settings of its session."""
        return await connect_reading(self._dsn, self.settings, role, limits)

    async def size(self) -> int:
        """Bytes of the whole database, at most a minute old: PostgreSQL looks at every file of every table for it."""
        measured, size = self._size
        now = asyncio.get_running_loop().time()
        if now - measured > _SIZE_KEPT:
            size = await self.owner.fetchval("SELECT pg_database_size(current_database())")
            self._size = (now, size)
        return size

    async def close(self) -> None:
        """Wait for the statements in flight, then close every connection."""
        await self.notifications.stop()
        await asyncio.gather(self.owner.close(), self.reader.close(), self.public.close())

    async def write(self, work: Callable[[Transaction], Awaitable[Result]], author: Author = NOBODY) -> Result:
        """Run ``work`` in a transaction of the owner, again after a deadlock or serialization failure.

        All or nothing: whatever ``work`` raises rolls back. Messages about changes go out with the commit, and no
        cache on this machine has them any more when this returns. ``work`` must be safe to run more than once.
        Activities and the functions of triggers are told the ``author``.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._write_once(work, author, attempt)
            except (*_RETRIED, asyncpg.InternalServerError) as error:
                # What PostgreSQL says to DDL on a table whose index another session is just building.
                if isinstance(error, asyncpg.InternalServerError) and "concurrently" not in str(error):
                    raise
                if attempt == _ATTEMPTS:
                    raise Unavailable("too many concurrent changes; try again") from error
                await asyncio.sleep(random.uniform(0.005, 0.02) * 2**attempt)  # noqa: S311 -- jitter, not a secret
        raise AssertionError("unreachable")

    async def _write_once(
        self, work: Callable[[Transaction], Awaitable[Result]], author: Author, attempt: int
    ) -> Result:
        async with self.owner.acquire() as connection:
            transaction = Transaction(connection, self.settings, author, attempt)
            try:
                async with connection.transaction():
                    result = await _run(transaction, work)
            finally:
                if transaction.runs_functions and not connection.is_closed():
                    await _clean(connection)
        for kind, key in transaction.changes:
            self.notifications.announce(kind, key)
        return result


async def _run(transaction: Transaction, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
    connection = transaction.connection
    try:
        result = await work(transaction)
    except RuntimeError as error:
        # uvloop's word for a connection that broke in the middle of a COPY.
        if connection.is_closed():
            raise ConnectionError("lost in the middle of a COPY") from error
        raise
    for gathering, items in transaction.gathered.items():
        await gathering(transaction, items)
    for last in transaction.last_words:
        await last()
    if transaction.changes:
        payloads = [f"{kind}:{key}" for kind, key in transaction.changes]
        await connection.execute("SELECT pg_notify($1, payload) FROM unnest($2::text[]) payload", CHANNEL, payloads)
    return result


async def _clean(connection: asyncpg.Connection) -> None:
    """Undo what functions did to the session (settings, locks, cursors, temporary tables), or give it up."""
    try:
        await connection.execute(
            "SELECT pg_catalog.pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL; DISCARD TEMP"
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        connection.terminate()  # what was committed is committed
    except BaseException:
        connection.terminate()
        raise
