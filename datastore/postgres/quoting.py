"""Quoting: the only way in which a name or a text constant gets into SQL text. Values go as ``$1`` arguments."""

from __future__ import annotations

from functools import lru_cache

MAX_IDENTIFIER_BYTES = 63
"""NAMEDATALEN - 1: PostgreSQL silently truncates longer names, so callers must refuse them."""


@lru_cache(maxsize=8192)
def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier.

    Raises :class:`ValueError` for a name that PostgreSQL could not hold as it is: empty, with a NUL character, or
    longer than 63 bytes.
    """
    if not name or "\0" in name or len(name.encode()) > MAX_IDENTIFIER_BYTES:
        raise ValueError(f"not a PostgreSQL identifier: {name!r}")
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """``schema.name``, both quoted."""
    return f"{identifier(schema)}.{identifier(name)}"


def literal(text: str) -> str:
    """``text`` as a string constant, for the places where SQL takes no argument (DDL, COPY).

    Raises :class:`ValueError` for a NUL character.
    """
    if "\0" in text:
        raise ValueError("a text constant cannot hold a NUL character")
    quoted = text.replace("'", "''")
    return " E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in text else f"'{quoted}'"
