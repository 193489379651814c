"""What PostgreSQL gives to everybody and the read-only roles need not have: taken away on the embedded server.

The last layer below the SQL gate; nothing above relies on it. On another server the rights of PUBLIC are its operator's
business and never touched: docs/security.md says what an operator can do there.
"""

from __future__ import annotations

import asyncpg

from datastore.postgres.quoting import identifier

_DANGEROUS = r"""(?x) ^ (
    pg_sleep.* | pg_(try_)?advisory_.*                                   # waits and locks
  | pg_notify | pg_cancel_backend | pg_terminate_backend                 # signals: sessions of the same role suffice
  | pg_export_snapshot | pg_logical_emit_message
  | txid_current | pg_current_xact_id                                    # uses a transaction number up
  | set_config | setseed                                                 # changes the session
  | lo_.* | loread | lowrite                                             # large objects
  | ts_stat | ts_rewrite | (query|table|cursor|schema|database)_to_xml.* # runs a text as SQL
  | pg_read_.* | pg_ls_.* | pg_stat_file                                 # files
  | pg_stat_get_(backend_)?activity | pg_lock_status                     # what other sessions do
  | pg_prepared_statement | pg_cursor                                    # what others did in this one
) $"""
"""Functions of ``pg_catalog`` by name. Not ``current_setting`` and its like, which every client library needs."""

_FIND = """
    SELECT function.oid::regprocedure::text
    FROM pg_proc AS function
    WHERE function.pronamespace = 'pg_catalog'::regnamespace AND function.proname ~ $1
          AND EXISTS (
              SELECT FROM aclexplode(coalesce(function.proacl, acldefault('f', function.proowner))) AS entry
              WHERE entry.grantee = 0 AND entry.privilege_type = 'EXECUTE')
"""

_SET_CONFIG = "pg_catalog.set_config(text, text, boolean)"
_TEMP_LIMIT = "temp_file_limit"


async def harden_database(dsn: str, owner: str) -> None:
    """:func:`harden` the database of a superuser's address: at every start, since a version may bring new functions."""
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        await harden(connection, owner)
    finally:
        await connection.close()


async def harden(connection: asyncpg.Connection, owner: str) -> int:
    """Take dangerous functions from everybody but superusers and ``owner``, who may pass them on; how many were taken.

    ``connection`` is a superuser's, to the only database that is concerned. The owner also gets the right to limit
    temporary files. May be repeated, and then does nothing.
    """
    role = identifier(owner)
    taken = [row[0] for row in await connection.fetch(_FIND, _DANGEROUS)]
    statements = []
    for function in taken:
        statements.append(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        statements.append(f"GRANT EXECUTE ON FUNCTION {function} TO {role} WITH GRANT OPTION")
    right = "SELECT has_parameter_privilege($1, $2, 'SET WITH GRANT OPTION')"
    if not await connection.fetchval(right, owner, _TEMP_LIMIT):
        statements.append(f"GRANT SET ON PARAMETER {_TEMP_LIMIT} TO {role} WITH GRANT OPTION")
    if statements:
        await connection.execute(";\n".join(statements))  # one transaction
    return len(taken)


async def pass_on(connection: asyncpg.Connection, readers: list[str], triggers: str) -> None:
    """Give the roles what they do need of it, as the owner, where the owner may.

    Triggers may set what lasts for a transaction; the connections of ``readers`` limit their temporary files.
    """
    execute = "SELECT has_function_privilege($1, $2, 'EXECUTE')"
    may_grant = "SELECT has_function_privilege(current_user, $1, 'EXECUTE WITH GRANT OPTION')"
    missing = not await connection.fetchval(execute, triggers, _SET_CONFIG)
    if missing and await connection.fetchval(may_grant, _SET_CONFIG):
        await connection.execute(f"GRANT EXECUTE ON FUNCTION {_SET_CONFIG} TO {identifier(triggers)}")
    may_limit = "SELECT has_parameter_privilege(current_user, $1, 'SET WITH GRANT OPTION')"
    if await connection.fetchval(may_limit, _TEMP_LIMIT):
        for reader in readers:
            if not await connection.fetchval("SELECT has_parameter_privilege($1, $2, 'SET')", reader, _TEMP_LIMIT):
                await connection.execute(f"GRANT SET ON PARAMETER {_TEMP_LIMIT} TO {identifier(reader)}")
