"""Dumps: rows as a file of any format, streamed from one snapshot in constant memory.

A task of its own fills a short queue with chunks of the file, made of what PostgreSQL sends. Where making them takes
long, it is done in a thread while further rows are read and earlier chunks are sent.
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
"""Chunks that may wait for a slow client: what a dump holds in memory."""
_PIECE = 512 * 1024
"""Bytes of a chunk, at most. Larger ones take longer to send: each copy on the way is of memory that is new."""


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
    chunks = _chunks(_File(opener, format, options, stall_timeout, count))
    first = await anext(chunks)  # every format has something to say of no rows, but ndjson
    return _resumed(first, chunks)


async def _resumed(first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        yield first
        async for chunk in chunks:
            yield chunk


async def _chunks(file: _File) -> AsyncGenerator[bytes, None]:
    """The file, as soon as its first rows have come; at least one chunk, which may be empty."""
    writing = asyncio.create_task(file.write())
    try:
        while (chunk := await file.chunks.get()) is not None:
            yield chunk
        await writing  # raises what went wrong
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        file.abandon()


@dataclass
class _File:
    """From a COPY through a writer to a queue."""

    opener: Opener
    format: Format
    options: Options
    stall_timeout: float
    count: Callable[[int], None] | None
    chunks: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_CHUNKS))
    _writer: Writer | None = None
    _begun: bool = False
    _feeding: asyncio.Task[None] | None = None

    async def write(self) -> None:
        """Fill the queue, and end it with None, whether it worked or not."""
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
            if self._feeding is not None:
                await self._feeding
            head = self._head(writer)
            await self._give(head + (await _in_thread(writer.end) if writer.threaded else writer.end()))
            await self.chunks.put(None)
        except BaseException:
            # Nobody wants the rest: make room for the end, behind which the reader finds what went wrong.
            while not self.chunks.empty():
                self.chunks.get_nowait()
            self.chunks.put_nowait(None)
            raise
        finally:
            if self._feeding is not None:
                self._feeding.cancel()
                await asyncio.gather(self._feeding, return_exceptions=True)

    async def _put(self, rows: bytes) -> None:
        """Further rows. What takes a thread goes on while the next ones are read, and those before are sent."""
        if self.count is not None:
            self.count(rows.count(b"\n"))
        if self._writer is None:
            raise RuntimeError("rows came without a writer")
        head = self._head(self._writer)
        if not self._writer.threaded:
            await self._give(head + self._writer.feed(rows))
            return
        if self._feeding is not None:
            await self._feeding
        elif head:
            await self._give(head)  # the first rows take a moment
        self._feeding = asyncio.create_task(self._feed(self._writer, rows))

    async def _feed(self, writer: Writer, rows: bytes) -> None:
        if chunk := await _in_thread(writer.feed, rows):
            await self._give(chunk)

    async def _give(self, chunk: bytes) -> None:
        for at in range(0, len(chunk) or 1, _PIECE):
            # A client that takes nothing must not hold a snapshot, and its connection, for ever.
            async with asyncio.timeout(self.stall_timeout):  # unlike wait_for, it never misses a cancellation
                await self.chunks.put(chunk[at : at + _PIECE])

    def _head(self, writer: Writer) -> bytes:
        """The beginning of the file, the first time."""
        if self._begun:
            return b""
        self._begun = True
        return (BOM if self.options.bom else b"") + writer.begin()

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
