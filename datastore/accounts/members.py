"""Memberships of users in organizations and groups."""

from __future__ import annotations

import uuid
from typing import Any

from datastore.accounts.permissions import CAPACITIES
from datastore.accounts.tokens import CACHE_KIND
from datastore.postgres.database import Transaction
from datastore.validation import Invalid

_SET = """
    INSERT INTO datastore.members (id, group_id, table_name, table_id, capacity)
    VALUES ($1, $2, 'user', $3, $4)
    ON CONFLICT (group_id, table_name, table_id) DO UPDATE SET capacity = excluded.capacity
"""


def capacity(value: Any) -> str:
    """A role of users, or :class:`Invalid`."""
    if value not in CAPACITIES:
        raise Invalid("role does not exist.")
    return str(value)


async def set_user_role(tx: Transaction, group_id: str, user_id: str, role: str) -> None:
    """Make the user a member of the group with this role; their tokens carry it from the commit on."""
    await tx.connection.execute(_SET, str(uuid.uuid4()), group_id, user_id, role)
    tx.changed(CACHE_KIND, user_id)
