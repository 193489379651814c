"""Guessing the types of columns from records: all of them, and wide enough for all (datastore-api.md §3.5).

The guess of a column is the narrowest type that holds every value seen: bool, int4, int8, numeric or float8,
timestamp, json, else text.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable

_INTEGER = re.compile(r"\s*[+-]?\d+(?:_\d+)*\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)\s*", re.ASCII | re.IGNORECASE)
# ISO only: 31/12/2020 and 12/31/2020 cannot be told apart by looking at one of them.
_TIMESTAMP = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.\d{1,6})?Z?)?", re.ASCII)


def kinds(values: Iterable[bytes]) -> set[str]:
    """The types of these JSON values; none for null and empty strings."""
    return {kind for value in values if (kind := kind_of(value)) is not None}


def kind_of(raw: bytes) -> str | None:
    """The narrowest type that holds one JSON value; None for null and the empty string, which tell nothing."""
    first = raw[:1]
    if first == b"n" or raw == b'""':
        return None
    if first in b"tf":
        return "bool"
    if first in b"[{":
        return "json"
    if first == b'"':
        kind = kind_of_text(json.loads(raw))
        return "integer" if kind == "int" else kind  # the same type; clients see which of the two names it has
    text = raw.decode()
    return integer_kind(text) if text.lstrip("-").isdigit() else "float"


def kind_of_text(text: str) -> str:
    """The narrowest type that holds a text."""
    if _INTEGER.fullmatch(text):
        # PostgreSQL reads an underscore between digits from version 16 on.
        return "text" if "_" in text else integer_kind(text)
    if _NUMBER.fullmatch(text):
        return "numeric"
    if (found := _TIMESTAMP.fullmatch(text)) is not None:
        try:
            datetime.datetime(*(int(part) for part in found.groups("0")))  # type: ignore[arg-type]
        except ValueError:
            return "text"
        return "timestamp"
    return "text"


def integer_kind(text: str) -> str:
    """The narrowest type for a whole number."""
    if len(text) > 40:
        return "numeric"
    number = int(text)
    if -(2**31) <= number < 2**31:
        return "int"
    return "bigint" if -(2**63) <= number < 2**63 else "numeric"


_NUMERIC_ORDER = ("int", "integer", "bigint", "float", "numeric")


def widest(kinds: set[str]) -> str:
    """The narrowest type that holds values of all these types."""
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds <= set(_NUMERIC_ORDER):
        # A float8 holds no big integer exactly, a numeric does.
        return "numeric" if {"bigint", "float"} <= kinds else max(kinds, key=_NUMERIC_ORDER.index)
    return "json" if "json" in kinds and "text" not in kinds and "timestamp" not in kinds else "text"
