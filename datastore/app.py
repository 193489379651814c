"""The web application: routes, middleware, start-up and shutdown; nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from datastore.actions.services import Services
from datastore.api import dump
from datastore.api.conditional import ConditionalDumps
from datastore.api.endpoint import ActionEndpoint
from datastore.api.routes import not_found, routes
from datastore.http import logs, metrics
from datastore.http.compression import Compress
from datastore.http.cors import Cors
from datastore.http.observe import Observe
from datastore.postgres.embedded import connection_dsn
from datastore.settings import Settings

ACTIONS = "/api/3/action/"


class Application(Starlette):
    """Starlette, but for the calls of actions: they need neither its router nor its handlers of errors, which take a
    fifth of the time that a small slice has.
    """

    actions: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"].startswith(ACTIONS):
            scope["app"] = self
            scope["path_params"] = {"name": scope["path"][len(ACTIONS) :]}
            await self.actions(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None, services: Services | None = None) -> Starlette:
    """The application of one worker. ``services`` that are given are the caller's to close.

    Otherwise they are opened at start-up, at ``settings.database_url`` or the running embedded server.
    """
    settings = settings or Settings()
    layers = [
        Middleware(Observe),
        Middleware(Cors, settings=settings),
        Middleware(Compress, minimum_size=settings.compress_min_size),
    ]
    app = Application(
        routes=[*routes(settings), *dump.routes],
        middleware=[*layers, Middleware(ConditionalDumps, settings=settings)],
        exception_handlers={HTTPException: not_found},
        lifespan=_lifespan,
    )
    app.actions = ActionEndpoint(settings)
    for layer in reversed(layers):
        app.actions = layer.cls(app.actions, *layer.args, **layer.kwargs)
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.services = services
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    logs.configure(settings)
    metrics.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(metrics.stop)
        services: Services | None = app.state.services
        if services is None:
            services = await Services.open(settings.database_url or connection_dsn(settings), settings)
            stack.push_async_callback(services.close)
            services.jobs.start()
            app.state.services = services
        measuring = asyncio.create_task(metrics.keep_measuring(services.database))
        stack.callback(measuring.cancel)
        spare_the_collector()
        yield


def spare_the_collector() -> None:
    """What lives from the start is never garbage, and decoding many records would set off the collector in vain."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
