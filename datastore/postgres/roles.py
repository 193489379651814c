"""The two read-only roles, and how the service logs in as one of them.

The owner is the user of the connection address. ``<prefix>_reader`` may read every dataset and is used after a
permission check; ``<prefix>_public`` may read only the schemas of public datasets: a mistake above is then not a leak.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from datastore.postgres.quoting import identifier, literal
from datastore.settings import Settings


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
    """Create the two read-only roles, or set their passwords anew.

    ``connection`` needs the right to create roles. Raises :class:`asyncpg.InsufficientPrivilegeError` if it lacks it
    and a role is missing; :func:`roles_sql` is what an administrator then runs.
    """
    for role in (settings.reader_role, settings.public_role):
        async with connection.transaction():
            # Two instances that start at once must not both create it.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"datastore role {role}")
            exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
            verb = "ALTER" if exists else "CREATE"
            await connection.execute(f"{verb} ROLE {identifier(role)} {_attributes(settings, role)}")


def _attributes(settings: Settings, role: str) -> str:
    return f"LOGIN NOINHERIT PASSWORD {literal(role_password(settings, role))}"


def roles_sql(settings: Settings) -> str:
    """The statements by which an administrator creates the roles, where the service may not."""
    return "\n".join(
        f"CREATE ROLE {identifier(role)} {_attributes(settings, role)};"
        for role in (settings.reader_role, settings.public_role)
    )
