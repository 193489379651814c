"""The addresses under ``/api``, those for operating, and the answer for addresses that are none."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from datastore.api import operating
from datastore.api.endpoint import METHODS, ActionEndpoint
from datastore.http.envelope import dumps
from datastore.http.exchange import JSON_TYPE, respond
from datastore.settings import Settings


class Version:
    """ASGI application that names the version of the API at its address."""

    def __init__(self, version: int) -> None:
        self.body = dumps({"version": version})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            await respond(send, 204, b"", (METHODS,))
        elif scope["method"] in ("GET", "HEAD", "POST"):
            await respond(send, 200, self.body)
        else:
            raise HTTPException(405, headers={"Allow": METHODS[1].decode()})


def routes(settings: Settings) -> list[Route]:
    """Every route of the wire, likeliest first. None of them redirects: clients of the API do not follow."""
    call = ActionEndpoint(settings)
    versions = {"/api": 1, "/api/1": 1, "/api/2": 2, "/api/3": 3}
    return [
        Route("/api/3/action/{name:path}", call),
        Route("/api/action/{name:path}", call),
        *(Route(path + slash, Version(number)) for path, number in versions.items() for slash in ("", "/")),
        *operating.routes(with_metrics=settings.metrics),
    ]


async def not_found(_request: Request, error: Exception) -> Response:
    """404 and 405 of the router, as a JSON string like every answer that is no envelope."""
    if not isinstance(error, HTTPException):
        raise error
    headers = {**(error.headers or {}), "Content-Type": JSON_TYPE[1].decode()}
    return Response(dumps(error.detail), error.status_code, headers)
