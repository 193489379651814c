"""Request bodies: read whole, inflated, and never larger than the limit, neither on the wire nor in memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard
from starlette.types import Receive

from datastore.errors import BadRequest, PayloadTooLarge

_STEP = 1024
"""Bytes inflated at once: what a bomb yields beyond the limit stays within 1 MB (gzip) or 32 MB (zstd)."""
_PIECE = 2**16
_MAX_MEMBERS = 10_000
_MAX_ZSTD_WINDOW = 8 * 2**20  # RFC 9659: what a receiver of Content-Encoding zstd must support, and may insist on
_MAX_CODINGS = 3


async def stream(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, still compressed.

    Raises :class:`PayloadTooLarge` beyond ``limit`` bytes, :class:`BadRequest` if the client stops in the middle.
    """
    announced = headers.get(b"content-length", b"0")
    if not announced.isdigit():
        raise BadRequest("Content-Length is not a number")
    if len(announced) > 18 or int(announced) > limit:
        raise _too_large(limit)
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the request body is not complete")
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if chunk:
            yield chunk


async def pieces(body: bytes) -> AsyncGenerator[bytes, None]:
    """A body that was read whole, as a stream again."""
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


async def read(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The whole body, inflated. Raises what :func:`stream` and :func:`inflate` raise."""
    chunks = [chunk async for chunk in stream(headers, receive, limit)]
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    coding = headers.get(b"content-encoding")
    if coding is None or not body:
        return body
    return await asyncio.to_thread(inflate, body, coding.decode("latin-1"), limit)


def inflate(body: bytes, codings: str, limit: int) -> bytes:
    """``body`` without its ``Content-Encoding``: a list of gzip, deflate, zstd, br, identity, applied in that order.

    Raises :class:`PayloadTooLarge` as soon as more than ``limit`` bytes come out, :class:`BadRequest` for a coding
    that is not known and for data that is damaged or ends early.
    """
    names = [name.strip().lower().removeprefix("x-") for name in codings.split(",")]
    if len(names) > _MAX_CODINGS:
        raise BadRequest("too many content codings")
    for name in reversed(names):
        if name in ("", "identity"):
            continue
        if name not in ("gzip", "deflate", "zstd", "br"):
            raise BadRequest(f"content coding not supported: {name}")
        try:
            body = _inflate_brotli(body, limit) if name == "br" else _inflate(_decoder(name, body), body, limit)
        except (zlib.error, zstandard.ZstdError, brotli.error):
            raise BadRequest(f"the body is not valid {name}") from None
    return body


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _decoder(name: str, body: bytes) -> Callable[[], _Decoder]:
    if name == "zstd":
        return zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW).decompressobj
    if name == "gzip":
        return lambda: zlib.decompressobj(wbits=31)
    # "deflate" is the zlib format (RFC 9110), but some clients send the bare stream.
    bare = len(body) < 2 or body[0] & 15 != 8 or int.from_bytes(body[:2], "big") % 31 != 0
    return lambda: zlib.decompressobj(wbits=-15 if bare else 15)


def _inflate(make: Callable[[], _Decoder], body: bytes, limit: int) -> bytes:
    """All members (gzip) or frames (zstd) of ``body``, one after the other."""
    pieces: list[bytes] = []
    size, members, decoder = 0, 1, make()
    for start in range(0, len(body), _STEP):
        data = body[start : start + _STEP]
        while data:
            if decoder.eof:
                members += 1
                if members > _MAX_MEMBERS:
                    raise BadRequest("the compressed body has too many members")
                decoder = make()
            piece = decoder.decompress(data)
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
            data = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise BadRequest("the compressed body is not complete")
    return b"".join(pieces)


def _inflate_brotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    data = decoder.process(body, output_buffer_limit=limit + 1)
    if len(data) > limit or not decoder.can_accept_more_data():
        raise _too_large(limit)
    if not decoder.is_finished():
        raise BadRequest("the compressed body is not complete")
    return bytes(data)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the request body is larger than {limit} bytes")
