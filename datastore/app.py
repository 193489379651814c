"""The web application: routes, middleware, start-up and shutdown; nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette_compress import CompressMiddleware, add_compress_type

from datastore.actions.services import Services
from datastore.api import dump, logs, metrics
from datastore.api.cors import Cors
from datastore.api.observe import Observe
from datastore.api.routes import not_found, routes
from datastore.postgres.embedded import connection_dsn
from datastore.settings import Settings

for content_type in ("text/csv", "text/tab-separated-values", "application/x-ndjson"):
    add_compress_type(content_type)


def create_app(settings: Settings | None = None, services: Services | None = None) -> Starlette:
    """The application of one worker. ``services`` that are given are the caller's to close.

    Otherwise they are opened at start-up, at ``settings.database_url`` or the running embedded server.
    """
    settings = settings or Settings()
    app = Starlette(
        routes=[*routes(settings), *dump.routes],
        middleware=[
            Middleware(Observe),
            Middleware(Cors, settings=settings),
            Middleware(
                CompressMiddleware,
                minimum_size=settings.compress_min_size,
                zstd_level=1,
                brotli_quality=1,
                gzip_level=1,
            ),
        ],
        exception_handlers={HTTPException: not_found},
        lifespan=_lifespan,
    )
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
            app.state.services = services
        measuring = asyncio.create_task(metrics.keep_measuring(services.database))
        stack.callback(measuring.cancel)
        _spare_the_collector()
        yield


def _spare_the_collector() -> None:
    """What lives from the start is never garbage, and decoding many records would set off the collector in vain."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
