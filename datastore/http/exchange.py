"""One HTTP exchange: what the log, the metrics and ``Server-Timing`` say about it, and how its response is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from starlette.types import Scope, Send

from datastore.settings import Settings

Header = tuple[bytes, bytes]
KEY = "datastore.exchange"
WHOLE = "datastore.response"
"""Type of a message between our own layers: a response that is known as a whole, with ``status``, ``headers`` (without
its length) and ``body``. It passes each layer once, and ``observe.Observe`` makes of it what ASGI knows.
"""
STARTS = frozenset({"http.response.start", WHOLE})
"""Types of messages that have the headers of a response."""
JSON_TYPE: Header = (b"content-type", b"application/json;charset=utf-8")
_PIECE = 2**18
_HOST_CHARACTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")


@dataclass(slots=True)
class Exchange:
    """Made for every request by ``observe.Observe``, filled by whoever answers it."""

    id: str
    """The request id, of the client or our own."""
    action: str = ""
    """Name of the registered action, ``unknown`` for a name that is none, empty for everything else."""
    user: str = ""
    """Name of the user who asked; empty for anonymous visitors."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by phase."""


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that this request belongs to."""
    return cast(Exchange, scope[KEY])


async def answer(send: Send, status: int, body: bytes, headers: list[Header]) -> None:
    """Send a whole response through our own layers. A large body goes as :func:`respond` sends it."""
    if len(body) > 2 * _PIECE:
        await respond(send, status, body, headers)
    else:
        await send({"type": WHOLE, "status": status, "headers": headers, "body": body})


async def respond(send: Send, status: int, body: bytes, headers: Iterable[Header] = (JSON_TYPE,)) -> None:
    """Send a whole response. A large body goes in pieces, so that compressing it does not hold up everybody else."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    if len(body) > 2 * _PIECE:
        for start in range(0, len(body), _PIECE):
            await send({"type": "http.response.body", "body": body[start : start + _PIECE], "more_body": True})
            await asyncio.sleep(0)
        body = b""
    await send({"type": "http.response.body", "body": body})


def site_url(scope: Scope, settings: Settings) -> str:
    """Public address of the site, without a final slash: the setting, else as the client addressed us.

    Behind a proxy the scheme comes from ``X-Forwarded-Proto`` through uvicorn's ``proxy_headers``.
    """
    if settings.site_url:
        return settings.site_url
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return _address(scope.get("scheme", "http"), host, scope.get("root_path", ""), scope.get("server"))


@lru_cache(maxsize=1024)
def _address(scheme: str, host: bytes, root_path: str, server: tuple[str, int | None] | None) -> str:
    if not host or not _HOST_CHARACTERS.issuperset(host):
        name, port = server or ("localhost", None)
        host = f"{name}:{port}".encode() if port else name.encode()
    return f"{scheme}://{host.decode('latin-1')}{root_path}".rstrip("/")
