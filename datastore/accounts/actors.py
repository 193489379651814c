"""Users and tokens as actors: roles with what they inherit, collaborations, and what a token leaves of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
import msgspec

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import (
    ADMIN,
    EDITOR,
    MEMBER,
    DatasetAccess,
    may_read_dataset,
    may_update_dataset,
)
from datastore.settings import Settings

# $1: which roles count in sub-groups too; $2: whether there are collaborators.
_RIGHTS = """
    usr.id AS user_id, usr.name, usr.sysadmin,
    (
        WITH RECURSIVE held (group_id, capacity) AS (
            SELECT member.group_id, member.capacity
            FROM datastore.members AS member
            JOIN datastore.groups AS grp ON grp.id = member.group_id AND grp.state = 'active'
            WHERE member.table_name = 'user' AND member.table_id = usr.id
            UNION
            SELECT link.group_id, held.capacity
            FROM held
            JOIN datastore.members AS link ON link.table_name = 'group' AND link.table_id = held.group_id
            JOIN datastore.groups AS grp ON grp.id = link.group_id AND grp.state = 'active'
            WHERE held.capacity = ANY ($1::text[])
        )
        SELECT coalesce(json_object_agg(strongest.group_id, strongest.capacity), '{}')
        FROM (
            SELECT DISTINCT ON (held.group_id) held.group_id, held.capacity FROM held
            ORDER BY held.group_id, array_position(ARRAY['admin', 'editor', 'member'], held.capacity)
        ) AS strongest
    ) AS roles,
    (
        SELECT coalesce(json_object_agg(collaborator.dataset_id, collaborator.capacity), '{}')
        FROM datastore.collaborators AS collaborator
        WHERE $2 AND collaborator.user_id = usr.id
    ) AS collaborations
"""

_BY_TOKEN = f"""
    SELECT {_RIGHTS},
           token.id AS token_id, token.expires_at, token.last_access, token.read_only, token.organization_id,
           token.dataset_id,
           EXISTS (
               SELECT FROM datastore.groups AS grp WHERE grp.id = token.organization_id AND grp.state = 'active'
           ) AS organization_active
    FROM datastore.api_tokens AS token
    JOIN datastore.users AS usr ON usr.id = token.user_id
    WHERE token.hash = $3 AND usr.state = 'active' AND ($4 OR NOT token.legacy)
"""

_BY_ID = f"SELECT {_RIGHTS} FROM datastore.users AS usr WHERE usr.id = $3 AND usr.state = 'active'"

_ACCESS = "SELECT id, name, owner_org, private, state, creator_user_id FROM datastore.datasets WHERE id = $1"


@dataclass(slots=True)
class TokenHolder:
    """Who presents a token, and what is known of the token."""

    actor: Actor
    expires_at: datetime | None
    last_access: datetime | None
    depends_on: tuple[str, ...]
    """The user, and the organization or dataset that the token is limited to: when one of these changes, this may."""


async def actor_of_token(pool: asyncpg.Pool, settings: Settings, hashed: str) -> TokenHolder | None:
    """The active user with the token of that hash, as far as the token goes; None if there is none."""
    row = await pool.fetchrow(_BY_TOKEN, *_arguments(settings), hashed, settings.legacy_api_keys)
    if row is None:
        return None
    actor = replace(_actor(row), token_id=row["token_id"], read_only=row["read_only"])
    if row["organization_id"] is not None:
        actor = _within_organization(actor, row["organization_id"], row["organization_active"])
    elif row["dataset_id"] is not None:
        found = await pool.fetchrow(_ACCESS, row["dataset_id"])
        actor = _within_dataset(actor, DatasetAccess(*found) if found is not None else None, settings)
    limits = (row["user_id"], row["organization_id"], row["dataset_id"])
    return TokenHolder(actor, row["expires_at"], row["last_access"], tuple(key for key in limits if key is not None))


async def actor_of_user(pool: asyncpg.Pool, settings: Settings, user_id: str) -> Actor | None:
    """The active user of that id with all their rights, or None."""
    row = await pool.fetchrow(_BY_ID, *_arguments(settings), user_id)
    return _actor(row) if row is not None else None


def _arguments(settings: Settings) -> tuple[list[str], bool]:
    return settings.cascading_roles, settings.allow_dataset_collaborators


def _actor(row: asyncpg.Record) -> Actor:
    return Actor(
        id=row["user_id"],
        name=row["name"],
        sysadmin=row["sysadmin"],
        roles=msgspec.json.decode(row["roles"], type=dict[str, str]),
        collaborations=msgspec.json.decode(row["collaborations"], type=dict[str, str]),
    )


def _within_organization(actor: Actor, organization_id: str, active: bool) -> Actor:
    """What is left of the actor in one organization: their role there."""
    role = ADMIN if actor.sysadmin and active else actor.roles.get(organization_id)
    roles = {organization_id: role} if role is not None else {}
    return replace(actor, sysadmin=False, roles=roles, collaborations={}, limited=True)


def _within_dataset(actor: Actor, access: DatasetAccess | None, settings: Settings) -> Actor:
    """What is left of the actor on one dataset: to read it, or to change it too."""
    rights = {}
    if access is not None and may_update_dataset(actor, access, settings):
        rights = {access.id: EDITOR}
    elif access is not None and may_read_dataset(actor, access):
        rights = {access.id: MEMBER}
    return replace(actor, sysadmin=False, roles={}, collaborations=rights, limited=True)
