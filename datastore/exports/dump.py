"""Dumps: a whole table, or what a search finds, streamed from one snapshot in constant memory.

PostgreSQL writes the text; it passes through as the bytes that arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import asyncpg

from datastore.errors import NotFound
from datastore.postgres.database import Database
from datastore.tables.schema import TableSchema
from datastore.tables.search import COPY_FORMATS, Plan

MEDIA_TYPES = {"csv": "text/csv", "tsv": "text/tab-separated-values"}
BOM = b"\xef\xbb\xbf"

_CHUNK = 128 * 1024
_CHUNKS = 8
"""Chunks that may wait for a slow client: what a dump holds in memory."""


async def start(database: Database, schema: TableSchema, plan: Plan, bom: bool = False) -> AsyncIterator[bytes]:
    """Begin a dump in the plan's format (csv or tsv), with a header line; gives its chunks.

    The first chunk is there when this returns, so whatever PostgreSQL has against the query is raised here. A later
    error breaks the iteration. Closing the iterator stops the query. Raises :class:`NotFound`,
    :class:`asyncpg.PostgresError`.
    """
    chunks = _chunks(database, schema, plan)
    try:
        first = await anext(chunks, b"")
    except asyncpg.UndefinedTableError:
        raise NotFound("DataStore resource not found") from None
    return _resumed(BOM + first if bom else first, chunks)


async def _resumed(first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(chunks):
        yield first
        async for chunk in chunks:
            yield chunk


async def _chunks(database: Database, schema: TableSchema, plan: Plan) -> AsyncGenerator[bytes, None]:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS)
    copying = asyncio.create_task(_copy(database, schema, plan, queue))
    try:
        while (chunk := await queue.get()) is not None:
            yield chunk
        await copying  # raises what went wrong
    finally:
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)


async def _copy(database: Database, schema: TableSchema, plan: Plan, queue: asyncio.Queue[bytes | None]) -> None:
    """Run the COPY into the queue, and end it with None, whether it worked or not."""
    pending = bytearray()

    async def put(chunk: bytes) -> None:
        # A client that takes nothing must not hold a snapshot, and its connection, for ever.
        await asyncio.wait_for(queue.put(chunk), database.settings.dump_stall_timeout)

    async def collect(data: bytes) -> None:
        pending.extend(data)
        if len(pending) >= _CHUNK:
            await put(bytes(pending))
            pending.clear()

    try:
        if plan.records is None or plan.copy_format is None:
            raise ValueError("not a plan for a dump")
        async with database.snapshot(schema.public) as connection:
            await connection.copy_from_query(
                plan.records,
                output=collect,
                format="csv",
                header=True,
                delimiter=COPY_FORMATS[plan.copy_format],
            )
        if pending:
            await put(bytes(pending))
        await queue.put(None)
    except BaseException:
        # Nobody wants the rest: make room for the end, behind which the reader finds what went wrong.
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
        raise
