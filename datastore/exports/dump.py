"""Dumps: rows as a file of any format, streamed from one snapshot in constant memory.

A task of its own fills a short queue with what PostgreSQL sends; whoever takes the file's chunks drives the writer.
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
    try:
        rows = await coming.queue.get()
        if rows is None:
            await copying
        head = coming.opening()
        if head and coming.writer.threaded:
            yield head  # the first rows take a moment
            head = b""
        while rows is not None:
            yield head + await coming.written(rows)
            head = b""
            rows = await coming.queue.get()
        await copying  # raises what went wrong
        yield head + await coming.closing()
    finally:
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)
        coming.abandon()


@dataclass
class _Rows:
    """From a COPY through a queue to a writer."""

    opener: Opener
    format: Format
    options: Options
    stall_timeout: float
    count: Callable[[int], None] | None
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_CHUNKS))
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
        return await asyncio.to_thread(self.writer.feed, rows) if self.writer.threaded else self.writer.feed(rows)

    async def closing(self) -> bytes:
        """The end of the file."""
        return await asyncio.to_thread(self.writer.end) if self.writer.threaded else self.writer.end()

    def abandon(self) -> None:
        """Let go of a file, whether it is whole or not."""
        if self._writer is not None:
            self._writer.abandon()
