"""For whoever runs the service: is it alive, is it ready, what does it measure."""

from __future__ import annotations

import asyncio

import asyncpg
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from datastore.actions.services import Services
from datastore.http import metrics
from datastore.postgres.database import CONNECTION_LOST

_PATIENCE = 2.0


async def alive(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "alive"})


async def ready(request: Request) -> Response:
    """The database answers within two seconds, else 503."""
    services: Services | None = getattr(request.app.state, "services", None)
    if services is not None and await _answers(services):
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "the database does not answer"}, 503, {"Retry-After": "2"})


async def _answers(services: Services) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await services.database.public.fetchval("SELECT true") is True
    except (*CONNECTION_LOST, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def exposition(request: Request) -> Response:
    """Prometheus metrics of all workers."""
    metrics.measure(request.app.state.services.database)
    return Response(metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def routes(*, with_metrics: bool) -> list[Route]:
    """``/livez``, ``/readyz`` and ``/metrics``."""
    found = [Route("/livez", alive), Route("/readyz", ready)]
    return [*found, Route("/metrics", exposition)] if with_metrics else found
