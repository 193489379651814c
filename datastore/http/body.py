"""Request bodies: read whole or spooled to a file, inflated, and never larger than the limit, neither on the wire nor
in memory."""

from __future__ import annotations

import asyncio
import tempfile
import zlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import BinaryIO, Protocol

import brotli  # type: ignore[import-untyped]
import zstandard
from starlette.types import Receive

from datastore.errors import BadRequest, PayloadTooLarge

_STEP = 1024
"""Bytes inflated at once: what a bomb yields beyond the limit stays within 1 MB (gzip) or 32 MB (zstd)."""
_PIECE = 2**16
_SPOOLED = 2**18
"""Bytes that are written to a file at once."""
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


async def read(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes | bytearray:
    """The whole body, inflated. Raises what :func:`stream` and :class:`Inflater` raise."""
    # It grows in place: to keep the chunks and join them in the end takes twice the memory, and to get that from the
    # system takes longer than all the rest.
    body: bytes | bytearray = b""
    async for chunk in stream(headers, receive, limit):
        if not body:
            body = chunk
        else:
            body = bytearray(body) if isinstance(body, bytes) else body
            body += chunk
    coding = headers.get(b"content-encoding")
    if coding is None or not body:
        return body
    return await asyncio.to_thread(inflate, body, coding.decode("latin-1"), limit)


def inflate(body: bytes | bytearray, codings: str, limit: int) -> bytes:
    """``body`` without its ``Content-Encoding``. Raises what :class:`Inflater` raises."""
    inflater = Inflater(codings, limit)
    pieces = list(inflater.feed(bytes(body)))
    inflater.finish()
    return b"".join(pieces)


async def spool(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> tuple[BinaryIO, int]:
    """The body, inflated, in a temporary file without a name, with its size. Whoever gets the file closes it.

    Raises what :func:`stream` and :class:`Inflater` raise.
    """
    inflater = Inflater(headers.get(b"content-encoding", b"").decode("latin-1"), limit)
    file = tempfile.TemporaryFile()  # noqa: SIM115 -- it is given away
    try:
        waiting: list[bytes] = []
        size = 0
        async for chunk in stream(headers, receive, limit):
            waiting.append(chunk)
            size += len(chunk)
            if size >= _SPOOLED:
                await asyncio.to_thread(_write, file, inflater, waiting)
                waiting, size = [], 0
        await asyncio.to_thread(_write, file, inflater, waiting)
        inflater.finish()
        file.flush()
        return file, file.tell()
    except BaseException:
        file.close()
        raise


def _write(file: BinaryIO, inflater: Inflater, chunks: list[bytes]) -> None:
    for chunk in chunks:
        for piece in inflater.feed(chunk):
            file.write(piece)


class Inflater:
    """Takes a body apart that has a ``Content-Encoding``: a list of gzip, deflate, zstd, br, identity.

    Raises :class:`PayloadTooLarge` as soon as more than ``limit`` bytes come out, :class:`BadRequest` for a coding
    that is not known and for data that is damaged or ends early.
    """

    def __init__(self, codings: str, limit: int) -> None:
        names = [name.strip().lower().removeprefix("x-") for name in codings.split(",")]
        if len(names) > _MAX_CODINGS:
            raise BadRequest("too many content codings")
        self._stages: list[_Stage] = []
        for name in reversed(names):
            if name not in ("", "identity", "gzip", "deflate", "zstd", "br"):
                raise BadRequest(f"content coding not supported: {name}")
            if name not in ("", "identity"):
                self._stages.append(_Brotli(limit) if name == "br" else _Members(name, limit))

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out of the next part of the body, in pieces of bounded size."""
        pieces: Iterator[bytes] = iter((data,))
        for stage in self._stages:
            pieces = _through(stage, pieces)
        return pieces

    def finish(self) -> None:
        """The body has ended."""
        for stage in self._stages:
            if not stage.complete:
                raise BadRequest("the compressed body is not complete")


def _through(stage: _Stage, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for data in pieces:
        yield from stage.feed(data)


class _Stage(Protocol):
    """One coding."""

    @property
    def complete(self) -> bool: ...
    def feed(self, data: bytes) -> Iterator[bytes]: ...


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Members:
    """All members (gzip) or frames (zstd), one after the other."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._size = 0
        self._members = 0
        self._start = b""
        self._decoder: _Decoder | None = None

    @property
    def complete(self) -> bool:
        return self._decoder is not None and self._decoder.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._decoder is None:
            data, self._start = self._start + data, b""
            if len(data) < 2:
                self._start = data
                return
        try:
            for start in range(0, len(data), _STEP):
                yield from self._step(data[start : start + _STEP])
        except (zlib.error, zstandard.ZstdError):
            raise BadRequest(f"the body is not valid {self._name}") from None

    def _step(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._decoder is None or self._decoder.eof:
                self._members += 1
                if self._members > _MAX_MEMBERS:
                    raise BadRequest("the compressed body has too many members")
                self._decoder = self._new(data)
            piece = self._decoder.decompress(data)
            self._size += len(piece)
            if self._size > self._limit:
                raise _too_large(self._limit)
            yield piece
            data = self._decoder.unused_data if self._decoder.eof else b""

    def _new(self, data: bytes) -> _Decoder:
        if self._name == "zstd":
            decoder: _Decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW).decompressobj()
            return decoder
        if self._name == "gzip":
            return zlib.decompressobj(wbits=31)
        # "deflate" is the zlib format (RFC 9110), but some clients send the bare stream.
        bare = len(data) < 2 or data[0] & 15 != 8 or int.from_bytes(data[:2], "big") % 31 != 0
        return zlib.decompressobj(wbits=-15 if bare else 15)


class _Brotli:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._decoder = brotli.Decompressor()

    @property
    def complete(self) -> bool:
        return bool(self._decoder.is_finished())

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            while piece := bytes(self._decoder.process(data, output_buffer_limit=_PIECE)):
                self._size += len(piece)
                if self._size > self._limit:
                    raise _too_large(self._limit)
                yield piece
                data = b""
        except brotli.error:
            raise BadRequest("the body is not valid br") from None


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the request body is larger than {limit} bytes")
