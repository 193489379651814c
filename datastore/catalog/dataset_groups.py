"""The groups that collect a dataset (organizations own datasets instead)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import has_permission, refusal
from datastore.errors import NotFound
from datastore.postgres.database import Transaction
from datastore.validation import Problems, objects, required_text

_FIND = """
    SELECT id FROM datastore.groups
    WHERE (id = $1 OR name = $1) AND NOT is_organization AND state = 'active'
    ORDER BY id = $1 DESC LIMIT 1
    FOR KEY SHARE
"""

_ORDER = """
    SELECT id FROM datastore.groups WHERE id = ANY ($1::text[]) ORDER BY name COLLATE "C"
"""

_REMOVE = """
    DELETE FROM datastore.members WHERE table_name = 'package' AND table_id = $1 AND group_id <> ALL ($2::text[])
"""

_ADD = """
    INSERT INTO datastore.members (id, group_id, table_name, table_id, capacity)
    SELECT wanted.id, wanted.group_id, 'package', $1, 'public'
    FROM unnest($2::text[], $3::text[]) AS wanted (id, group_id)
    ON CONFLICT ON CONSTRAINT members_key DO NOTHING
"""


async def resolve_groups(
    tx: Transaction, problems: Problems, actor: Actor, data: Mapping[str, Any], before: Sequence[str]
) -> tuple[str, ...]:
    """The ids of the groups in ``data["groups"]``, a list of ``{id}`` or ``{name}``, ordered by name.

    Raises :class:`NotFound` for an unknown group, and :class:`NotAuthorized` unless the actor may add to each that is
    not in ``before``.
    """
    found = set()
    nested = []
    for group in objects("groups", data.get("groups")):
        problem = Problems()
        nested.append(problem)
        key = problem.check("id", required_text, group.get("id") or group.get("name"), "")
        if problem.fields:
            continue
        group_id = await tx.connection.fetchval(_FIND, key)
        if group_id is None:
            raise NotFound("Group")
        if group_id not in before and not has_permission(actor, group_id, "manage_group"):
            raise refusal(actor, "manage_group", f"group {group_id}")
        found.add(group_id)
    problems.nested("groups", nested)
    return tuple([row["id"] for row in await tx.connection.fetch(_ORDER, list(found))] if found else ())


async def set_groups(tx: Transaction, dataset_id: str, group_ids: Sequence[str]) -> None:
    """Make these the groups of the dataset, whose row is locked."""
    await tx.connection.execute(_REMOVE, dataset_id, list(group_ids))
    await tx.connection.execute(_ADD, dataset_id, [str(uuid.uuid4()) for _ in group_ids], list(group_ids))
