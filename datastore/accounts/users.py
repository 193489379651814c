"""Users: the rules for their fields, their rows, and how they are shown (catalog-api.md §B4)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from datastore.accounts.images import image_display_url
from datastore.accounts.passwords import acceptable
from datastore.postgres.constraints import taken
from datastore.postgres.database import Transaction
from datastore.validation import MISSING, Invalid, Problems, email, name, text

NAME_TAKEN = "That login name is not available."


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


async def find_user(connection: asyncpg.Connection | asyncpg.Pool, id_or_name: str) -> User | None:
    """The user of that id or name in any state, or None."""
    row = await connection.fetchval(_FIND, id_or_name)
    return msgspec.json.decode(row, type=User) if row is not None else None


def check_new_user(data: Mapping[str, Any], by_sysadmin: bool) -> tuple[NewUser, str]:
    """The user that the fields describe, and the password to hash. Raises :class:`ValidationError`.

    ``sysadmin`` and ``state`` count only when a sysadmin sets them.
    """
    problems = Problems()
    user = NewUser(
        name=problems.check("name", name, data.get("name"), ""),
        email=problems.check("email", _required_email, data.get("email"), None),
        fullname=problems.check("fullname", text, data.get("fullname"), None),
        about=problems.check("about", _about, data.get("about"), None),
        image_url=problems.check("image_url", text, data.get("image_url"), None),
        sysadmin=by_sysadmin and bool(data.get("sysadmin")),
        state=problems.check("state", _state, data.get("state"), "active") if by_sysadmin else "active",
    )
    password = problems.check("password", acceptable, data.get("password"), "")
    problems.raise_if_any()
    return user, password


def _required_email(value: Any) -> str | None:
    found = email(value)
    if not found:
        raise Invalid(MISSING)
    return found


def _about(value: Any) -> str | None:
    found = text(value)
    if found is not None and ("http://" in found or "https://" in found):
        raise Invalid("Edit not permitted since it looks like spam. Please avoid links in your description.")
    return found


def _state(value: Any) -> str:
    if value is None or value == "":
        return "active"
    if value not in ("active", "pending", "deleted"):
        raise Invalid("Value must be one of ['active', 'pending', 'deleted']")
    return str(value)


async def create_user(tx: Transaction, user: NewUser) -> str:
    """Store the user and give the new id. Raises :class:`ValidationError` if the name or address is taken."""
    user_id = str(uuid.uuid4())
    with taken(
        users_name_key=("name", NAME_TAKEN),
        users_email_key=("email", f"The email address '{user.email}' belongs to a registered user."),
    ):
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
    return user_id


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
