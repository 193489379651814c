"""Functions that sysadmins write in PL/pgSQL, for triggers of tables (datastore-api.md §10).

They live in a schema of their own, so none can stand in for one of PostgreSQL's or ours. They belong to the role
``<prefix>_triggers`` and run with its rights, whoever writes the record that fires them (SECURITY DEFINER): it reads
and writes the rows of datasets, sees neither the catalog nor files, and can make nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import MAX_IDENTIFIER_BYTES, identifier, qualified
from datastore.postgres.translate import about_input, message
from datastore.tables.names import printable, too_long
from datastore.tables.types import Declared, resolve

SCHEMA = "datastore_functions"

MODES = ("in", "out", "inout")

# What a function may return beside the types of columns.
_RESULTS = {name: Declared(name, f'pg_catalog."{name}"') for name in ("void", "trigger", "record")}


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a function."""

    name: str
    type: str
    mode: str = "in"


def check_name(name: str) -> None:
    """Raise :class:`ValidationError` ``name`` for one that PostgreSQL could not hold as it is."""
    if "\0" in name or printable(name) != name:
        raise ValidationError({"name": ["invalid characters"]})
    if too_long(name):
        raise ValidationError({"name": [f"exceeds limit of {MAX_IDENTIFIER_BYTES} characters."]})


async def lock_definitions(tx: Transaction) -> None:
    """One transaction at a time changes what is in our schema of functions and sequences; all of them are short."""
    await tx.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", SCHEMA)


def _key(name: str) -> str:
    return f"{SCHEMA}.{name}"


async def keep_function(tx: Transaction, name: str) -> None:
    """Nobody deletes the function until the end of this transaction."""
    await tx.connection.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))", _key(name))


async def create_function(
    tx: Transaction,
    name: str,
    body: str,
    arguments: Sequence[Argument] = (),
    result: str | None = None,
    replace: bool = False,
) -> None:
    """Make a PL/pgSQL function from its body (``BEGIN … END``); ``result`` is the type it returns.

    Raises :class:`ValidationError`: ``name`` if it exists and is not to be replaced, ``definition`` for whatever
    PostgreSQL has against the rest.
    """
    check_name(name)
    if "\0" in body or printable(body) != body:
        raise ValidationError({"definition": ["invalid characters"]})
    for argument in arguments:
        if "\0" in argument.name or printable(argument.name) != argument.name or too_long(argument.name):
            raise ValidationError({"definition": [f'"{printable(argument.name)}" is not a valid argument name']})
    types = await _types(tx, [*(argument.type for argument in arguments), *([] if result is None else [result])])
    declared = ", ".join(
        f"{argument.mode.upper()} {identifier(argument.name)} {types[argument.type].sql}" for argument in arguments
    )
    identity = ", ".join(types[argument.type].sql for argument in arguments if argument.mode != "out")
    function = f"{qualified(SCHEMA, name)}({identity})"
    role, schema = identifier(tx.settings.triggers_role), identifier(SCHEMA)
    await lock_definitions(tx)
    try:
        # The role makes the function itself, and may make something only here.
        await tx.connection.execute(f"GRANT CREATE ON SCHEMA {schema} TO {role}; SET LOCAL ROLE {role}")
        await tx.connection.execute(
            f"CREATE {'OR REPLACE ' if replace else ''}FUNCTION {qualified(SCHEMA, name)}({declared})"
            f"{'' if result is None else f' RETURNS {types[result].sql}'}"
            f" LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp AS {_quoted(body)}"
        )
    except asyncpg.DuplicateFunctionError as error:
        raise ValidationError({"name": [message(error)]}) from None
    except asyncpg.PostgresError as error:
        if not about_input(error):
            raise
        raise ValidationError({"definition": [message(error)]}) from None
    await tx.connection.execute(
        f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC; GRANT EXECUTE ON FUNCTION {function} TO SESSION_USER;"
        f" SET LOCAL ROLE NONE; REVOKE CREATE ON SCHEMA {schema} FROM {role}"
    )


async def _types(tx: Transaction, names: Sequence[str]) -> dict[str, Declared]:
    """The types by their declared names. Raises :class:`ValidationError` ``definition`` for an unknown one."""
    types = await resolve(tx.connection, names)
    types |= {name: _RESULTS[name.strip().lower()] for name in names if name.strip().lower() in _RESULTS}
    for name in names:
        if name not in types:
            raise ValidationError({"definition": [f'type "{printable(name)}" does not exist']})
    return types


def _quoted(body: str) -> str:
    """The body in dollar quotes whose tag does not occur in it."""
    tag = "$body$"
    while tag in body or f"{body}$".endswith(tag):
        tag = f"$body_{secrets.token_hex(8)}$"
    return f"{tag}{body}{tag}"


async def delete_function(tx: Transaction, name: str, if_exists: bool = False) -> None:
    """Drop the function of this name: the one without arguments, or else the only one.

    Raises :class:`ValidationError` ``name`` if there is none (unless ``if_exists``), or a trigger uses it.
    """
    check_name(name)
    await lock_definitions(tx)
    rows = await tx.connection.fetch(
        """
        SELECT oid::int8, oid::regprocedure::text AS signature, pronargs AS arguments
        FROM pg_proc WHERE pronamespace = $2::regnamespace AND proname = $1
        ORDER BY pronargs, oid
        """,
        name,
        SCHEMA,
    )
    if not rows:
        if if_exists:
            return
        raise ValidationError({"name": [f"function {name}() does not exist"]})
    function = rows[0]
    if len(rows) > 1 and function["arguments"] > 0:
        raise ValidationError({"name": [f'function name "{name}" is not unique']})
    if not await tx.connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", _key(name)):
        raise ValidationError({"name": [f"function {name}() is being made a trigger of a table"]})
    users = await tx.connection.fetch(
        """
        SELECT DISTINCT class.relname::text AS name
        FROM pg_trigger AS trigger JOIN pg_class AS class ON class.oid = trigger.tgrelid
        WHERE trigger.tgfoid = $1::int8::oid
        ORDER BY name LIMIT 5
        """,
        function["oid"],
    )
    if users:
        tables = ", ".join(f'"{row["name"]}"' for row in users)
        raise ValidationError({"name": [f"function {name}() is in use by triggers of {tables}"]})
    await tx.connection.execute(f"DROP FUNCTION {function['signature']}")
