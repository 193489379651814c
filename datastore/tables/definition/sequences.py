"""Sequences that sysadmins make, for functions of triggers: ``nextval('name')`` (datastore-api.md §10)."""

from __future__ import annotations

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier, literal, qualified
from datastore.postgres.translate import message
from datastore.tables.functions.plpgsql import SCHEMA, check_name, lock_definitions

_LAST = 2**63 - 1


async def create_sequence(
    tx: Transaction, name: str, if_not_exists: bool = False, last_value: int | None = None
) -> None:
    """Make a sequence, or with ``if_not_exists`` let an existing one be; ``last_value`` + 1 is issued next.

    A new one starts with 1. Raises :class:`ValidationError` ``name`` if it exists, ``last_value`` out of bounds.
    """
    check_name(name)
    if last_value is not None and not 0 <= last_value < _LAST:
        raise ValidationError({"last_value": [f"Value must be between 0 and {_LAST - 1}"]})
    sequence = qualified(SCHEMA, name)
    await lock_definitions(tx)
    try:
        await tx.connection.execute(f"CREATE SEQUENCE {'IF NOT EXISTS ' if if_not_exists else ''}{sequence}")
    except asyncpg.DuplicateTableError as error:
        raise ValidationError({"name": [message(error)]}) from None
    role = identifier(tx.settings.triggers_role)
    await tx.connection.execute(f"GRANT SELECT, USAGE, UPDATE ON SEQUENCE {sequence} TO {role}")
    if last_value is not None:
        await tx.connection.execute(f"SELECT setval({literal(sequence)}::regclass, $1, false)", last_value + 1)


async def delete_sequence(tx: Transaction, name: str, if_exists: bool = False) -> None:
    """Drop a sequence. Raises :class:`ValidationError` ``name`` if there is none, unless ``if_exists``."""
    check_name(name)
    await lock_definitions(tx)
    try:
        await tx.connection.execute(f"DROP SEQUENCE {'IF EXISTS ' if if_exists else ''}{qualified(SCHEMA, name)}")
    except asyncpg.UndefinedTableError:
        raise ValidationError({"name": [f'sequence "{name}" does not exist']}) from None


async def next_value(tx: Transaction, name: str) -> int:
    """The next number of a sequence; nobody gets it again. Raises :class:`ValidationError` ``name``."""
    check_name(name)
    try:
        number: int = await tx.connection.fetchval(f"SELECT nextval({literal(qualified(SCHEMA, name))}::regclass)")
    except asyncpg.UndefinedTableError:
        raise ValidationError({"name": [f'relation "{name}" does not exist']}) from None
    except asyncpg.SequenceGeneratorLimitExceededError as error:
        raise ValidationError({"name": [message(error)]}) from None
    return number
