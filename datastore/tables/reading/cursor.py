"""Cursors: where a page ended, as an opaque text that a client hands back to get the next one.

Whatever the order, a page found by its cursor costs what the first page costs, and rows that come or go meanwhile are
neither repeated nor skipped.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from datastore.errors import ValidationError
from datastore.tables.names import printable
from datastore.tables.reading.sorting import Term

START = ("", "*")
"""What asks for the first page and a cursor to the second."""


class _Token(msgspec.Struct, array_like=True, frozen=True):
    order: list[str]
    values: list[str | None]


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page: the text of each sort term's value, None for NULL."""

    values: tuple[str | None, ...]


def encode(terms: Sequence[Term], values: Sequence[str | None]) -> str:
    """The cursor of a page that ended with a row with these values."""
    token = msgspec.json.encode(_Token([term.key for term in terms], list(values)))
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def decode(cursor: str, terms: Sequence[Term]) -> Position:
    """Read a cursor that is used with this order. Raises :class:`ValidationError` ``cursor``."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        token = msgspec.json.decode(base64.b64decode(padded, b"-_", validate=True), type=_Token)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, RecursionError):
        raise ValidationError({"cursor": ["This is not a cursor of an earlier answer"]}) from None
    if token.order != [term.key for term in terms] or len(token.values) != len(terms):
        raise ValidationError({"cursor": ["The cursor belongs to another sort order"]})
    for value in token.values:
        if value is not None and ("\0" in value or printable(value) != value):
            raise ValidationError({"cursor": ["This is not a cursor of an earlier answer"]})
    return Position(tuple(token.values))
