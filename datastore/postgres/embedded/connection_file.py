"""``connection.json``: how to connect to the embedded server of a data folder, with its passwords (mode 0600)."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import msgspec

from datastore.postgres.embedded.binaries import EmbeddedError
from datastore.postgres.embedded.cluster import SUPERUSER, sync_folder
from datastore.postgres.embedded.file_lock import give_to_owner_of
from datastore.settings import Settings

NAME = "connection.json"


class Connection(msgspec.Struct, frozen=True):
    """The content of the file. ``user`` is the owner role, ``port`` only names the socket in ``socket_folder``."""

    socket_folder: str
    port: int
    database: str
    user: str
    password: str
    superuser_password: str

    def dsn(self) -> str:
        """For the owner role."""
        return self._dsn(self.user, self.password, self.database)

    def superuser_dsn(self, database: str) -> str:
        """For the superuser, in ``database``."""
        return self._dsn(SUPERUSER, self.superuser_password, database)

    def _dsn(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@/{database}?host={quote(self.socket_folder)}&port={self.port}"


def embedded_home(settings: Settings) -> Path:
    """The folder of everything that belongs to the embedded server."""
    return settings.data_dir.expanduser().resolve() / "postgres"


def connection_dsn(settings: Settings) -> str:
    """The owner role's DSN of the embedded server; starts nothing.

    Raises EmbeddedError if no server was ever started in this data folder, or the file is not ours to read.
    """
    return existing_connection(embedded_home(settings)).dsn()


def existing_connection(home: Path) -> Connection:
    """The connection file in ``home``. Raises EmbeddedError if there is none."""
    connection = read_connection(home)
    if connection is None:
        raise EmbeddedError(
            f"No embedded PostgreSQL was ever started in {home}. Start the service (`datastore serve`), or check "
            "DATASTORE_DATA_DIR."
        )
    return connection


def read_connection(home: Path) -> Connection | None:
    """The connection file in ``home``, or None if there is none."""
    file = home / NAME
    try:
        return msgspec.json.decode(file.read_bytes(), type=Connection)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise EmbeddedError(
            f"{file} is not yours to read: run as the user that runs the service, or as root."
        ) from error
    except msgspec.DecodeError as error:
        raise EmbeddedError(f"{file} is damaged ({error}). Delete it: the next start makes new passwords.") from error


def write_connection(home: Path, connection: Connection) -> None:
    """Replace the connection file in ``home``, whole or not at all, so that it outlives a power cut."""
    draft = home / f"{NAME}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(connection), indent=2))
        file.flush()
        os.fsync(file.fileno())
    give_to_owner_of(home, draft)
    draft.rename(home / NAME)
    sync_folder(home)
