"""Which names columns and aliases may have (datastore-api.md §3.3)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from datastore.errors import ValidationError
from datastore.postgres.quoting import MAX_IDENTIFIER_BYTES

ID = "_id"
"""The row number of every table: bigint, counted by PostgreSQL, never reused."""


def valid_column_name(name: str) -> bool:
    """Non-empty, no surrounding blanks, no leading ``_``, no ``"``, no control or format character."""
    return (
        bool(name)
        and name == name.strip()
        and not name.startswith("_")
        and '"' not in name
        and not any(unicodedata.category(character).startswith("C") for character in name)
    )


def valid_alias_name(name: str) -> bool:
    """As a column name, and no ``%``."""
    return valid_column_name(name) and "%" not in name


def too_long(name: str) -> bool:
    """PostgreSQL would silently cut the name."""
    return len(name.encode("utf-8", "surrogatepass")) > MAX_IDENTIFIER_BYTES


def cut(name: str) -> str:
    """The name as PostgreSQL would cut it, at the end of a character: for a result's column, named after a table's."""
    return name.encode()[:MAX_IDENTIFIER_BYTES].decode(errors="ignore") if too_long(name) else name


def check_column_names(names: Sequence[Any]) -> None:
    """Raise :class:`ValidationError` for the first kind of bad name: invalid ones, then long ones, then duplicates."""
    bad = [_name_errors(name) for name in names]
    if any(bad):
        raise ValidationError({"fields": bad})
    limit = f"exceeds limit of {MAX_IDENTIFIER_BYTES} characters."
    long = [f'Column heading "{name}" {limit}' for name in names if too_long(name)]
    if long:
        raise ValidationError({"fields": long})
    if len(set(names)) != len(names):
        raise ValidationError({"field": ["Duplicate column names are not supported"]})


def _name_errors(name: Any) -> dict[str, list[str]]:
    if name is None or name == "":
        return {"id": ["Missing value"]}
    return {} if valid_column_name(name) else {"id": [f'"{printable(name)}" is not a valid field name']}


def check_alias_names(names: Sequence[str]) -> None:
    """Raise :class:`ValidationError` for the first bad alias."""
    for name in names:
        if not valid_alias_name(name) or too_long(name):
            raise ValidationError({"alias": [f'"{printable(name)}" is not a valid alias name']})


def printable(text: str) -> str:
    """``text`` so that it can be shown in a message: lone surrogates, which UTF-8 cannot hold, are replaced."""
    return text.encode("utf-8", "replace").decode()
