"""Activities: what somebody did, written in the transaction that does it (catalog-api.md §B6).

Every kind of write ends at one place, and that place calls :func:`record`; ``catalog/activity/`` reads them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from datastore.postgres.database import Transaction

OBJECTS = ("package", "group", "organization", "user", "resource view")
FOLLOWED = ("dataset", "user", "group")
TYPES = (
    *(
        f"{verb} {kind}"
        for verb in ("new", "changed", "deleted")
        for kind in OBJECTS
        if (verb, kind) != ("deleted", "user")
    ),
    *(f"follow {kind}" for kind in FOLLOWED),
)
"""Every ``activity_type``."""

_INSERT = """
    INSERT INTO datastore.activities (
        id, timestamp, user_id, object_id, activity_type, data, permission_labels, dataset_id, group_id,
        hidden)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
            $10 OR EXISTS (SELECT FROM datastore.users WHERE id = $3 AND name = $11))
"""


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened to an object."""

    type: str
    """One of :data:`TYPES`."""
    object_id: str
    data: Mapping[str, Any]
    """The object as the public would be shown it, under the name of its kind."""
    labels: Sequence[str]
    """Who can see the object: see ``accounts/permissions.py``. With none only sysadmins can."""
    dataset_id: str | None = None
    """The dataset that it is or belongs to."""
    group_id: str | None = None
    """The group that it is, or the organization that owns the dataset."""


async def record(tx: Transaction, activities: Sequence[Activity], user_id: str | None = None) -> list[str]:
    """Write down the activities of the transaction's author, or of another user; gives their ids.

    No two of one call have the same time, so that pages by time leave none out.
    """
    site_user = tx.settings.site_id
    by_service = user_id is None and tx.author.name == site_user
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [
        (
            str(uuid.uuid4()),
            now + timedelta(microseconds=place),
            user_id or tx.author.id,
            activity.object_id,
            activity.type,
            msgspec.json.encode({**activity.data, "actor": tx.author.name or None}),
            list(activity.labels),
            activity.dataset_id,
            activity.group_id,
            by_service,
            site_user,
        )
        for place, activity in enumerate(activities)
    ]
    await tx.connection.executemany(_INSERT, rows)
    return [row[0] for row in rows]
