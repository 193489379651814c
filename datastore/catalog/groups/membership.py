"""Members of groups one by one: users, datasets, and parents (catalog-api.md §B5)."""

from __future__ import annotations

from typing import Any

import asyncpg

from datastore.accounts.actor import Actor
from datastore.accounts.members import capacity, remove_user, set_user_role, user_role
from datastore.accounts.permissions import ADMIN, CAPACITIES, require_permission
from datastore.accounts.users import User, find_user
from datastore.catalog.groups.packages import add_package, readable_dataset, remove_packages
from datastore.catalog.groups.parents import CAPACITY, check_parents, set_parents, stored_parents
from datastore.catalog.groups.rows import Group
from datastore.errors import NotAuthorized, NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import MISSING, Problems, is_sent, short_text

TYPES = ("user", "package", "group")

_USERS = """
    SELECT member.table_id AS id, member.table_name AS type, member.capacity
    FROM datastore.members AS member
    JOIN datastore.users AS usr ON usr.id = member.table_id
    WHERE member.group_id = $1 AND member.table_name = 'user' AND usr.state <> 'deleted'
    ORDER BY usr.name COLLATE "C"
"""

_PACKAGES = """
    SELECT dataset.id, 'package' AS type, collected.capacity
    FROM datastore.members AS collected
    JOIN datastore.datasets AS dataset ON dataset.id = collected.table_id
    WHERE collected.group_id = $4 AND collected.table_name = 'package'
          AND dataset.state = 'active' AND datastore.may_read(dataset, $1, $2, $3)
    UNION ALL
    SELECT dataset.id, 'package', 'organization'
    FROM datastore.datasets AS dataset
    WHERE dataset.owner_org = $4 AND dataset.state = 'active' AND datastore.may_read(dataset, $1, $2, $3)
    ORDER BY 1
"""

_PARENTS = """
    SELECT link.table_id AS id, link.table_name AS type, link.capacity
    FROM datastore.members AS link
    JOIN datastore.groups AS parent ON parent.id = link.table_id
    WHERE link.group_id = $1 AND link.table_name = 'group' AND parent.state = 'active'
    ORDER BY parent.name COLLATE "C"
"""


async def list_members(
    pool: asyncpg.Pool, actor: Actor, group: Group, types: tuple[str, ...], wanted: str | None
) -> list[list[str]]:
    """``[id, type, capacity]`` of the members of these types, roles with a capital letter: datasets as far as the
    actor may see them. ``wanted`` is a capacity that they all have."""
    found: list[asyncpg.Record] = []
    if "user" in types:
        found += await pool.fetch(_USERS, group.id)
    if "package" in types:
        found += await pool.fetch(_PACKAGES, *actor.who, group.id)
    if "group" in types:
        found += await pool.fetch(_PARENTS, group.id)
    return [
        [row["id"], row["type"], row["capacity"].title() if row["capacity"] in CAPACITIES else row["capacity"]]
        for row in found
        if wanted is None or row["capacity"].lower() == wanted.lower()
    ]


async def add_user(tx: Transaction, actor: Actor, group: Group, user: User, role: Any, field: str) -> dict[str, Any]:
    """Make the user a member of the locked group, or give them another role; gives the row.

    Raises :class:`ValidationError` for a role that there is not (at ``field``), and :class:`NotAuthorized` if an admin
    would take that role from themselves.
    """
    problems = Problems()
    checked = problems.check(field, capacity, role, "")
    problems.raise_if_any()
    demotes_self = user.id == actor.id and not actor.sysadmin and checked != ADMIN
    if demotes_self and await user_role(tx, group.id, user.id) == ADMIN:
        raise NotAuthorized("Administrators cannot revoke their own admin status")
    return {**await set_user_role(tx, group.id, user.id, checked), "state": "active"}


async def add_member(
    tx: Transaction, actor: Actor, group: Group, object_type: str, key: str, capacity: Any
) -> dict[str, Any]:
    """Put a user, a dataset or a parent into the locked group, or change their capacity; gives the row.

    Raises :class:`NotAuthorized`, :class:`NotFound` and :class:`ValidationError`.
    """
    _check_permission(actor, group, object_type, "member_create")
    if object_type == "user":
        if not is_sent(capacity):
            raise ValidationError({"capacity": [MISSING]})
        return await add_user(tx, actor, group, await existing_user(tx, key), capacity, "capacity")
    problems = Problems()
    if object_type == "package":
        _check_collects(group)
        wanted = problems.check("capacity", short_text, capacity, None)
        problems.raise_if_any()
        row = await add_package(tx, group.id, await readable_dataset(tx, actor, key), wanted or "public")
        return {**row, "state": "active"}
    before = await stored_parents(tx, group.id)
    entries = [{"id": parent} for parent in sorted(before)]
    parents = await check_parents(
        tx, problems, actor, {"groups": [*entries, {"id": key}]}, group.id, group.is_organization
    )
    problems.raise_if_any()
    await set_parents(tx, group.id, sorted(parents))
    row = await tx.connection.fetchrow(
        """
        SELECT member.id, member.table_name, member.table_id, member.group_id, member.capacity
        FROM datastore.members AS member JOIN datastore.groups AS parent ON parent.id = member.table_id
        WHERE member.group_id = $1 AND member.table_name = 'group' AND (parent.id = $2 OR parent.name = $2)
              AND member.capacity = $3
        ORDER BY parent.id = $2 DESC LIMIT 1
        """,
        group.id,
        key,
        CAPACITY,
    )
    return {**dict(row or {}), "state": "active"}


async def remove_member(tx: Transaction, actor: Actor, group: Group, object_type: str, key: str) -> None:
    """Take a user, a dataset or a parent out of the locked group; nothing happens if they are not in it.

    Raises :class:`NotAuthorized` and :class:`NotFound`.
    """
    _check_permission(actor, group, object_type, "member_delete")
    if object_type == "user":
        await remove_user(tx, group.id, (await existing_user(tx, key)).id)
    elif object_type == "package":
        await remove_packages(tx, group.id, [await readable_dataset(tx, actor, key)])
    else:
        parent = await tx.connection.fetchval(
            "SELECT id FROM datastore.groups WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1", key
        )
        if parent is None:
            raise NotFound("Group")
        await set_parents(tx, group.id, sorted(await stored_parents(tx, group.id) - {parent}))


async def existing_user(tx: Transaction, id_or_name: str) -> User:
    """The user of that id or name who is not deleted. Raises :class:`NotFound`."""
    user = await find_user(tx.connection, id_or_name)
    if user is None or user.state == "deleted":
        raise NotFound("User")
    return user


def _check_permission(actor: Actor, group: Group, object_type: str, operation: str) -> None:
    """Users and parents are a matter of admins; datasets in a group, of every member."""
    require_permission(actor, group.id, "manage_group" if object_type == "package" else "membership", operation)


def _check_collects(group: Group) -> None:
    if group.is_organization:
        raise ValidationError({"object_type": ["Datasets get into an organization by their owner_org"]})
