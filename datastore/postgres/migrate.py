"""Migrations of our own schema: the numbered files of ``sql/``, each applied once, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import structlog

from datastore.postgres.quoting import identifier
from datastore.settings import Settings

log = structlog.get_logger(__name__)
_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_LOCK = 0x64617461  # any constant, the same in every process


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name and its statements."""

    number: int
    name: str
    sql: str


def asset_folder(name: str) -> Path:
    """The folder ``sql`` or ``triggers``: inside the package when installed from a wheel, else beside it."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder {name}/ is missing from this installation of datastore")


def migrations() -> list[Migration]:
    """All migrations, in order. Raises :class:`ValueError` for a wrong name or a number that is not the next one."""
    found: list[Migration] = []
    for path in sorted(asset_folder("sql").glob("*.sql")):
        match = _NAME.match(path.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise ValueError(f"not the next migration: {path.name}")
        found.append(Migration(int(match[1]), path.stem, path.read_text(encoding="utf-8")))
    return found


async def migrate(connection: asyncpg.Connection, settings: Settings) -> list[str]:
    """Apply what is missing, each migration in its own transaction; several processes may call this at once.

    Gives the names of the migrations applied. In a migration ``:reader``, ``:public`` and ``:triggers`` stand for the
    roles.
    Raises :class:`asyncpg.PostgresError` if one fails; nothing of that one remains.
    """
    applied = []
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute("CREATE SCHEMA IF NOT EXISTS datastore")
        await connection.execute(
            """
            CREATE TABLE IF NOT EXISTS datastore.migrations (
                number integer PRIMARY KEY,
                name text NOT NULL,
                applied timestamptz NOT NULL DEFAULT now())
            """
        )
        done = {row["number"] for row in await connection.fetch("SELECT number FROM datastore.migrations")}
        for migration in migrations():
            if migration.number in done:
                continue
            statements = migration.sql.replace(":reader", identifier(settings.reader_role))
            statements = statements.replace(":public", identifier(settings.public_role))
            statements = statements.replace(":triggers", identifier(settings.triggers_role))
            async with connection.transaction():
                await connection.execute(statements)
                await connection.execute(
                    "INSERT INTO datastore.migrations (number, name) VALUES ($1, $2)", migration.number, migration.name
                )
            log.info("migration_applied", name=migration.name)
            applied.append(migration.name)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return applied
