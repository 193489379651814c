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

# One statement for any number. Labels have no spaces.
_INSERT = """
    INSERT INTO datastore.activities (
        id, timestamp, user_id, object_id, activity_type, data, permission_labels, dataset_id, group_id, hidden)
    SELECT happened.id, happened.timestamp, $7, happened.object_id, happened.type, happened.data::json,
           string_to_array(happened.labels, ' '), happened.dataset_id, happened.group_id,
           $8 OR EXISTS (SELECT FROM datastore.users WHERE id = $7 AND name = $9)
    FROM unnest($1::text[], $2::timestamp[], $3::text[], $4::text[], $5::text[], $6::text[], $10::text[], $11::text[])
         AS happened (id, timestamp, object_id, type, data, labels, dataset_id, group_id)
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
    now = datetime.now(UTC).replace(tzinfo=None)
    ids = [str(uuid.uuid4()) for _ in activities]
    actor = tx.author.name or None
    await tx.connection.execute(
        _INSERT,
        ids,
        [now + timedelta(microseconds=place) for place in range(len(ids))],
        [activity.object_id for activity in activities],
        [activity.type for activity in activities],
        [msgspec.json.encode({**activity.data, "actor": actor}).decode() for activity in activities],
        [" ".join(activity.labels) for activity in activities],
        user_id or tx.author.id,
        user_id is None and tx.author.name == tx.settings.site_id,
        tx.settings.site_id,
        [activity.dataset_id for activity in activities],
        [activity.group_id for activity in activities],
    )
    return ids
