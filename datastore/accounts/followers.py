"""Who follows what: users follow datasets, groups (organizations among them) and other users."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from datastore.accounts.users import USER_COLUMNS, User
from datastore.postgres.database import Transaction

_FOLLOW = """
    INSERT INTO datastore.followers (follower_id, object_type, object_id, datetime)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
    RETURNING true
"""

_ROW = "SELECT follower_id, object_id, datetime FROM datastore.followers WHERE follower_id = $1 AND object_id = $2"

_COUNT = """
    SELECT count(*)
    FROM datastore.followers AS follower
    JOIN datastore.users AS usr ON usr.id = follower.follower_id AND usr.state <> 'deleted'
    WHERE follower.object_id = $1
"""

_LIST = f"""
    SELECT row_to_json(found)
    FROM (
        SELECT {USER_COLUMNS}
        FROM datastore.followers AS follower
        JOIN datastore.users AS usr ON usr.id = follower.follower_id AND usr.state <> 'deleted'
        WHERE follower.object_id = $1
        ORDER BY usr.name COLLATE "C"
    ) AS found
"""


async def follow(tx: Transaction, user_id: str, object_type: str, object_id: str) -> bool:
    """Let the user follow the object, which is locked against being purged. False if they do already."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return bool(await tx.connection.fetchval(_FOLLOW, user_id, object_type, object_id, now))


async def unfollow(tx: Transaction, user_id: str, object_id: str) -> bool:
    """Let the user follow the object no longer. False if they did not."""
    gone = await tx.connection.fetchval(
        "DELETE FROM datastore.followers WHERE follower_id = $1 AND object_id = $2 RETURNING true", user_id, object_id
    )
    return bool(gone)


async def find_follower(
    connection: asyncpg.Connection | asyncpg.Pool, user_id: str, object_id: str
) -> dict[str, Any] | None:
    """``{follower_id, object_id, datetime}``, or None if the user does not follow the object."""
    row = await connection.fetchrow(_ROW, user_id, object_id)
    return {**dict(row), "datetime": row["datetime"].isoformat()} if row is not None else None


async def count_followers(connection: asyncpg.Connection | asyncpg.Pool, object_id: str) -> int:
    """How many users follow the object."""
    return int(await connection.fetchval(_COUNT, object_id))


async def list_followers(connection: asyncpg.Connection | asyncpg.Pool, object_id: str) -> list[User]:
    """The users who follow the object, by name."""
    return [msgspec.json.decode(row[0], type=User) for row in await connection.fetch(_LIST, object_id)]
