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

# In the order of the groups' names; a key may be spelt like the id of one group and the name of another: the id wins.
_FIND = """
    SELECT id, name FROM datastore.groups
    WHERE (id = ANY ($1::text[]) OR name = ANY ($1::text[])) AND NOT is_organization AND state = 'active'
    ORDER BY name COLLATE "C"
    FOR KEY SHARE
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
    given = objects("groups", data.get("groups"))
    nested = [Problems() for _ in given]
    keys = [
        problem.check("id", required_text, group.get("id") or group.get("name"), "")
        for group, problem in zip(given, nested, strict=True)
    ]
    problems.nested("groups", nested)
    wanted = {key for key in keys if key}
    rows = await tx.connection.fetch(_FIND, list(wanted)) if wanted else []
    ids = {row["name"]: row["id"] for row in rows} | {row["id"]: row["id"] for row in rows}
    if not wanted <= ids.keys():
        raise NotFound("Group")
    chosen = {ids[key] for key in wanted}
    for group_id in chosen.difference(before):
        if not has_permission(actor, group_id, "manage_group"):
            raise refusal(actor, "manage_group", f"group {group_id}")
    return tuple(row["id"] for row in rows if row["id"] in chosen)


async def set_groups(tx: Transaction, dataset_id: str, group_ids: Sequence[str]) -> None:
    """Make these the groups of the dataset, whose row is locked."""
    await tx.connection.execute(_REMOVE, dataset_id, list(group_ids))
    await tx.connection.execute(_ADD, dataset_id, [str(uuid.uuid4()) for _ in group_ids], list(group_ids))
