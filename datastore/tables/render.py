"""How values look outside: the SQL expression that renders a column in JSON or in CSV (datastore-api.md §3.7)."""

from __future__ import annotations

from datastore.postgres.quoting import identifier
from datastore.tables.schema import Column
from datastore.tables.types import JSON

_TIMESTAMP = 'YYYY-MM-DD"T"HH24:MI:SS'


def timestamp(sql: str, milliseconds: bool) -> str:
    """ISO 8601; always three digits of milliseconds, cut, or none; infinity becomes null (to_char does both).

    to_char takes three times as long as the type's own output, which from year 1 to 9999 is the same but for the T and
    the length of the fraction: none, or up to six digits.
    """
    pattern, whole, length = (f"{_TIMESTAMP}.MS", " || '.000'", 23) if milliseconds else (_TIMESTAMP, "", 19)
    text = f"replace({sql}::text, ' ', 'T')"
    return (
        f"CASE WHEN {sql} >= '0001-01-01' AND {sql} < '10000-01-01'"
        f" THEN CASE WHEN {sql}::timestamp(0) = {sql} THEN {text}{whole} ELSE rpad({text}, {length}, '0') END"
        f" WHEN {sql} < '0001-01-01' THEN to_char({sql}, '{pattern} BC') ELSE to_char({sql}, '{pattern}') END"
    )


def as_json(column: Column, milliseconds: bool, source: str = "") -> str:
    """An expression whose value row_to_json shows as the API does. ``source`` is the table's alias in the query.

    PostgreSQL's own JSON is right for every type but timestamp: digits of numerics stay, NaN and infinities become
    strings, json is embedded as it was stored.
    """
    sql = _reference(column, source)
    return timestamp(sql, milliseconds) if column.type == "timestamp" else sql


def as_csv(column: Column, milliseconds: bool, source: str = "") -> str:
    """An expression whose value ``COPY … CSV`` shows as the API does.

    JSON and array columns give the word ``null`` for NULL, as clients of the original expect; arrays are JSON lists.
    """
    sql = _reference(column, source)
    if column.type == "timestamp":
        return timestamp(sql, milliseconds)
    if column.type in JSON:
        return f"coalesce({sql}::text, 'null')"
    if column.element is not None:
        return f"coalesce(array_to_json({sql})::text, 'null')"
    return sql


def _reference(column: Column, source: str) -> str:
    return f"{source}.{identifier(column.name)}" if source else identifier(column.name)
