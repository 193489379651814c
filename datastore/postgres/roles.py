"""The roles beside the owner, who is the user of the connection address; and how the service logs in as one of them.

``<prefix>_reader`` may read every dataset and is used after a permission check; ``<prefix>_public`` may read only the
schemas of public datasets: a mistake above is then not a leak. ``<prefix>_triggers``, as which nobody logs in, is what
the functions of triggers run as: it may read and write the rows of datasets, and can neither see the catalog nor make
anything. The owner is a member of it, to give it the functions.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from datastore.postgres.hardening import pass_on
from datastore.postgres.quoting import identifier, literal
from datastore.settings import Settings

_ATTEMPTS = 10


def secret(settings: Settings) -> bytes:
    """The secret of this installation: the setting, else the one kept in the data folder (made at the first call)."""
    if settings.secret_key:
        return settings.secret_key.encode()
    if settings.database_url and (password := urlsplit(settings.database_url).password):
        # Every machine that serves one database then agrees, with nothing more to configure.
        return hashlib.sha256(b"datastore:" + password.encode()).digest()
    path = settings.data_dir / "secret_key"
    if not path.exists():
        _create_once(path, secrets.token_hex(32))
    return path.read_text().strip().encode()


def _create_once(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` (mode 0600) unless somebody else did meanwhile; never leave half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def role_password(settings: Settings, role: str) -> str:
    """The password of a read-only role, derived from the secret: nothing more to store or to distribute."""
    return hmac.new(secret(settings), f"role:{role}".encode(), hashlib.sha256).hexdigest()


async def ensure_roles(connection: asyncpg.Connection, settings: Settings) -> None:
    """Create the roles, or set the passwords of the read-only ones anew.

    ``connection``, the owner's, needs the right to create roles. Raises :class:`asyncpg.InsufficientPrivilegeError` if
    it lacks it and something has to be done; :func:`missing_roles_sql` is what an administrator then runs.
    """
    for attempt in range(_ATTEMPTS):
        try:
            await _make_roles(connection, settings)
            return
        except (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError, asyncpg.InternalServerError):
            # Roles belong to the whole server: an instance of another database does the same at this moment.
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.1)


async def _make_roles(connection: asyncpg.Connection, settings: Settings) -> None:
    async with connection.transaction():
        for role in (settings.reader_role, settings.public_role):
            verb = "ALTER" if await _exists(connection, role) else "CREATE"
            await connection.execute(f"{verb} ROLE {identifier(role)} {_attributes(settings, role)}")
        triggers = settings.triggers_role
        if not await _exists(connection, triggers):
            await connection.execute(f"CREATE ROLE {identifier(triggers)} NOLOGIN")
        if not await _may_become(connection, triggers):
            await connection.execute(f"GRANT {identifier(triggers)} TO CURRENT_USER")
        await pass_on(connection, [settings.reader_role, settings.public_role], triggers)


async def _exists(connection: asyncpg.Connection, role: str) -> bool:
    return bool(await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role))


async def _may_become(connection: asyncpg.Connection, role: str) -> bool:
    # From version 16 on a member may have been given the role without the right to SET it.
    right = "SET" if connection.get_server_version().major >= 16 else "MEMBER"
    return bool(await connection.fetchval("SELECT pg_has_role($1, $2)", role, right))


def _attributes(settings: Settings, role: str) -> str:
    return f"LOGIN NOINHERIT PASSWORD {literal(role_password(settings, role))}"


def roles_sql(settings: Settings) -> str:
    """The statements by which an administrator creates the roles that log in, where the service may not."""
    return "\n".join(
        f"CREATE ROLE {identifier(role)} {_attributes(settings, role)};"
        for role in (settings.reader_role, settings.public_role)
    )


async def missing_roles_sql(connection: asyncpg.Connection, settings: Settings) -> str:
    """The statements by which an administrator makes what is missing; empty if nothing is.

    Whether the passwords of existing roles fit is seen at the first login.
    """
    statements = [
        f"CREATE ROLE {identifier(role)} {_attributes(settings, role)};"
        for role in (settings.reader_role, settings.public_role)
        if not await _exists(connection, role)
    ]
    owner = identifier(await connection.fetchval("SELECT current_user::text"))
    triggers = identifier(settings.triggers_role)
    if not await _exists(connection, settings.triggers_role):
        statements.append(f"CREATE ROLE {triggers} NOLOGIN ROLE {owner};")
    elif not await _may_become(connection, settings.triggers_role):
        statements.append(f"GRANT {triggers} TO {owner};")
    return "\n".join(statements)
