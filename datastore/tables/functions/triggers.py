"""Triggers of a table: functions that see each record before it is stored, and may change, skip or refuse it (§4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import asyncpg
import msgspec

from datastore.errors import Unavailable, ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier, literal, qualified
from datastore.postgres.translate import REFUSED, about_input, message
from datastore.tables.functions.plpgsql import SCHEMA, keep_function
from datastore.tables.locking import exclusively
from datastore.tables.names import ID, printable, too_long
from datastore.tables.registry import count_rows, install_counter
from datastore.tables.schema import CACHE_KIND, TableSchema, Trigger

MAX_TRIGGERS = 100
MAX_ARGUMENTS = 10_000


def _name(number: int) -> str:
    """Triggers of one kind fire in the order of their names."""
    return identifier(f"datastore_{number:03}")


async def announce(tx: Transaction, schema: TableSchema) -> None:
    """To be called before the rows of a table are written: tells the functions of its triggers who acts.

    They read it as ``current_setting('datastore.actor')``, a setting of this transaction; a table without triggers
    costs nothing.
    """
    if schema.fires:
        tx.runs_functions = True
        await tx.connection.execute("SELECT set_config('datastore.actor', $1, true)", tx.actor)


async def set_triggers(tx: Transaction, schema: TableSchema, wanted: Sequence[Trigger]) -> TableSchema:
    """Replace all triggers of the table by these, which fire in this order.

    They fire for each row before insert or update. The caller holds ``define.lock``. Readers do not wait. Raises
    :class:`ValidationError` ``triggers`` for a function that does not exist or is none for triggers.
    """
    if len(wanted) > MAX_TRIGGERS:
        raise ValidationError({"triggers": [f"A table can have at most {MAX_TRIGGERS} triggers"]})
    stored = await tx.connection.fetchval(
        "SELECT triggers FROM datastore.tables WHERE resource_id = $1", schema.resource_id
    )
    before = msgspec.json.decode(stored, type=list[Trigger])
    if list(wanted) == before:
        return schema
    try:
        await install(tx, schema.sql_name, wanted)
        await _remove(tx, schema, range(len(wanted), len(before)))
    except asyncpg.LockNotAvailableError:
        raise Unavailable("the table is being written; try again") from None
    await tx.connection.execute(
        "UPDATE datastore.tables SET triggers = $2 WHERE resource_id = $1",
        schema.resource_id,
        msgspec.json.encode(list(wanted)).decode(),
    )
    tx.changed(CACHE_KIND, schema.resource_id)
    return replace(schema, triggers=tuple(wanted))


async def install(tx: Transaction, table: str, wanted: Sequence[Trigger]) -> None:
    """Put the triggers on a table, given by its SQL name; those with a number that it has already are replaced."""
    for trigger in wanted:
        _check_arguments(trigger)
    for name in sorted({trigger.function for trigger in wanted}):
        if not name or "\0" in name or printable(name) != name or too_long(name):
            raise _missing(name)
        await keep_function(tx, name)
    for number, trigger in enumerate(wanted):
        name, arguments = trigger.function, ", ".join(literal(argument) for argument in trigger.arguments)
        try:
            await tx.connection.execute(
                f"CREATE OR REPLACE TRIGGER {_name(number)} BEFORE INSERT OR UPDATE ON {table}"
                f" FOR EACH ROW EXECUTE FUNCTION {qualified(SCHEMA, name)}({arguments})"
            )
        except asyncpg.UndefinedFunctionError:
            raise _missing(name) from None
        except asyncpg.PostgresError as error:
            if not about_input(error):
                raise
            raise ValidationError({"triggers": [message(error)]}) from None
    if wanted:
        await install_counter(tx, table)


def _check_arguments(trigger: Trigger) -> None:
    name = printable(trigger.function)
    if len(trigger.arguments) > MAX_ARGUMENTS:
        raise ValidationError({"triggers": [f"function {name}() can have at most {MAX_ARGUMENTS} arguments"]})
    if any("\0" in argument or printable(argument) != argument for argument in trigger.arguments):
        raise ValidationError({"triggers": [f"arguments of function {name}(): invalid characters"]})


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

    Raises :class:`ValidationError` ``records`` with what a trigger, or a constraint, has against it, and
    ``records_id``, the ``_id`` of the row that is refused if the rows come one by one, in their order.
    """
    await announce(tx, schema)
    try:
        async with tx.connection.transaction():
            status = await tx.connection.execute(f"UPDATE {schema.sql_name} SET {ID} = {ID}")
    except REFUSED as error:
        if not about_input(error):
            raise
        refused = await tx.connection.fetchval(f"SELECT datastore.first_refused({literal(schema.sql_name)}::regclass)")
        found = {} if refused is None else {"records_id": refused}
        raise ValidationError({"records": [message(error)], **found}) from None
    count_rows(tx, schema.resource_id, 0)
    return int(status.split()[-1])
