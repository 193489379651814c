"""How connections are opened: by which role, with which settings of the session, alone or in a pool.

Session state never leaves a request: everything a pool's connections need is set once, in their start-up packet, so no
reset runs between requests and a read is one round trip.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from urllib.parse import urlsplit

import asyncpg

from datastore.postgres.reads import ReadPool
from datastore.postgres.roles import role_password
from datastore.settings import Settings

_SESSION = {
    "application_name": "datastore",
    "search_path": "pg_catalog",  # names are always written qualified
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "jit": "off",
    # Every value is planned for: the plan is the best for it, and one of a wrong type is refused even where no row is
    # there to be compared with it. Statements without arguments are still planned once.
    "plan_cache_mode": "force_custom_plan",
}


async def connect_as_owner(
    dsn: str, settings: Settings, session: Mapping[str, str] = MappingProxyType({})
) -> asyncpg.Connection:
    """A single connection of the owner, outside the pools, with further settings of its ``session``."""
    return await asyncpg.connect(dsn, timeout=settings.connect_timeout, server_settings={**_SESSION, **session})


def owner_pool(dsn: str, settings: Settings) -> asyncpg.Pool:
    """The owner's connections."""
    limits = {
        "statement_timeout": f"{int(settings.write_timeout * 1000)}ms",
        "lock_timeout": f"{int(settings.lock_timeout * 1000)}ms",
    }
    return asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=settings.pool_size,
        max_inactive_connection_lifetime=0,
        timeout=settings.connect_timeout,
        statement_cache_size=1024,
        init=_decode_json_as_bytes,
        reset=_no_reset,
        server_settings={**_SESSION, **limits},
    )


def read_pool(dsn: str, settings: Settings, role: str) -> ReadPool:
    """The connections of a role that only reads."""
    limits = {
        "statement_timeout": f"{int(settings.read_timeout * 1000)}ms",
        "default_transaction_read_only": "on",
        "lock_timeout": "5s",
    }

    return ReadPool(partial(connect_reading, dsn, settings, role, limits), settings.pool_size)


async def connect_reading(dsn: str, settings: Settings, role: str, limits: Mapping[str, str]) -> asyncpg.Connection:
    """A single connection of a role that only reads, with further settings of its session."""
    connection = await asyncpg.connect(
        _without_credentials(dsn),
        user=role,
        password=role_password(settings, role),
        timeout=settings.connect_timeout,
        statement_cache_size=1024,
        server_settings={**_SESSION, **limits},
    )
    _leave_jit_alone(connection)
    try:
        await _decode_json_as_bytes(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def connect_dumping(dsn: str, settings: Settings, role: str) -> asyncpg.Connection:
    """A single connection of a role that only reads, for COPY and without a time limit."""
    connection = await asyncpg.connect(
        _without_credentials(dsn),
        user=role,
        password=role_password(settings, role),
        timeout=settings.connect_timeout,
        server_settings={**_SESSION, "default_transaction_read_only": "on"},
    )
    _leave_jit_alone(connection)
    return connection


def _leave_jit_alone(connection: asyncpg.Connection) -> None:
    """Before it asks about a type, asyncpg turns JIT off by set_config, which the read-only roles may not call.

    It is off in all our sessions.
    """
    connection._server_caps = connection._server_caps._replace(jit=False)


def _without_credentials(dsn: str) -> str:
    """The address without user and password, which asyncpg would prefer to its own arguments otherwise."""
    parts = urlsplit(dsn)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


async def _no_reset(_connection: asyncpg.Connection) -> None:
    """Leave the session as it is: nothing here changes it outside a transaction, but functions; database.py cleans."""


async def _decode_json_as_bytes(connection: asyncpg.Connection) -> None:
    """JSON that PostgreSQL built passes through as bytes: no text decoding, no parsing."""
    await connection.set_type_codec("json", schema="pg_catalog", encoder=_encode, decoder=bytes, format="binary")


def _encode(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
