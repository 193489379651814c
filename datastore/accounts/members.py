"""Memberships of users in organizations and groups."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from datastore.accounts.actor import CACHE_KIND
from datastore.accounts.permissions import CAPACITIES
from datastore.postgres.database import Transaction
from datastore.validation import Invalid

_SET = """
    INSERT INTO datastore.members AS stored (id, group_id, table_name, table_id, capacity)
    VALUES ($1, $2, 'user', $3, $4)
    ON CONFLICT (group_id, table_name, table_id) DO UPDATE SET capacity = excluded.capacity
    RETURNING stored.id, stored.table_name, stored.table_id, stored.group_id, stored.capacity
"""

_ROLE = """
    SELECT capacity FROM datastore.members WHERE group_id = $1 AND table_name = 'user' AND table_id = $2
"""

_REMOVE = "DELETE FROM datastore.members WHERE group_id = $1 AND table_name = 'user' AND table_id = $2"

_USERS = "SELECT table_id, capacity FROM datastore.members WHERE group_id = $1 AND table_name = 'user'"

# The members of the group, and of the groups above, whose roles may count in it.
_CONCERNED = """
    WITH RECURSIVE above (id) AS (
        SELECT $1
        UNION
        SELECT link.table_id
        FROM above JOIN datastore.members AS link ON link.group_id = above.id AND link.table_name = 'group'
    )
    SELECT DISTINCT member.table_id
    FROM above JOIN datastore.members AS member ON member.group_id = above.id AND member.table_name = 'user'
"""


def capacity(value: Any) -> str:
    """A role of users, or :class:`Invalid`."""
    if value not in CAPACITIES:
        raise Invalid("role does not exist.")
    return str(value)


async def set_user_role(tx: Transaction, group_id: str, user_id: str, role: str) -> dict[str, Any]:
    """Make the user a member of the group with this role; their tokens carry it from the commit on. Gives the row."""
    row = await tx.connection.fetchrow(_SET, str(uuid.uuid4()), group_id, user_id, role)
    tx.changed(CACHE_KIND, user_id)
    return dict(row or {})


async def user_role(tx: Transaction, group_id: str, user_id: str) -> str | None:
    """The user's own role in the group, inherited ones left aside, or None."""
    found: str | None = await tx.connection.fetchval(_ROLE, group_id, user_id)
    return found


async def remove_user(tx: Transaction, group_id: str, user_id: str) -> None:
    """The user is no longer a member of the group."""
    await tx.connection.execute(_REMOVE, group_id, user_id)
    tx.changed(CACHE_KIND, user_id)


async def set_users(tx: Transaction, group_id: str, roles: Mapping[str, str]) -> None:
    """Make these, roles by user id, the members of the group."""
    before = dict(await tx.connection.fetch(_USERS, group_id))
    for user_id in before.keys() - roles.keys():
        await remove_user(tx, group_id, user_id)
    for user_id, role in roles.items():
        if before.get(user_id) != role:
            await set_user_role(tx, group_id, user_id, role)


async def roles_change(tx: Transaction, group_id: str) -> None:
    """The group's state or parents change: whoever may have a role in it gets it computed anew from the commit on.

    Call it before and after its parents change.
    """
    for row in await tx.connection.fetch(_CONCERNED, group_id):
        tx.changed(CACHE_KIND, row["table_id"])
    tx.changed(CACHE_KIND, group_id)
