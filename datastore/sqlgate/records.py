"""The statement around a client's: its rows as JSON objects, not too many, none too long. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from datastore.postgres.quoting import MAX_IDENTIFIER_BYTES, identifier

FIRST_ROW = 32 * 2**20
"""Longest first row of a result, in bytes of JSON: it may be the only one, made by an aggregate."""
FURTHER_ROW = 2**20
"""Longest other row."""


def unique(names: Sequence[str]) -> list[str]:
    """The names; one that came before gets a number, ``a_1``, and none clashes or is too long."""
    taken = set(names)
    seen: set[str] = set()
    unique = []
    for name in names:
        free, number = name, 0
        while free in seen or (number and free in taken):
            number += 1
            suffix = f"_{number}"
            free = name.encode()[: MAX_IDENTIFIER_BYTES - len(suffix)].decode(errors="ignore") + suffix
        seen.add(free)
        unique.append(free)
    return unique


def as_records(sql: str, names: Sequence[str], types: Sequence[str], rows: int) -> str:
    """The statement whose rows are JSON objects, no more than ``rows``; one that is too long becomes NULL."""
    inner, outer = _free_alias("s", names), _free_alias("q", names)
    quoted = [identifier(name) for name in names]
    cells = [_cell(f"{inner}.{name}", type) for name, type in zip(quoted, types, strict=True)]
    columns = ", ".join(f"{cell} AS {name}" for cell, name in zip(cells, quoted, strict=True))
    renamed = f"({', '.join(quoted)})" if names else ""
    return (
        "SELECT CASE WHEN octet_length(r.j::text)"
        f" <= CASE r.n WHEN 1 THEN {FIRST_ROW} ELSE {FURTHER_ROW} END THEN r.j END"
        f" FROM (SELECT row_to_json({outer}) AS j, row_number() OVER () AS n"
        f" FROM (SELECT {columns} FROM ( {sql} ) AS {inner}{renamed}) AS {outer}"
        f" LIMIT {rows}) AS r"
    )


def _free_alias(start: str, names: Sequence[str]) -> str:
    """A name that is no column's: behind a column's name PostgreSQL would see the column."""
    alias = start
    while alias in names:
        alias += start
    return alias


def _cell(column: str, type: str) -> str:
    """A column as row_to_json shows it; of a time with a fraction all six digits."""
    if type not in ("timestamp", "timestamptz"):
        return column
    zone = " || '+00:00'" if type == "timestamptz" else ""  # the session's time zone
    fraction = f"isfinite({column}) AND {column} >= '0001-01-01' AND date_trunc('second', {column}) <> {column}"
    digits = f"""to_char({column}, 'YYYY-MM-DD"T"HH24:MI:SS.US'){zone}"""
    return f"CASE WHEN {fraction} THEN {digits} ELSE to_json({column}) #>> '{{}}' END"
