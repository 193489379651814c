"""How responses reach the socket: each in one write, and one that is known as a whole in one step.

Uvicorn writes the head of a response when it starts and the body when it comes, and uvloop makes each write a system
call at once. The first one wakes the client for a head without a body: with a small answer that takes a quarter of the
worker's time, and more on the client's side.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from typing import Any, cast
from weakref import ref

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from datastore.http.exchange import WHOLE, Header

_ALWAYS_NEW = frozenset({b"x-request-id", b"server-timing", b"content-length"})
"""Headers of which it would be in vain to remember the line."""


class JoinedWrites:
    """A transport that holds the head of a response back until its body comes, or until the event loop's next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self.is_closing = transport.is_closing

    def write_whole(self, data: bytes) -> None:
        """Send a response that is complete."""
        self.flush()
        self._transport.write(data)

    def write(self, data: bytes) -> None:
        """Send ``data``, behind the head if it waits; a head waits."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send a head that waits: there is no body, or it takes time."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Close when everything has been sent."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with :class:`JoinedWrites`. Its requests offer :data:`WHOLE` as an extension of ASGI: a
    function of status, headers and body that sends them, or does nothing and returns False.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport, self.loop)))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # The cycle holds the scope: held by it in turn, both would wait for the garbage collector.
        cycle.scope["extensions"] = {WHOLE: {"send": partial(_send_whole, ref(cycle))}}
        super()._start_asgi_task(cycle, app)


def _send_whole(request: ref[RequestResponseCycle], status: int, headers: list[Header], body: bytes) -> bool:
    """What two calls of ``cycle.send`` do with the start and the body of a response, in a third of their time.

    ``headers`` have the length of the body and say nothing about the connection. Whatever is not the usual is left to
    uvicorn: HEAD, connections that are to be closed or have gone, a client that does not keep up.
    """
    cycle = request()
    if (
        cycle is None
        or cycle.response_started
        or cycle.disconnected
        or not cycle.keep_alive
        or cycle.flow.write_paused
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    lines = [
        _line.__wrapped__(name, value) if name in _ALWAYS_NEW else _line(name, value)
        for name, value in (*cycle.default_headers, *headers)
    ]
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cast(JoinedWrites, cycle.transport).write_whole(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
    cycle.message_event.set()
    cycle.on_response()
    return True


@lru_cache(maxsize=4096)
def _line(name: bytes, value: bytes) -> bytes:
    """The line of a header. Raises :class:`RuntimeError` for what would be another line, as uvicorn does."""
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError(f"Invalid HTTP header: {name!r}")
    return b"%s: %s\r\n" % (name.lower(), value)
