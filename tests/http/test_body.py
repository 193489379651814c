"""Compressed request bodies: every coding, damaged data, and bombs."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import BadRequest, PayloadTooLarge
from datastore.http.body import inflate
from tests.http.sending import FORM, parameters

LIMIT = 100_000


def bare_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": bare_deflate,
    "zstd": zstandard.compress,
    "br": brotli.compress,
}


@given(st.binary(max_size=5000), st.sampled_from(sorted(CODERS)))
def test_what_was_compressed_comes_back(data: bytes, coding: str) -> None:
    assert inflate(CODERS[coding](data), coding, LIMIT) == data


@given(st.binary(min_size=1, max_size=300), st.sampled_from(["gzip", "deflate", "zstd", "br"]))
def test_any_bytes_inflate_or_are_a_bad_request(data: bytes, coding: str) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(inflate(data, coding, LIMIT), bytes)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br"])
@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_the_limit_is_exact(coding: str, size: int) -> None:
    packed = CODERS[coding](bytes(size))
    if size == LIMIT:
        assert len(inflate(packed, coding, LIMIT)) == LIMIT
    else:
        with pytest.raises(PayloadTooLarge):
            inflate(packed, coding, LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br"])
def test_bombs_are_not_inflated(coding: str) -> None:
    bomb = CODERS[coding](bytes(60_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            inflate(bomb, coding, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br"])
@pytest.mark.parametrize("cut", [1, 3, 20])
def test_data_that_ends_early_is_refused(coding: str, cut: int) -> None:
    packed = CODERS[coding](bytes(range(256)) * 10)
    with pytest.raises(BadRequest):
        inflate(packed[:-cut], coding, LIMIT)


def test_several_members_and_several_codings() -> None:
    assert inflate(gzip.compress(b"a") + gzip.compress(b"b") * 2000, "gzip", LIMIT) == b"a" + b"b" * 2000
    assert inflate(zstandard.compress(b"a") + zstandard.compress(b"b"), "zstd", LIMIT) == b"ab"
    assert inflate(gzip.compress(zstandard.compress(b"a")), "zstd, identity, gzip", LIMIT) == b"a"
    with pytest.raises(BadRequest, match="members"):
        inflate(gzip.compress(b"") * 10_001, "gzip", LIMIT)


def test_codings_that_are_not_known() -> None:
    with pytest.raises(BadRequest, match="content coding not supported: lzma"):
        inflate(b"x", "lzma", LIMIT)
    with pytest.raises(BadRequest, match="too many content codings"):
        inflate(b"x", "gzip, gzip, gzip, gzip", LIMIT)


def test_windows_beyond_eight_megabytes_are_refused() -> None:
    settings = zstandard.ZstdCompressionParameters.from_level(3, window_log=25, write_content_size=False)
    wide = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    packed = wide.compress(b"x" * 1000) + wide.flush()
    with pytest.raises(BadRequest, match="not valid zstd"):
        inflate(packed, "zstd", LIMIT)


async def test_every_body_form_may_be_compressed() -> None:
    headers = {"content-encoding": "gzip"}
    assert await parameters(gzip.compress(b'{"a": 1}'), headers=headers) == {"a": 1}
    assert await parameters(gzip.compress(b"a=1&b=2"), FORM, headers=headers) == {"a": "1", "b": "2"}
    form = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n'
    assert await parameters(gzip.compress(form), "multipart/form-data; boundary=b", headers=headers) == {"a": "1"}
    assert await parameters(b"", headers=headers) == {}
