"""The outermost layer: request id, in-flight count, metrics, the log line, ``Server-Timing``, and the last resort for
errors that nobody handled.
"""

from __future__ import annotations

import os
import re
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datastore.http import envelope, logs, metrics
from datastore.http.exchange import JSON_TYPE, KEY, WHOLE, Exchange, Header, respond

_SANE_ID = re.compile(rb"[A-Za-z0-9._\-]{1,64}")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_NOSNIFF: Header = (b"x-content-type-options", b"nosniff")


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
            kind = message["type"]
            if kind == WHOLE:
                status, size = message["status"], len(message["body"])
                headers = [*message["headers"], *_told(exchange, perf_counter() - started)]
                await _send_whole(scope, send, status, headers, message["body"])
                return
            if kind == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_told(exchange, perf_counter() - started)]
            elif kind == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        metrics.begin()
        context = logs.request_id.set(exchange.id)
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
                method=scope["method"],
                path=scope["path"],
                action=exchange.action,
                status=status,
                ms=round(seconds * 1000, 2),
                bytes=size,
                user=exchange.user,
            )
            logs.request_id.reset(context)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return os.urandom(8).hex()


def _told(exchange: Exchange, total: float) -> tuple[Header, ...]:
    """The headers that this layer adds."""
    phases = "".join([f"{name};dur={seconds * 1000:.2f}, " for name, seconds in exchange.timings.items()])
    timing = f"{phases}total;dur={total * 1000:.2f}".encode()
    return (b"x-request-id", exchange.id.encode()), _NOSNIFF, (b"server-timing", timing)


async def _send_whole(scope: Scope, send: Send, status: int, headers: list[Header], body: bytes) -> None:
    """In one go if the server is ours (``writes.HttpProtocol``) and nothing stands against it, else as ASGI has it."""
    headers.append((b"content-length", b"%d" % len(body)))
    extension = scope.get("extensions", {}).get(WHOLE)
    if extension is None or not extension["send"](status, headers, body):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
