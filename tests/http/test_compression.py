"""Which coding an answer gets, and that it comes back whole."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable
from itertools import pairwise

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from starlette.types import Message, Receive, Scope, Send

from datastore.http.compression import Compress, preferred
from datastore.http.exchange import Header


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("identity", None),
        ("deflate", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5, zstd;q=0.1", "gzip"),
        ("gzip;q=0.5, br; q=0.8", "br"),
        ("*", "zstd"),
        ("*;q=0.5, gzip", "gzip"),
        ("zstd;q=0, *", "br"),
        ("zstd;q=0, br;q=0, gzip;q=0, *;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=nonsense", None),
        ("gzip;q=nan", None),
        ("gzip;q=7", None),
        (";;,,q=1", None),
    ],
)
def test_preferred(accepted: str, coding: str | None) -> None:
    assert preferred(accepted) == coding


DECODE = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
}
TEXT: Header = (b"content-type", b"text/csv; charset=utf-8")


async def answer(
    pieces: list[bytes], accepted: str, *headers: Header, status: int = 200, minimum: int = 100
) -> tuple[dict[bytes, bytes], list[bytes]]:
    """Headers and pieces of an answer after compression."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for number, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": number + 1 < len(pieces)})

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "headers": [(b"accept-encoding", accepted.encode())]}
    await Compress(app, minimum)(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * (len(sent) - 1)
    assert not sent[-1].get("more_body", False)
    return dict(sent[0]["headers"]), [message["body"] for message in sent[1:]]


@pytest.mark.parametrize("coding", sorted(DECODE))
@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("size", [100, 20_000, 300_000])
async def test_what_is_compressed_comes_back(coding: str, pieces: int, size: int) -> None:
    data = random.Random(size).randbytes(size // 2).hex().encode()
    bounds = [len(data) * number // pieces for number in range(pieces + 1)]
    parts = [data[start:end] for start, end in pairwise(bounds)]
    length = (b"content-length", b"%d" % len(data))
    headers, packed = await answer(parts, coding, TEXT, length, (b"etag", b'"strong"'), (b"accept-ranges", b"bytes"))
    assert headers[b"content-encoding"] == coding.encode()
    assert headers[b"vary"] == b"Accept-Encoding"
    assert headers[b"etag"] == b'W/"strong"'
    assert b"accept-ranges" not in headers
    assert headers.get(b"content-length") == (b"%d" % len(packed[0]) if pieces == 1 else None)
    assert DECODE[coding](b"".join(packed)) == data


@pytest.mark.parametrize("coding", sorted(DECODE))
async def test_the_beginning_of_a_stream_goes_out_at_once(coding: str) -> None:
    _, packed = await answer([b"head,line\n", b"1,2\n" * 1000, b""], coding, TEXT)
    decoders: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: zlib.decompressobj(31).decompress(data),
        "br": lambda data: brotli.Decompressor().process(data),
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }
    assert decoders[coding](packed[0]) == b"head,line\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"content-type", b"application/vnd.apache.parquet")], 200),
        ([(b"content-type", b"text/event-stream")], 200),
        ([TEXT, (b"content-encoding", b"gzip")], 200),
        ([TEXT, (b"content-range", b"bytes 0-9/100")], 206),
        ([TEXT], 304),
        ([], 200),
    ],
)
async def test_what_is_left_alone(headers: list[Header], status: int) -> None:
    sent, pieces = await answer([b"x" * 1000], "gzip", *headers, (b"etag", b'"strong"'), status=status)
    assert (sent, pieces) == (dict([*headers, (b"etag", b'"strong"')]), [b"x" * 1000])


async def test_small_bodies_stay_as_they_are() -> None:
    headers, pieces = await answer([b"x" * 99], "gzip", TEXT)
    assert (headers, pieces) == ({TEXT[0]: TEXT[1], b"vary": b"Accept-Encoding"}, [b"x" * 99])
