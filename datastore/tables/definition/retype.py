"""Changing the type of a column together with its data: all of it, or nothing and the reason."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier
from datastore.postgres.translate import about_input, message
from datastore.tables.schema import Column, TableSchema
from datastore.tables.types import JSON, TEXT, Declared

_SHOWN = 5
"""Values that do not convert are shown up to this many."""


async def change_types(tx: Transaction, schema: TableSchema, wanted: Mapping[str, Declared]) -> None:
    """Convert columns to the wanted types, by column name; the table is locked, its full-text index dropped.

    An empty text becomes NULL, unless the new type is a text too. Raises :class:`ValidationError` ``fields`` that shows
    the values in the way; the transaction is then to be rolled back.
    """
    clauses = [
        f"ALTER COLUMN {identifier(name)} TYPE {type.sql} USING {_converted(schema.by_name[name], type)}"
        for name, type in wanted.items()
    ]
    try:
        async with tx.connection.transaction():
            await tx.connection.execute(f"ALTER TABLE {schema.sql_name} {', '.join(clauses)}")
    except asyncpg.PostgresError as error:
        if not about_input(error):
            raise
        reasons = [await _reason(tx, schema, schema.by_name[name], type) for name, type in wanted.items()]
        raise ValidationError({"fields": [reason for reason in reasons if reason] or [message(error)]}) from None


def _text(column: Column) -> str:
    """A column's text, as the input function of another type is to read it."""
    name = identifier(column.name)
    if column.type in JSON:
        return f"({name} #>> '{{}}')"  # a JSON string without its quotes
    return f"nullif({name}::text, '')" if column.type in TEXT else f"{name}::text"


def _converted(column: Column, type: Declared) -> str:
    name = identifier(column.name)
    if type.name in TEXT:
        return f"({name} #>> '{{}}')::{type.sql}" if column.type in JSON else f"{name}::text::{type.sql}"
    if type.name in JSON and column.type not in TEXT:
        return (
            f"to_json{'b' if type.name == 'jsonb' else ''}({name})"
            if column.type not in JSON
            else f"{name}::{type.sql}"
        )
    # Numbers are rounded and times cut as PostgreSQL's casts do; everything else goes by its text.
    direct = (
        column.element is None and column.type not in TEXT and column.type not in JSON and not type.name.startswith("_")
    )
    return f"{name}::{type.sql}" if direct else f"{_text(column)}::{type.sql}"


async def _reason(tx: Transaction, schema: TableSchema, column: Column, type: Declared) -> str | None:
    """Which values of the column cannot be read as the type, if any."""
    text = _text(column)
    rows = await tx.connection.fetch(
        f"""
        SELECT left({text}, 50) AS value, min(_id) AS id, count(*) AS times, sum(count(*)) OVER () AS total
        FROM {schema.sql_name} WHERE NOT datastore.is_readable({text}, $1)
        GROUP BY {text} ORDER BY min(_id) LIMIT {_SHOWN}
        """,
        type.sql,
    )
    if not rows:
        return None
    examples = ", ".join(f'"{row["value"]}" (_id {row["id"]})' for row in rows)
    return f'"{column.name}": {int(rows[0]["total"])} values cannot be converted to {type.name}, such as {examples}'
