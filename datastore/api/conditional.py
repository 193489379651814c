"""Dumps that a client has already: tags around ``/datastore/dump/<id>``, whatever makes the dump inside."""

from __future__ import annotations

from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datastore.accounts.permissions import may_read_dataset
from datastore.actions.freshness import NotModified, moves
from datastore.actions.services import Services
from datastore.http.caching import Caching
from datastore.http.exchange import Header, respond, site_url
from datastore.http.identity import identify
from datastore.postgres.database import CONNECTION_LOST
from datastore.settings import Settings
from datastore.tables import registry

_PREFIX = "/datastore/dump/"


class ConditionalDumps:
    """Pure ASGI middleware: 304 for a dump that has not changed, else the headers by which caches may keep it.

    The version is read before the dump takes its snapshot, so a dump is never older than its tag says.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._caching = Caching(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not scope["path"].startswith(_PREFIX):
            await self.app(scope, receive, send)
            return
        try:
            modified, headers = await self._look(scope)
        except CONNECTION_LOST:
            modified, headers = True, []  # the dump says so in its own words
        if not modified:
            await respond(send, 304, b"", headers)
            return

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self.app(scope, receive, tagged)

    async def _look(self, scope: Scope) -> tuple[bool, list[Header]]:
        """Whether the client has to be sent the dump, and the headers of the answer in both cases."""
        services: Services = scope["app"].state.services
        headers, query = dict(scope["headers"]), scope["query_string"].decode("latin-1")
        actor = await identify(headers, services)
        freshness = self._caching.freshness(headers, f"{site_url(scope, services.settings)} {scope['path']}?{query}")
        schema = await services.schemas.get(scope["path"].removeprefix(_PREFIX))
        if schema is not None and may_read_dataset(actor, schema.access) and not moves(unquote_plus(query)):
            try:
                await freshness.check(services.database, schema, actor)
            except NotModified:
                return False, self._caching.headers(freshness, actor)
            freshness.keep(schema, await registry.version(services.database, schema), actor)
        return True, self._caching.headers(freshness, actor)
