"""Responses compressed the way their client prefers: zstd, br or gzip by ``Accept-Encoding``, quality values respected.

Levels are low: PostgreSQL makes text faster than a high level packs it. What takes longer than a moment is compressed
in a thread, so that nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datastore.http.exchange import STARTS, WHOLE, Header

VARY: Header = (b"vary", b"Accept-Encoding")
_AT_ONCE = 32 * 1024
"""Bytes that are compressed on the event loop: about 0.2 ms. A thread costs half of that."""
_TEXTS = frozenset(
    b"application/" + name
    for name in (
        *(b"json", b"geo+json", b"ld+json", b"x-ndjson", b"javascript", b"xml", b"rdf+xml", b"atom+xml", b"rss+xml"),
        *(b"xhtml+xml", b"manifest+json", b"vnd.apache.arrow.stream", b"vnd.apache.arrow.file"),
    )
) | {b"image/svg+xml"}
_UNTOUCHED_STATUSES = frozenset({204, 205, 206, 304})


class Coder(Protocol):
    """Compresses a stream piece by piece."""

    def add(self, data: bytes, flush: bool) -> bytes:
        """What comes out for ``data``; with ``flush`` everything that the reader needs for it."""

    def end(self) -> bytes:
        """The rest."""


class _Brotli:
    def __init__(self) -> None:
        self._compressor = brotli.Compressor(quality=1)

    def add(self, data: bytes, flush: bool) -> bytes:
        packed: bytes = self._compressor.process(data)
        return packed + self._compressor.flush() if flush else packed

    def end(self) -> bytes:
        packed: bytes = self._compressor.finish()
        return packed


class _Zstd:
    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1).compressobj()

    def add(self, data: bytes, flush: bool) -> bytes:
        packed = self._compressor.compress(data)
        return packed + self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) if flush else packed

    def end(self) -> bytes:
        return self._compressor.flush()


class _Gzip:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(level=1, wbits=31)

    def add(self, data: bytes, flush: bool) -> bytes:
        packed = self._compressor.compress(data)
        return packed + self._compressor.flush(zlib.Z_SYNC_FLUSH) if flush else packed

    def end(self) -> bytes:
        return self._compressor.flush()


CODERS: dict[str, Callable[[], Coder]] = {"zstd": _Zstd, "br": _Brotli, "gzip": _Gzip}
"""By the name of the coding, fastest first: so decides what a client likes equally."""


@lru_cache(maxsize=256)
def preferred(accept_encoding: str) -> str | None:
    """The coding that the client likes best of those that we have; None to send the answer as it is.

    RFC 9110, 12.5.3: ``*`` stands for those that are not named; 0 refuses. A client that refuses everything, the plain
    answer too, gets that. Among equals the fastest is chosen, and any of ours before the plain answer.
    """
    qualities: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name:
            qualities["gzip" if name == "x-gzip" else name] = _quality(parameters)
    others = qualities.get("*", 0.0)
    best = max(CODERS, key=lambda name: qualities.get(name, others))  # the first of equals
    quality = qualities.get(best, others)
    return best if quality > 0 and quality >= qualities.get("identity", 0.0) else None


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0


class Compress:
    """Pure ASGI middleware. Bodies below ``minimum_size`` stay as they are."""

    def __init__(self, app: ASGIApp, minimum_size: int) -> None:
        self.app = app
        self._minimum_size = minimum_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        accepted = [value for name, value in scope["headers"] if name == b"accept-encoding"]
        coding = preferred(b",".join(accepted).decode("latin-1")) if accepted else None
        if coding is None:

            async def plain(message: Message) -> None:
                if message["type"] in STARTS and _compressible(message):
                    message["headers"] = [*message["headers"], VARY]
                await send(message)

            await self.app(scope, receive, plain)
        else:
            await self.app(scope, receive, _Compressed(send, coding, self._minimum_size))


class _Compressed:
    """The ``send`` of a response that may be compressed: the start waits for the first piece of the body."""

    def __init__(self, send: Send, coding: str, minimum_size: int) -> None:
        self._send = send
        self._coding = coding
        self._minimum_size = minimum_size
        self._start: Message | None = None
        self._coder: Coder | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] in STARTS and _compressible(message):
            message["headers"] = [*message["headers"], VARY]
            if message["type"] == WHOLE:
                await self._pack(message)
            else:
                self._start = message
        elif self._start is not None and message["type"] == "http.response.body":
            start, self._start = self._start, None
            await self._first(start, message)
        elif self._coder is not None and message["type"] == "http.response.body":
            await self._next(self._coder, message, flush=False)
        else:
            await self._send(message)

    async def _pack(self, message: Message) -> None:
        """Send a response that is known as a whole."""
        if len(message["body"]) >= self._minimum_size:
            message["headers"] = self._changed(message["headers"])
            message["body"] = await _run(_whole, CODERS[self._coding](), message["body"])
        await self._send(message)

    def _changed(self, headers: list[Header]) -> list[Header]:
        """The headers of the compressed response, but for its length."""
        kept = [_weakened(header) for header in headers if header[0].lower() not in _CHANGED]
        return [*kept, (b"content-encoding", self._coding.encode())]

    async def _first(self, start: Message, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if len(body) < self._minimum_size and not more:
            await self._send(start)
            await self._send(message)
            return
        coder = CODERS[self._coding]()
        headers = self._changed(start["headers"])
        if more:
            self._coder = coder
            await self._send({**start, "headers": headers})
            # The client sees the beginning at once, however long the rest takes.
            await self._next(coder, message, flush=True)
        else:
            packed = await _run(_whole, coder, body)
            headers.append((b"content-length", b"%d" % len(packed)))
            await self._send({**start, "headers": headers})
            await self._send({"type": "http.response.body", "body": packed})

    async def _next(self, coder: Coder, message: Message, flush: bool) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if more:
            packed = await _run(coder.add, body, flush) if body else b""
            if not packed:
                return
        else:
            packed = await _run(_whole, coder, body)
        await self._send({"type": "http.response.body", "body": packed, "more_body": more})


_CHANGED = frozenset({b"content-length", b"accept-ranges"})


def _whole(coder: Coder, body: bytes) -> bytes:
    return coder.add(body, False) + coder.end()


async def _run(work: Callable[..., bytes], *arguments: object) -> bytes:
    """Compress here, or in a thread what takes longer."""
    if any(isinstance(argument, bytes) and len(argument) > _AT_ONCE for argument in arguments):
        return await asyncio.to_thread(work, *arguments)
    return work(*arguments)


def _weakened(header: Header) -> Header:
    """A strong ETag promises the same bytes, which a compressed body has not."""
    name, value = header
    return (name, b"W/" + value) if name.lower() == b"etag" and value.startswith(b'"') else header


def _compressible(start: Message) -> bool:
    """Text that is not compressed already. An answer without a body has no type, or its status says so."""
    if start["status"] in _UNTOUCHED_STATUSES:
        return False
    media_type = b""
    for name, value in start["headers"]:
        lower = name.lower()
        if lower == b"content-type":
            media_type = value
        elif lower in (b"content-encoding", b"content-range"):
            return False
    return _is_text(media_type)


@lru_cache(maxsize=256)
def _is_text(media_type: bytes) -> bool:
    kind = media_type.partition(b";")[0].strip().lower()
    return (kind.startswith(b"text/") and kind != b"text/event-stream") or kind in _TEXTS
