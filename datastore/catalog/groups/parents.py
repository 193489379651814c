"""What is above a group: parents, as a list without loops (catalog-api.md §B3)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from datastore.accounts.actor import Actor
from datastore.accounts.members import roles_change
from datastore.accounts.permissions import has_permission, refusal
from datastore.postgres.database import Transaction
from datastore.validation import Problems, objects, required_text

CAPACITY = "parent"

_FIND = """
    SELECT id FROM datastore.groups
    WHERE (id = $1 OR name = $1) AND is_organization = $2 AND state = 'active'
    ORDER BY id = $1 DESC LIMIT 1
    FOR KEY SHARE
"""

_STORED = "SELECT table_id FROM datastore.members WHERE group_id = $1 AND table_name = 'group'"

# One transaction at a time changes what is above what: two of them could close a loop together.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('datastore hierarchy of groups', 0))"

_IS_ABOVE_ITSELF = """
    WITH RECURSIVE above (id) AS (
        SELECT unnest($2::text[])
        UNION
        SELECT link.table_id
        FROM above JOIN datastore.members AS link ON link.group_id = above.id AND link.table_name = 'group'
    )
    SELECT EXISTS (SELECT FROM above WHERE id = $1)
"""

_REMOVE = """
    DELETE FROM datastore.members WHERE group_id = $1 AND table_name = 'group' AND table_id <> ALL ($2::text[])
"""

_ADD = """
    INSERT INTO datastore.members (id, group_id, table_name, table_id, capacity)
    SELECT wanted.id, $1, 'group', wanted.parent, 'parent'
    FROM unnest($2::text[], $3::text[]) AS wanted (id, parent)
    ON CONFLICT ON CONSTRAINT members_key DO NOTHING
"""


async def stored_parents(tx: Transaction, group_id: str) -> set[str]:
    """The ids of the groups right above."""
    return {row["table_id"] for row in await tx.connection.fetch(_STORED, group_id)}


async def check_parents(
    tx: Transaction, problems: Problems, actor: Actor, data: Mapping[str, Any], group_id: str, is_organization: bool
) -> set[str]:
    """The ids of the groups in ``data["groups"]``, a list of ``{name}`` or ``{id}``, of the same kind as the group.

    Raises :class:`NotAuthorized` unless the actor is an admin of each that is not above the group yet.
    """
    before = await stored_parents(tx, group_id)
    found = set()
    nested = []
    for entry in objects("groups", data.get("groups")):
        problem = Problems()
        nested.append(problem)
        key = problem.check("name", required_text, entry.get("name") or entry.get("id"), "")
        if problem.fields:
            continue
        parent = await tx.connection.fetchval(_FIND, key, is_organization)
        if parent is None:
            problem.add("name", f"Not found: {'Organization' if is_organization else 'Group'}")
            continue
        if parent not in before and not has_permission(actor, parent, "update"):
            raise refusal(actor, "group_update", f"group {parent}")
        found.add(parent)
    problems.nested("groups", nested)
    if found - before and not problems.fields:
        await tx.connection.execute(_ALONE)
        if await tx.connection.fetchval(_IS_ABOVE_ITSELF, group_id, sorted(found)):
            problems.add("groups", "A group cannot be above itself")
    return found


async def set_parents(tx: Transaction, group_id: str, parents: Sequence[str]) -> None:
    """Make these, which :func:`check_parents` gave, the groups right above. Roles that cascade follow."""
    await roles_change(tx, group_id)
    await tx.connection.execute(_REMOVE, group_id, list(parents))
    await tx.connection.execute(_ADD, group_id, [str(uuid.uuid4()) for _ in parents], list(parents))
    await roles_change(tx, group_id)
