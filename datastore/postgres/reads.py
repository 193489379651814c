"""A pool of connections for reads of one statement each, which hands out a free one at next to no cost.

asyncpg's own pool takes 40 to 50 µs of CPU to lend a connection and to take it back (a proxy object, a shielded task):
as much as the rest of a small read. Here lending is taking from a list. Session state is never reset: see database.py.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

_MOST_USES = 50_000
"""A connection is then replaced: a server process remembers every table that it ever read."""


class ReadPool:
    """At most ``size`` connections made by ``connect``, opened when needed; the last one given back is lent first.

    A statement raises what asyncpg raises; waiting for a free connection has no time limit.
    """

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._idle: list[asyncpg.Connection] = []
        self._uses: dict[asyncpg.Connection, int] = {}
        self._generic: set[asyncpg.Connection] = set()
        """Those whose session plans a statement once, whatever its arguments; the others plan for each value."""
        self._opening = 0
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._closed = False

    async def open(self) -> None:
        """Open the first connection, so that one that cannot be had is told at the start."""
        self._give(await self._take())

    async def fetch(self, statement: str, *arguments: Any, generic: bool = False) -> list[asyncpg.Record]:
        """The rows of a statement. ``generic``: one plan is good for all values that its arguments may have.

        PostgreSQL then plans it once a connection; else each time, for the values.
        """
        connection = await self._take(generic)
        try:
            if arguments and generic is not (connection in self._generic):
                await self._switch(connection, generic)
            return await _fetch(connection, statement, arguments)
        finally:
            self._give(connection)

    async def fetchval(self, statement: str, *arguments: Any, generic: bool = False) -> Any:
        """The first value of the first row; None without rows."""
        rows = await self.fetch(statement, *arguments, generic=generic)
        return rows[0][0] if rows else None

    async def execute(self, statement: str, *arguments: Any) -> str:
        """Run a statement; its command tag."""
        async with self.acquire() as connection:
            return str(await connection.execute(statement, *arguments))

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for several statements, which leave its session as they found it."""
        connection = await self._take()
        try:
            if connection in self._generic:
                await self._switch(connection, False)
            yield connection
        finally:
            self._give(connection)

    async def _switch(self, connection: asyncpg.Connection, generic: bool) -> None:
        mode = "force_generic_plan" if generic else "force_custom_plan"
        await connection.execute(f"SET plan_cache_mode = {mode}")
        (self._generic.add if generic else self._generic.discard)(connection)

    async def _take(self, generic: bool = False) -> asyncpg.Connection:
        while True:
            if self._closed:
                raise asyncpg.InterfaceError("the pool is closed")
            while self._idle:
                connection = self._idle.pop(self._best(generic))
                if not connection.is_closed():
                    return connection
                self._forget(connection)
            if len(self._uses) + self._opening < self._size:
                return await self._opened()
            handed = await self._turn()
            if handed is not None:
                return handed

    def _best(self, generic: bool) -> int:
        """Which of the idle connections to take: one that need not be switched, the last if all must be."""
        for number in range(len(self._idle) - 1, -1, -1):
            if (self._idle[number] in self._generic) is generic:
                return number
        return -1

    def _forget(self, connection: asyncpg.Connection) -> None:
        del self._uses[connection]
        self._generic.discard(connection)

    async def _opened(self) -> asyncpg.Connection:
        self._opening += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._wake_one()  # whoever waits may try as well
            raise
        finally:
            self._opening -= 1
        self._uses[connection] = 0
        return connection

    async def _turn(self) -> asyncpg.Connection | None:
        """Wait for a connection, which is ours then; None if one may be opened instead."""
        waiter: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # it was our turn: pass it on
                handed = waiter.result()
                if handed is None:
                    self._wake_one()
                else:
                    self._give(handed)
            raise

    def _give(self, connection: asyncpg.Connection) -> None:
        self._uses[connection] += 1
        worn = self._uses[connection] >= _MOST_USES
        if self._closed or worn or connection.is_closed() or connection.is_in_transaction():
            self._forget(connection)
            connection.terminate()
            self._wake_one()
        elif not self._wake_one(connection):
            self._idle.append(connection)

    def _wake_one(self, connection: asyncpg.Connection | None = None) -> bool:
        """Let the one go on who waits longest, with the connection: if it lay idle, somebody might come before."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                if not self._closed:
                    return True
        return False

    def get_size(self) -> int:
        """Open connections."""
        return len(self._uses)

    def get_idle_size(self) -> int:
        """Open connections that nobody uses."""
        return len(self._idle)

    def get_max_size(self) -> int:
        """The most connections that may be open."""
        return self._size

    async def close(self) -> None:
        """Lend no more, wait for the statements in flight, then close every connection."""
        self._closed = True
        self._wake_one()
        while len(self._uses) + self._opening > len(self._idle):
            await self._turn()
        await asyncio.gather(*(connection.close() for connection in self._uses))

    def terminate(self) -> None:
        """Close every connection at once."""
        self._closed = True
        self._wake_one()
        for connection in self._uses:
            connection.terminate()


async def _fetch(connection: asyncpg.Connection, statement: str, arguments: tuple[Any, ...]) -> list[asyncpg.Record]:
    """``connection.fetch``, but for a statement that the connection has prepared without the six calls in between,
    which guard against what a pool does not do, and take a third of the time of a small read.
    """
    prepared = connection._stmt_cache.get((statement, asyncpg.Record, False))
    if prepared is not None:
        try:
            return await connection._protocol.bind_execute(prepared, arguments, "", 0, False, None)  # type: ignore[no-any-return]
        except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError):
            pass  # it knows what to do then
    return await connection.fetch(statement, *arguments)  # type: ignore[no-any-return]
