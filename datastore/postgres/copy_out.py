"""COPY of a statement's rows out of PostgreSQL: in batches, and by several connections at a time.

PostgreSQL writes 8 KB at a time, and asyncpg wakes its reader for each of them: 15,000 turns of the event loop for a
million rows take more time than all that is then done with the bytes. So the reader rests for a moment whenever little
has come. PostgreSQL goes on writing meanwhile, into the socket's buffer of some 200 KB, and the next read takes it all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import asyncpg

Sink = Callable[[bytes], Awaitable[None]]
"""Takes whole rows; while it does, no more are read."""

_FIRST = 64 * 1024
"""Bytes of the first batch, at most: whoever waits for the beginning gets it soon, and it comes without a rest."""
_LITTLE = 64 * 1024
_REST = 0.001
"""Seconds in which PostgreSQL writes about 100 KB. uvloop's clock knows no shorter ones."""
_AHEAD = 2 * 2**20
"""Bytes that a connection may be ahead of its turn, about."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY in PostgreSQL's CSV format."""

    query: str
    header: bool = False
    delimiter: str = ","
    quote: str = '"'


async def copy_out(
    connection: asyncpg.Connection, copy: Copy, sink: Sink, batch: int, *, beginning: bool = True
) -> int:
    """Give the rows to ``sink``, about ``batch`` bytes at a time; the number of rows.

    ``beginning``: somebody waits for the first of them, which come sooner then.
    Raises asyncpg's errors, ConnectionError if the connection was lost, and what ``sink`` raises, which stops the COPY.
    """
    parts: list[bytes] = []
    size, wanted = 0, min(batch, _FIRST) if beginning else batch

    async def collect(data: bytes) -> None:
        nonlocal size, wanted
        parts.append(data)
        size += len(data)
        if size >= wanted:
            rows = b"".join(parts)
            parts.clear()
            size, wanted = 0, batch
            await sink(rows)
        elif wanted == batch and len(data) < _LITTLE:
            await asyncio.sleep(_REST)

    try:
        status = await connection.copy_from_query(
            copy.query, output=collect, format="csv", header=copy.header, delimiter=copy.delimiter, quote=copy.quote
        )
    except asyncpg.InternalClientError as error:  # the server said good-bye between two COPYs
        raise ConnectionError("PostgreSQL ended the connection") from error
    if parts:
        await sink(b"".join(parts))
    return int(status.split()[-1])


async def copy_in_turns(
    connections: Sequence[asyncpg.Connection], copy: Copy, conditions: Sequence[str], sink: Sink, batch: int
) -> None:
    """Give the rows of ``copy`` under each of the conditions to ``sink``, in this order.

    The connections take turns at the conditions, and each reads ahead while the rows of another are given. Raises what
    :func:`copy_out` raises; connections that were in the middle of a COPY are then closed.
    """
    copies = [
        replace(copy, query=f"{copy.query} WHERE {condition}", header=copy.header and number == 0)
        for number, condition in enumerate(conditions)
    ]
    count = len(connections)
    queues: list[asyncio.Queue[bytes | None]] = [asyncio.Queue(max(1, _AHEAD // batch)) for _ in connections]
    lanes = [
        asyncio.create_task(_lane(connection, copies[number::count], queues[number], batch, beginning=number == 0))
        for number, connection in enumerate(connections)
    ]
    try:
        for number in range(len(copies)):
            while (rows := await _next(queues[number % count], lanes[number % count])) is not None:
                await sink(rows)
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


async def _lane(
    connection: asyncpg.Connection,
    copies: Sequence[Copy],
    queue: asyncio.Queue[bytes | None],
    batch: int,
    *,
    beginning: bool,
) -> None:
    try:
        for copy in copies:
            await copy_out(connection, copy, queue.put, batch, beginning=beginning)
            await queue.put(None)
            beginning = False
    except BaseException:
        connection.terminate()  # before more comes, which asyncpg would not expect any more
        raise


async def _next(queue: asyncio.Queue[bytes | None], lane: asyncio.Task[None]) -> bytes | None:
    """What comes next from a lane; None at the end of a COPY. Raises what ended the lane too early."""
    if queue.empty():
        coming = asyncio.ensure_future(queue.get())
        try:
            await asyncio.wait((coming, lane), return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
        finally:
            coming.cancel()
        if queue.empty():
            await lane
            raise RuntimeError("a COPY ended before its rows were taken")
    return queue.get_nowait()
