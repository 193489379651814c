"""Cross-origin requests: which other sites' pages may call the API."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datastore.http.exchange import STARTS, respond
from datastore.settings import Settings

_MAX_AGE = "600"


class Cors:
    """Pure ASGI middleware: answers preflights, and says on every response whether its ``Origin`` is allowed.

    Tokens travel in a header, never in a cookie, so ``*`` gives nothing away.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.allow_all = settings.cors_origin_allow_all
        self.origins = settings.cors_origins
        names = (settings.apitoken_header_name, "Content-Type", "Authorization", "X-CKAN-API-Key")
        self.allow_headers = ", ".join({name.lower(): name for name in names}.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (self.allow_all or self.origins):
            await self.app(scope, receive, send)
            return
        origin, preflight = "", False
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value.decode("latin-1")
            elif name == b"access-control-request-method":
                preflight = scope["method"] == "OPTIONS"

        async def answered(message: Message) -> None:
            if message["type"] in STARTS:
                self._allow(MutableHeaders(raw=message["headers"]), origin)
            await send(message)

        if preflight and origin:
            await respond(answered, 204, b"", ())
        elif origin or not self.allow_all:
            await self.app(scope, receive, answered)
        else:
            await self.app(scope, receive, send)

    def _allow(self, headers: MutableHeaders, origin: str) -> None:
        if not self.allow_all:
            headers.add_vary_header("Origin")
        if origin and (self.allow_all or origin in self.origins):
            headers["Access-Control-Allow-Origin"] = "*" if self.allow_all else origin
            headers["Access-Control-Allow-Methods"] = "POST, PUT, GET, DELETE, OPTIONS"
            headers["Access-Control-Allow-Headers"] = self.allow_headers
            headers["Access-Control-Max-Age"] = _MAX_AGE
