"""Users: the rules for their fields, their rows, and how they are shown (catalog-api.md §B4)."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from datastore.accounts.activities import Activity, record
from datastore.accounts.images import image_display_url
from datastore.accounts.permissions import PUBLIC_LABEL
from datastore.postgres.constraints import taken
from datastore.postgres.database import Transaction
from datastore.postgres.patterns import containing
from datastore.validation import is_storable

NAME_TAKEN = "That login name is not available."
ID_TAKEN = "User id already exists"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as stored, and how many active public datasets they created."""

    id: str
    name: str
    fullname: str | None
    email: str | None
    about: str | None
    image_url: str | None
    password_hash: str | None
    sysadmin: bool
    state: str
    activity_streams_email_notifications: bool
    plugin_extras: dict[str, Any] | None
    created: datetime
    last_active: datetime | None
    number_created_packages: int

    @property
    def display_name(self) -> str:
        """The full name, else the login name."""
        return self.fullname or self.name


@dataclass(frozen=True, slots=True)
class NewUser:
    """The checked values of a user to be created."""

    name: str
    email: str | None
    fullname: str | None = None
    about: str | None = None
    image_url: str | None = None
    sysadmin: bool = False
    state: str = "active"
    password_hash: str | None = None
    id: str | None = None


USER_COLUMNS = """
    usr.*,
    (
        SELECT count(*) FROM datastore.datasets AS created
        WHERE created.creator_user_id = usr.id AND created.state = 'active' AND NOT created.private
    ) AS number_created_packages
"""
"""What :class:`User` is made of, from ``datastore.users AS usr``."""

_FIND = f"""
    SELECT row_to_json(found)
    FROM (
        SELECT {USER_COLUMNS}
        FROM datastore.users AS usr
        WHERE usr.id = $1 OR usr.name = $1
        ORDER BY usr.id = $1 DESC
        LIMIT 1
    ) AS found
"""

_INSERT = """
    INSERT INTO datastore.users (
        id, name, fullname, email, about, image_url, password_hash, sysadmin, state, created)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


_ORDERS = {
    "display_name": "lower(coalesce(nullif(found.fullname, ''), found.name))",
    "name": 'found.name COLLATE "C"',
    "fullname": "lower(nullif(found.fullname, ''))",
    "number_created_packages": "found.number_created_packages DESC",
}
USER_ORDERS = tuple(_ORDERS)

_LIST = f"""
    SELECT row_to_json(found)
    FROM (
        SELECT {USER_COLUMNS}
        FROM datastore.users AS usr
        WHERE usr.state <> 'deleted' AND usr.name <> $1
              AND ($2::text IS NULL OR concat_ws(' ', usr.name, usr.fullname) ILIKE $2 OR ($3 AND usr.email ILIKE $2))
              AND ($4::text IS NULL OR lower(usr.email) = lower($4))
    ) AS found
    ORDER BY {{order}}, found.name COLLATE "C"
    LIMIT $5 OFFSET $6
"""

_SUGGEST = """
    SELECT id, name, fullname
    FROM datastore.users
    WHERE state = 'active' AND name <> $1 AND concat_ws(' ', name, fullname) ILIKE $2 AND id IS DISTINCT FROM $3
    ORDER BY name COLLATE "C"
    LIMIT $4
"""


async def find_user(connection: asyncpg.Connection | asyncpg.Pool, id_or_name: str) -> User | None:
    """The user of that id or name in any state, or None."""
    if not is_storable(id_or_name):
        return None
    row = await connection.fetchval(_FIND, id_or_name)
    return msgspec.json.decode(row, type=User) if row is not None else None


async def list_users(
    pool: asyncpg.Pool,
    site_user: str,
    *,
    query: str | None = None,
    by_email: bool = False,
    email: str | None = None,
    order: str = "display_name",
    limit: int | None = None,
    offset: int = 0,
) -> list[User]:
    """The users who are not deleted, without the hidden one: those whose name has the text, or with ``by_email`` their
    address; those with exactly that address. ``order`` is one of :data:`USER_ORDERS`."""
    pattern = containing(query) if query else None
    rows = await pool.fetch(
        _LIST.format(order=_ORDERS[order]), site_user, pattern, by_email, email or None, limit, offset
    )
    return [msgspec.json.decode(row[0], type=User) for row in rows]


async def suggest_users(
    pool: asyncpg.Pool, site_user: str, query: str, limit: int, without: str | None = None
) -> list[dict[str, Any]]:
    """``{id, name, fullname}`` of the active users whose name has the text, by name, without that one."""
    return [dict(row) for row in await pool.fetch(_SUGGEST, site_user, containing(query), without, limit)]


def taken_messages(address: str | None) -> dict[str, tuple[str, str]]:
    """The arguments of :func:`taken` for a statement that writes a user with that address."""
    return {
        "users_name_key": ("name", NAME_TAKEN),
        "users_email_key": ("email", f"The email address '{address}' belongs to a registered user."),
    }


async def create_user(tx: Transaction, user: NewUser) -> str:
    """Store the user and give the new id. Raises :class:`ValidationError` if the name or address is taken."""
    user_id = user.id or str(uuid.uuid4())
    with taken(users_pkey=("id", ID_TAKEN), **taken_messages(user.email)):
        await tx.connection.execute(
            _INSERT,
            user_id,
            user.name,
            user.fullname,
            user.email,
            user.about,
            user.image_url,
            user.password_hash,
            user.sysadmin,
            user.state,
            datetime.now(UTC).replace(tzinfo=None),
        )
    await record_user(tx, "new user", user_id, by=user_id)
    return user_id


async def record_user(tx: Transaction, activity_type: str, user_id: str, by: str | None = None) -> None:
    """Write down what happened to the user, as done by the transaction's author unless ``by`` names somebody."""
    user = await find_user(tx.connection, user_id)
    if user is not None:
        data = {"user": show_user(user, tx.author.site_url)}
        await record(tx, [Activity(activity_type, user_id, data, [PUBLIC_LABEL])], by)


def show_user(user: User, site_url: str, private_details: bool = False) -> dict[str, Any]:
    """The user as the API shows them; ``private_details`` (for themselves and sysadmins) adds the e-mail address."""
    shown: dict[str, Any] = {
        "id": user.id,
        "name": user.name,
        "fullname": user.fullname,
        "display_name": user.display_name,
        "about": user.about,
        "created": user.created.isoformat(),
        "last_active": user.last_active.isoformat() if user.last_active else None,
        "sysadmin": user.sysadmin,
        "state": user.state,
        "image_url": user.image_url,
        "image_display_url": image_display_url(site_url, "user", user.image_url),
        "activity_streams_email_notifications": user.activity_streams_email_notifications,
        "email_hash": _email_hash(user.email),
        "number_created_packages": user.number_created_packages,
    }
    if private_details:
        shown["email"] = user.email
        shown["apikey"] = None  # the keys of old; API tokens have their place
    return shown


def _email_hash(address: str | None) -> str:
    """MD5 of the lower-case address: the key of avatar services, not a protection."""
    return hashlib.md5((address or "").strip().lower().encode(), usedforsecurity=False).hexdigest()
