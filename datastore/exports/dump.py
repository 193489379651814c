"""Dumps: rows as a file of any format, streamed from one snapshot in constant memory.

A task of its own fills a short queue with what PostgreSQL sends, and another one makes chunks of the file of it: while
one of them is sent, the next is being made, and PostgreSQL is ahead of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from datastore.errors import ValidationError
from datastore.exports.formats import Format
from datastore.exports.rows import Opener
from datastore.exports.writer import BOM, Options, Writer
from datastore.postgres.copy_out import copy_in_turns, copy_out

_CHUNKS = 8
"""Chunks of rows that may wait for a slow client: what a dump holds in memory."""
_PIECE = 512 * 1024
"""Bytes that are sent at a time, at most: the copies on their way then fit into memory that is at hand."""


class TooManyRows(Exception):
    """There are more rows than may be sent: what was sent is not all."""


async def start(
    opener: Opener,
    format: Format,
    options: Options,
    stall_timeout: float,
    count: Callable[[int], None] | None = None,
) -> AsyncGenerator[bytes, None]:
    """Begin to write rows out; gives the chunks of the file.

    The first chunk is there when this returns, so whatever PostgreSQL has against the query is raised here. A later
    error breaks the iteration. Closing the iterator stops the query. A client that takes nothing for
    ``stall_timeout`` seconds is given up. ``count`` is told, about, how many rows have come now and then.

    Raises :class:`ValidationError` for options or rows that the format does not take, what ``opener`` raises, and
    :class:`asyncpg.PostgresError`.
    """
    if options.bom and not format.text:
        raise ValidationError({"bom": [f"{format.name} is not text"]})
    if options.crlf and not format.lines:
        raise ValidationError({"eol": ["only csv and tsv have it"]})
    chunks = _chunks(_Rows(opener, format, options, stall_timeout, count))
    first = await anext(chunks)  # every format has something to say of no rows, but ndjson
    return _resumed(first, chunks)


async def _resumed(first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        yield first
        async for chunk in chunks:
            yield chunk


async def _chunks(coming: _Rows) -> AsyncGenerator[bytes, None]:
    """The file, as soon as the first rows have come; at least one chunk, which may be empty."""
    copying = asyncio.create_task(coming.copy())
    writing = asyncio.create_task(coming.write(copying))
    try:
        while (chunk := await coming.ready.get()) is not None:
            for at in range(0, len(chunk) or 1, _PIECE):
                yield chunk[at : at + _PIECE]
        await writing  # raises what went wrong
    finally:
        copying.cancel()
        writing.cancel()
        await asyncio.gather(copying, writing, return_exceptions=True)
        coming.abandon()


@dataclass
class _Rows:
    """From a COPY through a queue to a writer, and through another to whoever sends: all three work at a time."""

    opener: Opener
    format: Format
    options: Options
    stall_timeout: float
    count: Callable[[int], None] | None
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_CHUNKS))
    ready: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(1))
    """Chunks of the file, and None behind the last one, or where :meth:`write` has failed."""
    _writer: Writer | None = None

    async def copy(self) -> None:
        """Run the COPY into the queue, and end it with None, whether it worked or not."""
        try:
            async with self.opener() as (connection, rows):
                self._writer = writer = await self.format.writer(connection, rows, self.options)
                if rows.split is not None:
                    connections, conditions = rows.split.connections, rows.split.conditions
                    await copy_in_turns(connections, writer.copy, conditions, self._put, writer.batch)
                else:
                    count = await copy_out(connection, writer.copy, self._put, writer.batch)
                    if rows.most is not None and count > rows.most:
                        raise TooManyRows(f"more than {rows.most} rows")
            await self.queue.put(None)
        except BaseException:
            # Nobody wants the rest: make room for the end, behind which the reader finds what went wrong.
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)
            raise

    async def write(self, copying: asyncio.Task[None]) -> None:
        """Make chunks of the rows. Raises what the COPY raised."""
        try:
            rows = await self.queue.get()
            if rows is None:
                await copying
            head = self.opening()
            if head and self.writer.threaded:
                await self.ready.put(head)  # the first rows take a moment
                head = b""
            while rows is not None:
                if chunk := head + await self.written(rows):
                    await self.ready.put(chunk)
                head = b""
                rows = await self.queue.get()
            await copying
            await self.ready.put(head + await self.closing())
            await self.ready.put(None)
        except Exception:  # but not a cancellation: nobody takes anything any more then
            await self.ready.put(None)
            raise

    async def _put(self, rows: bytes) -> None:
        if self.count is not None:
            self.count(rows.count(b"\n"))
        # A client that takes nothing must not hold a snapshot, and its connection, for ever.
        async with asyncio.timeout(self.stall_timeout):  # unlike wait_for, it never misses a cancellation
            await self.queue.put(rows)

    @property
    def writer(self) -> Writer:
        """The writer of the format, which there is once rows have come or the COPY has ended well."""
        if self._writer is None:
            raise RuntimeError("rows came without a writer")
        return self._writer

    def opening(self) -> bytes:
        """The beginning of the file."""
        return (BOM if self.options.bom else b"") + self.writer.begin()

    async def written(self, rows: bytes) -> bytes:
        """Further rows in the file."""
        return await _in_thread(self.writer.feed, rows) if self.writer.threaded else self.writer.feed(rows)

    async def closing(self) -> bytes:
        """The end of the file."""
        return await _in_thread(self.writer.end) if self.writer.threaded else self.writer.end()

    def abandon(self) -> None:
        """Let go of a file, whether it is whole or not."""
        if self._writer is not None:
            self._writer.abandon()


async def _in_thread(work: Callable[..., bytes], *arguments: bytes) -> bytes:
    """The result of ``work``. It is over when this is, also when this is cancelled."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(working)
    finally:
        await asyncio.wait([working])
