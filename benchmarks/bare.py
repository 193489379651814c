"""The floor of slices: the least web service that sends the same rows. One statement, prepared, no checks at all.

:func:`serve` starts it under its own uvicorn; ``BARE_DSN`` and ``BARE_SQL`` (JSON: statements by the name in the
address) say what to run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks import sample
from benchmarks.run import Run
from benchmarks.service import ServerProcess, free_port


async def _rows(request: Request) -> Response:
    app = request.app
    number = request.scope["query_string"]
    arguments = (int(number),) if number else ()
    # fetch, as fetchval asks for one row and PostgreSQL then takes no parallel workers
    rows = await app.state.pool.fetch(app.state.statements[request.path_params["name"]], *arguments)
    return Response(rows[0][0], media_type="application/json")


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
        app.state.statements = orjson.loads(os.environ["BARE_SQL"])
        yield


def create_app() -> Starlette:
    """The application of one worker: ``/<name>``, or ``/<name>?<number>`` for a statement with ``$1``."""
    return Starlette(routes=[Route("/{name}", _rows)], lifespan=_lifespan)


def serve(run: Run, statements: Mapping[str, str]) -> ServerProcess:
    """Start it with as many workers as the service. Enter it to have it stopped."""
    service, port = run.service, free_port()
    environment = {"BARE_DSN": service.dsn, "BARE_SQL": orjson.dumps(statements).decode()}
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.bare:create_app", "--no-access-log"]
    command += ["--log-level", "warning", "--port", str(port), "--workers", str(service.workers)]
    return ServerProcess(command, environment, port, f"/{next(iter(statements))}", service.folder / "bare.log")


def page(run: Run, resource: str, tail: str) -> str:
    """The statement for rows of a table of ``sample.py`` as JSON; ``tail`` is all that follows FROM."""
    columns = f"_id, {sample.COLUMNS}".replace(
        '"measured_at"', "to_char(measured_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS') AS measured_at"
    )
    rows = f"SELECT * FROM {run.service.sql_name(resource)} {tail}"
    return f"SELECT json_agg(r) FROM (SELECT {columns} FROM ({rows}) AS page) AS r"
