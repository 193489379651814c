"""Collaborators: users who are let into single datasets, whatever their role in the organization (catalog-api.md §B5).

What they may do is part of the actor (``Actor.collaborations``), so every check, list and SQL statement knows of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from datastore.accounts.actor import CACHE_KIND
from datastore.accounts.permissions import ADMIN, EDITOR, MEMBER
from datastore.postgres.database import Transaction
from datastore.settings import Settings
from datastore.validation import Invalid

_SET = """
    INSERT INTO datastore.collaborators (dataset_id, user_id, capacity, modified)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (dataset_id, user_id) DO UPDATE SET capacity = excluded.capacity, modified = excluded.modified
    RETURNING dataset_id, user_id, capacity, modified
"""

_LIST = """
    SELECT collaborator.dataset_id, collaborator.user_id, collaborator.capacity, collaborator.modified
    FROM datastore.collaborators AS collaborator
    JOIN datastore.users AS usr ON usr.id = collaborator.user_id
    WHERE ($1::text IS NULL OR collaborator.dataset_id = $1) AND ($2::text IS NULL OR collaborator.user_id = $2)
          AND ($3::text IS NULL OR collaborator.capacity = $3)
    ORDER BY usr.name COLLATE "C", collaborator.dataset_id
"""


def capacities(settings: Settings) -> tuple[str, ...]:
    """What collaborators may be."""
    return (ADMIN, EDITOR, MEMBER) if settings.allow_admin_collaborators else (EDITOR, MEMBER)


def capacity(value: Any, settings: Settings) -> str:
    """One of :func:`capacities`, or :class:`Invalid`."""
    allowed = capacities(settings)
    if value not in allowed:
        raise Invalid(f'Role must be one of "{", ".join(allowed)}"')
    return str(value)


async def set_collaborator(tx: Transaction, dataset_id: str, user_id: str, capacity: str) -> dict[str, Any]:
    """Let the user into the dataset, or change what they may; from the commit on their tokens know. Gives the row."""
    now = datetime.now(UTC).replace(tzinfo=None)
    row = await tx.connection.fetchrow(_SET, dataset_id, user_id, capacity, now)
    tx.changed(CACHE_KIND, user_id)
    return _shown(row)


async def remove_collaborator(tx: Transaction, dataset_id: str, user_id: str) -> bool:
    """Let the user into the dataset no longer. False if they were no collaborator."""
    gone = await tx.connection.fetchval(
        "DELETE FROM datastore.collaborators WHERE dataset_id = $1 AND user_id = $2 RETURNING true", dataset_id, user_id
    )
    tx.changed(CACHE_KIND, user_id)
    return bool(gone)


async def list_collaborators(
    pool: asyncpg.Pool, *, dataset_id: str | None = None, user_id: str | None = None, capacity: str | None = None
) -> list[dict[str, Any]]:
    """The collaborators of a dataset, by name, or the datasets that a user collaborates on."""
    return [_shown(row) for row in await pool.fetch(_LIST, dataset_id, user_id, capacity)]


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "package_id": row["dataset_id"],
        "user_id": row["user_id"],
        "capacity": row["capacity"],
        "modified": row["modified"].isoformat(),
    }
