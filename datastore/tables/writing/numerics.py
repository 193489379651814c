"""Numbers as PostgreSQL's ``numeric`` has them on the wire, made from the digits of JSON text.

Source: ``numeric_send`` and ``numeric_recv`` in PostgreSQL's ``utils/adt/numeric.c``: four int16 (number of digits,
weight of the first, sign, decimals shown), then the digits in base 10,000. Zeros around them are allowed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

import msgspec

_HEADER = struct.Struct(">hhHh")
_NEGATIVE = 0x4000
_MAX_SCALE = 16_383
_MAX_WEIGHT = 2**15 - 1


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Base-10,000 digits by the one to four decimal digits before, and behind, the point."""
    before = {b"%0*d" % (width, number): number.to_bytes(2) for width in range(1, 5) for number in range(10**width)}
    behind = {digits: before[digits.ljust(4, b"0")] for digits in before}
    return before, behind | {b"": before[b"0"]}


_SCALES = range(100)
_SHORT = [_HEADER.pack(2, 0, 0, scale) for scale in _SCALES]
_LONG = [_HEADER.pack(3, 1, 0, scale) for scale in _SCALES]


def encode_all(texts: Sequence[bytes | msgspec.Raw]) -> list[bytes | None]:
    """JSON numbers, or null, as binary numerics, with all their digits.

    Raises :class:`ValueError` for any other JSON value, and for a number beyond what ``numeric`` holds.
    """
    before, behind = _tables()
    short, long = _SHORT, _LONG
    encoded: list[bytes | None] = []
    add = encoded.append
    # As bytes all at once. Where there are more commas is something else than a number.
    pieces = b",".join(texts).split(b",") if texts else []
    if len(pieces) != len(texts):
        raise ValueError("not a JSON number")
    for text in pieces:
        whole, _, fraction = text.partition(b".")
        try:
            if len(whole) <= 4:
                add(short[len(fraction)] + before[whole] + behind[fraction])
            elif len(whole) <= 8:
                add(long[len(fraction)] + before[whole[:-4]] + before[whole[-4:]] + behind[fraction])
            else:
                add(_any(text))
        except (KeyError, IndexError):  # a sign, an exponent, more digits, null, or no number
            add(_any(text))
    return encoded


def _any(text: bytes) -> bytes | None:
    if text == b"null":
        return None
    if text[:1] not in b"-0123456789":
        raise ValueError("not a JSON number")
    negative, whole, fraction = text[:1] == b"-", *_expanded(text)
    # Both sides of the point are filled up to whole groups of four digits.
    groups_before = -(-len(whole) // 4)
    digits = whole.rjust(4 * groups_before, b"0") + fraction.rstrip(b"0")
    digits = digits.ljust(-(-len(digits) // 4) * 4, b"0")
    if groups_before > _MAX_WEIGHT or len(digits) > 4 * _MAX_WEIGHT or len(fraction) > _MAX_SCALE:
        raise ValueError("out of the range of numeric")
    before, _ = _tables()
    header = _HEADER.pack(len(digits) // 4, groups_before - 1, _NEGATIVE if negative else 0, len(fraction))
    return header + b"".join([before[digits[start : start + 4]] for start in range(0, len(digits), 4)])


def _expanded(text: bytes) -> tuple[bytes, bytes]:
    """The digits before and behind the point, without an exponent."""
    mantissa, _, power = text.lower().partition(b"e")
    whole, _, fraction = mantissa.removeprefix(b"-").partition(b".")
    if not power:
        return whole, fraction
    exponent = int(power)
    if abs(exponent) > 4 * _MAX_WEIGHT:
        raise ValueError("out of the range of numeric")
    if exponent >= 0:
        return whole + fraction[:exponent].ljust(exponent, b"0"), fraction[exponent:]
    whole = whole.rjust(1 - exponent, b"0")
    return whole[:exponent], whole[exponent:] + fraction
