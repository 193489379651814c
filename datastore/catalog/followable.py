"""What can be followed, as far as an actor may see it; to others it is as if it were not there (catalog-api.md §C2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from datastore.accounts.activities import Activity
from datastore.accounts.actor import Actor
from datastore.accounts.permissions import own_labels
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import is_storable

KINDS = ("user", "dataset", "group", "organization")
"""Where an organization is not told from a group, both are ``group``."""


@dataclass(frozen=True, slots=True)
class Followee:
    """Something that a user follows."""

    kind: str
    """One of :data:`KINDS`."""
    id: str
    name: str
    display_name: str


# $1 is what was asked for, $2 to $4 are those of datastore.may_read.
_DATASET = """
    SELECT dataset.id FROM datastore.datasets AS dataset
    WHERE (dataset.id = $1 OR dataset.name = $1) AND datastore.may_read(dataset, $2, $3, $4)
    ORDER BY dataset.id = $1 DESC LIMIT 1
"""
_GROUP = """
    SELECT id FROM datastore.groups
    WHERE (id = $1 OR name = $1) AND (state = 'active' OR $2) AND ($3::boolean IS NULL OR is_organization = $3)
    ORDER BY id = $1 DESC LIMIT 1
"""
_USER = """
    SELECT id FROM datastore.users
    WHERE (id = $1 OR name = $1) AND (state <> 'deleted' OR $2)
    ORDER BY id = $1 DESC LIMIT 1
"""
# Against a purge: those of datasets lock the row without its key first.
_LOCKS = {"dataset": "FOR SHARE", "group": "FOR KEY SHARE", "organization": "FOR KEY SHARE", "user": "FOR KEY SHARE"}

_FOLLOWEES = """
    SELECT CASE WHEN grp.is_organization THEN 'organization' ELSE followed.object_type END AS kind,
           followed.object_id AS id,
           coalesce(dataset.name, grp.name, usr.name) AS name,
           coalesce(nullif(dataset.title, ''), nullif(grp.title, ''), nullif(usr.fullname, ''),
                    dataset.name, grp.name, usr.name) AS display_name
    FROM datastore.followers AS followed
    LEFT JOIN datastore.datasets AS dataset ON dataset.id = followed.object_id AND followed.object_type = 'dataset'
    LEFT JOIN datastore.groups AS grp ON grp.id = followed.object_id AND followed.object_type = 'group'
    LEFT JOIN datastore.users AS usr ON usr.id = followed.object_id AND followed.object_type = 'user'
    WHERE followed.follower_id = $4 AND CASE followed.object_type
        WHEN 'dataset' THEN datastore.may_read(dataset, $1, $2, $3)
        WHEN 'group' THEN grp.state = 'active' OR $2
        ELSE usr.state <> 'deleted' OR $2
    END
    ORDER BY followed.datetime, followed.object_id
"""


async def find_followable(
    connection: asyncpg.Connection | asyncpg.Pool, actor: Actor, kind: str, key: str, *, lock: bool = False
) -> str:
    """The id of the object of that id or name; with ``lock`` it is not purged until the transaction ends.

    Raises :class:`ValidationError` ``id`` if there is none that the actor may see.
    """
    found: str | None = None
    if is_storable(key):
        suffix = _LOCKS[kind] if lock else ""
        if kind == "dataset":
            found = await connection.fetchval(f"{_DATASET} {suffix}", key, *actor.who)
        elif kind == "user":
            found = await connection.fetchval(f"{_USER} {suffix}", key, actor.sysadmin)
        else:
            only = True if kind == "organization" else None
            found = await connection.fetchval(f"{_GROUP} {suffix}", key, actor.sysadmin, only)
    if found is None:
        raise ValidationError({"id": [f"Not found: {kind.capitalize()}"]})
    return found


async def find_followed(tx: Transaction, actor: Actor, user_id: str, kind: str, key: str) -> str:
    """:func:`find_followable`, and what the user follows also where they may not see it any more."""
    hidden = await tx.connection.fetchval(
        """
        SELECT followed.object_id FROM datastore.followers AS followed
        LEFT JOIN datastore.datasets AS dataset ON dataset.id = followed.object_id
        LEFT JOIN datastore.groups AS grp ON grp.id = followed.object_id
        LEFT JOIN datastore.users AS usr ON usr.id = followed.object_id
        WHERE followed.follower_id = $1 AND followed.object_type = $2
              AND $3 IN (followed.object_id, dataset.name, grp.name, usr.name)
        ORDER BY followed.object_id = $3 DESC LIMIT 1
        """,
        user_id,
        kind,
        key if is_storable(key) else "",
    )
    return str(hidden) if hidden is not None else await find_followable(tx.connection, actor, kind, key)


async def list_followees(
    pool: asyncpg.Pool, actor: Actor, user_id: str, kinds: Sequence[str] = KINDS
) -> list[Followee]:
    """What the user follows, longest first, as far as the actor may see it."""
    rows = await pool.fetch(_FOLLOWEES, *actor.who, user_id)
    return [Followee(*row) for row in rows if row["kind"] in kinds]


def follow_activity(user_id: str, kind: str, object_id: str, shown: Mapping[str, Any]) -> Activity:
    """That the user follows this. Who follows what is told to nobody else, as in lists of followers."""
    return Activity(
        f"follow {kind}",
        object_id,
        {kind: shown},
        own_labels(user_id),
        object_id if kind == "dataset" else None,
        object_id if kind == "group" else None,
    )
