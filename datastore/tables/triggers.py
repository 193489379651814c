"""Triggers of a table: functions that see each record before it is stored, and may change, skip or refuse it (§4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import asyncpg

from datastore.errors import Unavailable, ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier, qualified
from datastore.postgres.translate import about_input, message
from datastore.tables.functions import SCHEMA, keep_function
from datastore.tables.locking import exclusively
from datastore.tables.names import ID, printable, too_long
from datastore.tables.registry import count_rows, install_counter
from datastore.tables.schema import CACHE_KIND, TableSchema

MAX_TRIGGERS = 100


def _name(number: int) -> str:
    """Triggers of one kind fire in the order of their names."""
    return identifier(f"datastore_{number:03}")


async def set_triggers(tx: Transaction, schema: TableSchema, functions: Sequence[str]) -> TableSchema:
    """Replace all triggers of the table by one for each function, which fire in this order.

    They fire for each row before insert or update. The caller holds ``define.lock``. Readers do not wait. Raises
    :class:`ValidationError` ``triggers`` for a function that does not exist or is none for triggers.
    """
    functions = list(functions)
    if len(functions) > MAX_TRIGGERS:
        raise ValidationError({"triggers": [f"A table can have at most {MAX_TRIGGERS} triggers"]})
    before: list[str] = await tx.connection.fetchval(
        "SELECT triggers FROM datastore.tables WHERE resource_id = $1", schema.resource_id
    )
    if functions == before:
        return schema
    try:
        await install(tx, schema.sql_name, functions)
        await _remove(tx, schema, range(len(functions), len(before)))
    except asyncpg.LockNotAvailableError:
        raise Unavailable("the table is being written; try again") from None
    await tx.connection.execute(
        "UPDATE datastore.tables SET triggers = $2 WHERE resource_id = $1", schema.resource_id, functions
    )
    tx.changed(CACHE_KIND, schema.resource_id)
    return replace(schema, triggers=tuple(functions))


async def install(tx: Transaction, table: str, functions: Sequence[str]) -> None:
    """Put the triggers on a table, given by its SQL name; those with a number that it has already are replaced."""
    for name in sorted(set(functions)):
        if not name or "\0" in name or printable(name) != name or too_long(name):
            raise _missing(name)
        await keep_function(tx, name)
    for number, name in enumerate(functions):
        try:
            await tx.connection.execute(
                f"CREATE OR REPLACE TRIGGER {_name(number)} BEFORE INSERT OR UPDATE ON {table}"
                f" FOR EACH ROW EXECUTE FUNCTION {qualified(SCHEMA, name)}()"
            )
        except asyncpg.UndefinedFunctionError:
            raise _missing(name) from None
        except asyncpg.PostgresError as error:
            if not about_input(error):
                raise
            raise ValidationError({"triggers": [message(error)]}) from None
    if functions:
        await install_counter(tx, table)


def _missing(name: str) -> ValidationError:
    return ValidationError({"triggers": [f"function {printable(name)}() does not exist"]})


async def _remove(tx: Transaction, schema: TableSchema, numbers: range) -> None:
    """Let these triggers fire no more, at once; and drop them just before COMMIT, because that shuts readers out."""
    if not numbers:
        return
    disabled = ", ".join(f"DISABLE TRIGGER {_name(number)}" for number in numbers)
    await tx.connection.execute(f"ALTER TABLE {schema.sql_name} {disabled}")

    async def drop() -> None:
        await exclusively(tx, schema)
        for number in numbers:
            await tx.connection.execute(f"DROP TRIGGER {_name(number)} ON {schema.sql_name}")

    tx.before_commit(drop)


async def run_triggers(tx: Transaction, schema: TableSchema) -> int:
    """Let the triggers see every stored row as if it were updated; gives the number of rows updated.

    Raises :class:`ValidationError` ``records`` with what a trigger, or a constraint, has against it.
    """
    try:
        status = await tx.connection.execute(f"UPDATE {schema.sql_name} SET {ID} = {ID}")
    except asyncpg.PostgresError as error:
        if not about_input(error):
            raise
        raise ValidationError({"records": [message(error)]}) from None
    count_rows(tx, schema.resource_id, 0)
    return int(status.split()[-1])
