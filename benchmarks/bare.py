"""The floor of slices: the least web service that sends the same rows. One statement, prepared, no checks at all.

Started by ``slice.py`` under its own uvicorn; ``BARE_DSN`` and ``BARE_SQL`` (with the limit as ``$1``) say what to run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def _rows(request: Request) -> Response:
    body = await request.app.state.pool.fetchval(os.environ["BARE_SQL"], request.path_params["limit"])
    return Response(body, media_type="application/json")


async def _no_reset(_connection: asyncpg.Connection) -> None: ...


async def _json_as_bytes(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("json", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    session = {"jit": "off", "default_transaction_read_only": "on"}
    async with asyncpg.create_pool(
        os.environ["BARE_DSN"],
        min_size=1,
        max_size=8,
        max_inactive_connection_lifetime=0,
        init=_json_as_bytes,
        reset=_no_reset,
        server_settings=session,
    ) as pool:
        app.state.pool = pool
        yield


def create_app() -> Starlette:
    """The application of one worker: ``/<limit>``."""
    return Starlette(routes=[Route("/{limit:int}", _rows)], lifespan=_lifespan)
