"""The staging table of a write, and statements over its rows that can tell which record PostgreSQL refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import asyncpg

from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier, literal
from datastore.postgres.translate import REFUSED, about_input, record_error
from datastore.tables import render
from datastore.tables.schema import Column, TableSchema
from datastore.tables.writing.copying import ROW, SET, Target

STAGE = "pg_temp.datastore_stage"
NEW_ID = "_new"
"""Column of the staging table: the ``_id`` that the record gets if it is new, counted in the order of the records."""

TARGET = Target("pg_temp", "datastore_stage", numbered=True)


async def create(tx: Transaction, schema: TableSchema, columns: Sequence[Column], numbered: bool = True) -> None:
    """Make the staging table for records with these columns; it goes with :func:`drop`, or with the transaction.

    ``numbered``: each record gets its :data:`NEW_ID` at once, else with :func:`number`.
    """
    default = f" DEFAULT {await _next_id(tx, schema)}" if numbered else ""
    defined = "".join(f", {identifier(column.name)} {column.native_type}" for column in columns)
    await tx.connection.execute(
        f"CREATE TEMPORARY TABLE datastore_stage ({ROW} bigint, {SET} int DEFAULT 0, {NEW_ID} bigint{default}{defined})"
        " ON COMMIT DROP"
    )


async def number(tx: Transaction, schema: TableSchema) -> None:
    """Give each staged record its :data:`NEW_ID`. An UPDATE goes through the table as the records came."""
    await tx.connection.execute(f"UPDATE {STAGE} SET {NEW_ID} = {await _next_id(tx, schema)}")


async def index(tx: Transaction) -> None:
    """Let statements find records by their index in the request."""
    await tx.connection.execute(f"CREATE INDEX ON {STAGE} ({ROW})")
    await tx.connection.execute(f"ANALYZE {STAGE} ({ROW})")


async def _next_id(tx: Transaction, schema: TableSchema) -> str:
    sequence = await tx.connection.fetchval("SELECT pg_get_serial_sequence($1, '_id')", schema.sql_name)
    return f"nextval({literal(sequence)}::regclass)"


async def drop(tx: Transaction) -> None:
    """Make room for the next staging table of the same transaction."""
    await tx.connection.execute(f"DROP TABLE {STAGE}")


async def apply(tx: Transaction, statement: Callable[[str], str], numbers: Sequence[int]) -> list[asyncpg.Record]:
    """Run a statement over the staged rows; it is written for the condition that chooses them.

    ``numbers`` are the indexes of the staged records, ascending. When PostgreSQL refuses, the failing record is
    searched by halves: raises :class:`ValidationError` ``records`` with its index.
    """
    try:
        async with tx.connection.transaction():
            return list(await tx.connection.fetch(statement("true")))
    except REFUSED as error:
        if not about_input(error):
            raise
        failure = error
    low, high = 0, len(numbers) - 1
    while low < high:
        middle = (low + high) // 2
        refused = await _refused(tx, statement(f"{ROW} <= {numbers[middle]}"))
        if refused is None:
            low = middle + 1
        else:
            failure, high = refused, middle
    raise record_error(failure, numbers[low : low + 1])


async def _refused(tx: Transaction, statement: str) -> asyncpg.PostgresError | None:
    """What PostgreSQL says against the statement, whose effect is undone in any case."""
    savepoint = tx.connection.transaction()
    await savepoint.start()
    try:
        await tx.connection.execute(statement)
    except REFUSED as error:
        if not about_input(error):
            raise
        return error
    finally:
        if not tx.connection.is_closed():
            await savepoint.rollback()
    return None


async def stored(tx: Transaction, schema: TableSchema, ids: Sequence[int]) -> bytes:
    """The rows of these ids as a JSON list of objects, in this order."""
    cells = ", ".join(
        f"{render.as_json(column, tx.settings.ms_in_timestamp, 't')} AS {identifier(column.name)}"
        for column in schema.by_name.values()
    )
    text: bytes = await tx.connection.fetchval(
        f"""
        SELECT coalesce(json_agg(row_to_json(_row) ORDER BY wanted.place), '[]')
        FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (id, place)
        JOIN {schema.sql_name} AS t ON t._id = wanted.id
        CROSS JOIN LATERAL (SELECT {cells}) AS _row
        """,
        ids,
    )
    return text
