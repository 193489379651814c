"""A portal of its own: an empty database and a server, for tests that move a whole site."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import uvicorn

from datastore.accounts.tokens import ensure_sysadmin
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.app import create_app
from datastore.postgres.hardening import harden
from datastore.postgres.migrate import migrate
from datastore.postgres.roles import ensure_roles
from datastore.settings import Settings
from tests.conftest import ADMIN_TOKEN


@dataclass
class Portal:
    """A running site with nothing in it but the sysadmin ``admin``."""

    address: str
    services: Services

    async def do(self, name: str, /, **parameters: Any) -> Any:
        """The result of an action, called by the sysadmin."""
        actor = await self.services.tokens.actor(ADMIN_TOKEN)
        return await run(name, Call(self.services, actor, self.address), parameters)


@asynccontextmanager
async def portal(server_url: str, settings: Settings) -> AsyncIterator[Portal]:
    """Start one on a database of its own, which is gone afterwards."""
    name = f"portal_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(server_url)
    await server.execute(f'CREATE DATABASE "{name}"')
    try:
        async with _running(urlsplit(server_url)._replace(path=f"/{name}").geturl(), settings) as running:
            yield running
    finally:
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await server.close()


@asynccontextmanager
async def _running(dsn: str, settings: Settings) -> AsyncIterator[Portal]:
    connection = await asyncpg.connect(dsn)
    await harden(connection, await connection.fetchval("SELECT current_user::text"))
    await ensure_roles(connection, settings)
    await migrate(connection, settings)
    await connection.close()
    services = await Services.open(dsn, settings)
    await services.database.write(lambda tx: ensure_sysadmin(tx, "admin", ADMIN_TOKEN))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, services), port=0, lifespan="off", log_level="warning"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- it offers no event
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Portal(f"http://127.0.0.1:{port}", services)
    server.should_exit = True
    await task
    await services.close()
