"""The outermost layer: request id, in-flight count, metrics, the log line, ``Server-Timing``, and the last resort for
errors that nobody handled.
"""

from __future__ import annotations

import re
import secrets
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datastore.api import envelope, logs, metrics
from datastore.api.exchange import JSON_TYPE, KEY, Exchange, respond

_SANE_ID = re.compile(rb"[A-Za-z0-9._\-]{1,64}")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_NOSNIFF = (b"x-content-type-options", b"nosniff")


class Observe:
    """Pure ASGI middleware around everything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        exchange = scope[KEY] = Exchange(_request_id(scope))
        status, size = 0, 0

        async def observed(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", exchange.id.encode()),
                    _NOSNIFF,
                    (b"server-timing", _server_timing(exchange.timings, perf_counter() - started)),
                ]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        metrics.begin()
        context = structlog.contextvars.bind_contextvars(request_id=exchange.id)
        try:
            await self.app(scope, receive, observed)
        except Exception as error:
            failure = envelope.failure(error)
            if status:
                # Too late to say so: the server closes the connection, and the client sees that the body is cut.
                raise
            await respond(observed, failure.status, failure.body, (JSON_TYPE, *failure.headers))
        finally:
            seconds = perf_counter() - started
            metrics.end(exchange.action, status, seconds)
            logs.request(
                "error" if status >= 500 else "debug" if scope["path"] in _QUIET else "info",
                request_id=exchange.id,
                method=scope["method"],
                path=scope["path"],
                action=exchange.action,
                status=status,
                ms=round(seconds * 1000, 2),
                bytes=size,
                user=exchange.user,
            )
            structlog.contextvars.reset_contextvars(**context)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return secrets.token_hex(8)


def _server_timing(timings: dict[str, float], total: float) -> bytes:
    phases = [f"{name};dur={seconds * 1000:.2f}" for name, seconds in timings.items()]
    return ", ".join([*phases, f"total;dur={total * 1000:.2f}"]).encode()
