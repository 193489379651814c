"""News from the database: which cached things changed, sent by NOTIFY in the changing transaction.

Each worker holds one listening connection. A message is ``kind:key``; every subscriber of the kind is called with the
key, or with ``None`` when messages may have been missed and everything must be dropped. Messages take a moment; the
marks of :mod:`datastore.postgres.marks` do not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from datastore.postgres.marks import Marks

CHANNEL = "datastore_changes"
Subscriber = Callable[[str | None], None]
log = structlog.get_logger(__name__)


class Notifications:
    """Dispatches the messages of one worker's listening connection to its caches."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], marks: Marks) -> None:
        self._connect = connect
        self.marks = marks
        self._subscribers: dict[str, list[Subscriber]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self.listening = False
        """False while messages may be missed: caches must not keep anything then."""

    def subscribe(self, kind: str, subscriber: Subscriber) -> None:
        """Call ``subscriber`` for every message of ``kind``."""
        self._subscribers[kind].append(subscriber)

    def announce(self, kind: str, key: str) -> None:
        """Tell all workers of this machine at once; used after a commit of its own, before it is acknowledged."""
        self.marks.change(kind, key)
        self._dispatch(kind, key)

    def _dispatch(self, kind: str, key: str | None) -> None:
        for subscriber in self._subscribers[kind]:
            subscriber(key)

    async def start(self) -> None:
        """Listen, now and again after every loss of the connection, until :meth:`stop`."""
        connection = await self._listen()
        self._task = asyncio.create_task(self._keep(connection))

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> asyncpg.Connection:
        connection = await self._connect()
        self._lost.clear()
        connection.add_termination_listener(lambda _: self._lost.set())
        await connection.add_listener(CHANNEL, self._received)
        self._drop_everything()
        self.listening = True
        return connection

    async def _keep(self, connection: asyncpg.Connection) -> None:
        try:
            while True:
                await self._lost.wait()
                self.listening = False
                self._drop_everything()
                log.warning("notifications_lost")
                while not self.listening:
                    try:
                        connection = await self._listen()
                    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                        await asyncio.sleep(0.2)
        finally:
            self.listening = False
            connection.terminate()

    def _received(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        kind, _, key = payload.partition(":")
        self._dispatch(kind, key)

    def _drop_everything(self) -> None:
        for kind in self._subscribers:
            self._dispatch(kind, None)
