"""Groups and organizations as stored and as shown (catalog-api.md §B3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from datastore.accounts.actor import Actor
from datastore.accounts.followers import count_followers
from datastore.accounts.images import image_display_url
from datastore.accounts.users import USER_COLUMNS, User, show_user
from datastore.catalog import dates
from datastore.errors import NotFound
from datastore.postgres.database import Transaction
from datastore.validation import is_storable


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group or organization as stored."""

    id: str
    name: str
    title: str | None
    description: str | None
    image_url: str | None
    type: str
    is_organization: bool
    approval_status: str
    state: str
    extras: dict[str, str | None]
    created: datetime
    package_count: int = 0
    """How many of its active datasets the actor may see, where that was asked for."""

    @property
    def kind(self) -> str:
        """``Organization`` or ``Group``, for messages."""
        return kind_name(self.is_organization)


class Member(User, frozen=True, kw_only=True):
    """A user with their role in a group."""

    capacity: str


@dataclass(frozen=True, slots=True)
class Include:
    """What is shown of a group besides its own fields."""

    dataset_count: bool = True
    extras: bool = True
    users: bool = True
    groups: bool = True
    tags: bool = False
    followers: bool = True
    member_count: bool = False


# Arguments 1 to 3 are those of datastore.may_read.
_VISIBLE = "dataset.state = 'active' AND datastore.may_read(dataset, $1, $2, $3)"
PACKAGE_COUNT = {
    True: f"""
        (
            SELECT count(*) FROM datastore.datasets AS dataset
            WHERE dataset.owner_org = grp.id AND {_VISIBLE}
        )""",
    False: f"""
        (
            SELECT count(*)
            FROM datastore.members AS collected
            JOIN datastore.datasets AS dataset ON dataset.id = collected.table_id
            WHERE collected.group_id = grp.id AND collected.table_name = 'package' AND {_VISIBLE}
        )""",
}
"""How many datasets the actor sees in an organization, or (False) in another group ``grp``."""

_FIND = """
    SELECT row_to_json(found)
    FROM (
        SELECT grp.*, {count} AS package_count
        FROM datastore.groups AS grp
        WHERE (grp.id = $4 OR grp.name = $4) AND grp.is_organization = $5
        ORDER BY grp.id = $4 DESC
        LIMIT 1
    ) AS found
"""

_LOCK = """
    SELECT id FROM datastore.groups
    WHERE (id = $1 OR name = $1) AND ($2::boolean IS NULL OR is_organization = $2)
    ORDER BY id = $1 DESC
    LIMIT 1
    FOR {lock}
"""

_BY_ID = "SELECT row_to_json(grp) FROM datastore.groups AS grp WHERE grp.id = $1"

_USERS = f"""
    SELECT row_to_json(found)
    FROM (
        SELECT {USER_COLUMNS}, member.capacity
        FROM datastore.members AS member
        JOIN datastore.users AS usr ON usr.id = member.table_id
        WHERE member.group_id = $1 AND member.table_name = 'user' AND usr.state <> 'deleted'
        ORDER BY usr.name COLLATE "C"
    ) AS found
"""

_USER_COUNT = """
    SELECT count(*)
    FROM datastore.members AS member
    JOIN datastore.users AS usr ON usr.id = member.table_id
    WHERE member.group_id = $1 AND member.table_name = 'user' AND usr.state <> 'deleted'
"""

_PARENTS = """
    SELECT row_to_json(parent)
    FROM datastore.members AS link
    JOIN datastore.groups AS parent ON parent.id = link.table_id
    WHERE link.group_id = $1 AND link.table_name = 'group' AND parent.state = 'active'
    ORDER BY parent.name COLLATE "C"
"""


def kind_name(is_organization: bool) -> str:
    """``Organization`` or ``Group``, for messages."""
    return "Organization" if is_organization else "Group"


async def find_group(pool: asyncpg.Pool, actor: Actor, id_or_name: str, is_organization: bool) -> Group:
    """The group or organization of that id or name, in any state. Raises :class:`NotFound`, also for the other kind."""
    row = None
    if is_storable(id_or_name):
        sql = _FIND.format(count=PACKAGE_COUNT[is_organization])
        row = await pool.fetchval(sql, *actor.who, id_or_name, is_organization)
    if row is None:
        raise NotFound(kind_name(is_organization))
    return msgspec.json.decode(row, type=Group)


async def lock_group(tx: Transaction, id_or_name: str, is_organization: bool | None, *, purge: bool = False) -> Group:
    """Lock the group's row, as every write to it does first, and read it. ``None`` takes either kind.

    With ``purge`` nobody can refer to the group any more, not even one who has not committed that yet.

    Raises :class:`NotFound`.
    """
    row = None
    if is_storable(id_or_name):
        sql = _LOCK.format(lock="UPDATE" if purge else "NO KEY UPDATE")
        row = await tx.connection.fetchval(sql, id_or_name, is_organization)
    if row is None:
        raise NotFound(kind_name(bool(is_organization)))
    return msgspec.json.decode(await tx.connection.fetchval(_BY_ID, row), type=Group)


async def group_of_id(connection: asyncpg.Connection | asyncpg.Pool, group_id: str) -> Group:
    """The group or organization of that id, in any state. Raises :class:`NotFound`."""
    row = await connection.fetchval(_BY_ID, group_id)
    if row is None:
        raise NotFound("Group")
    return msgspec.json.decode(row, type=Group)


async def parents_of(connection: asyncpg.Connection | asyncpg.Pool, group_id: str) -> list[Group]:
    """The active groups right above, by name."""
    return [msgspec.json.decode(row[0], type=Group) for row in await connection.fetch(_PARENTS, group_id)]


async def show_groups(
    pool: asyncpg.Pool, groups: Sequence[Group], site_url: str, include: Include
) -> list[dict[str, Any]]:
    """The groups as the API shows them."""
    return [await show_group(pool, group, site_url, include) for group in groups]


async def show_group(
    pool: asyncpg.Connection | asyncpg.Pool, group: Group, site_url: str, include: Include
) -> dict[str, Any]:
    """The group as the API shows it."""
    shown = _own_fields(group, site_url)
    if include.dataset_count:
        shown["package_count"] = group.package_count
    if include.followers:
        shown["num_followers"] = await count_followers(pool, group.id)
    if include.member_count:
        shown["member_count"] = await pool.fetchval(_USER_COUNT, group.id)
    if include.extras:
        shown["extras"] = [{"key": key, "value": value} for key, value in sorted(group.extras.items())]
    if include.users:
        rows = await pool.fetch(_USERS, group.id)
        members = [msgspec.json.decode(row[0], type=Member) for row in rows]
        shown["users"] = [{**show_user(member, site_url), "capacity": member.capacity} for member in members]
    if include.groups:
        parents = await parents_of(pool, group.id)
        shown["groups"] = [{**_own_fields(parent, site_url), "capacity": "parent"} for parent in parents]
    if include.tags:
        shown["tags"] = []  # groups have none; clients look for the key
    return shown


def _own_fields(group: Group, site_url: str) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "title": group.title,
        "display_name": group.title or group.name,
        "description": group.description,
        "image_url": group.image_url,
        "image_display_url": image_display_url(site_url, "group", group.image_url),
        "type": group.type,
        "is_organization": group.is_organization,
        "approval_status": group.approval_status,
        "created": dates.render(group.created),
        "state": group.state,
    }
