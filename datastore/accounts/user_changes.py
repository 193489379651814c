"""Changing and deleting users, and the keys by which they set a password anew (catalog-api.md §B4, §C4, §C6)."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson

from datastore.accounts.actor import CACHE_KIND, Actor
from datastore.accounts.passwords import hash_password
from datastore.accounts.permissions import may_act_for_user, refusal
from datastore.accounts.tokens import revoke_all, token_hash
from datastore.accounts.user_fields import Editor, check_changes
from datastore.accounts.users import NewUser, User, create_user, find_user, record_user, taken_messages
from datastore.errors import NotFound, ValidationError
from datastore.postgres.constraints import taken
from datastore.postgres.database import Transaction

_LOCK = """
    SELECT id, state, reset_key_hash, reset_key_expires FROM datastore.users
    WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1
    FOR NO KEY UPDATE
"""

_UPDATE = """
    UPDATE datastore.users
    SET name = $2, fullname = $3, email = $4, about = $5, image_url = $6, password_hash = $7, sysadmin = $8, state = $9,
        activity_streams_email_notifications = $10, plugin_extras = $11
    WHERE id = $1
"""

_DELETE = "UPDATE datastore.users SET state = 'deleted', reset_key_hash = NULL WHERE id = $1"
_LEAVE = "DELETE FROM datastore.members WHERE table_name = 'user' AND table_id = $1"
_STOP = "DELETE FROM datastore.collaborators WHERE user_id = $1"
_UNFOLLOW = "DELETE FROM datastore.followers WHERE $1 IN (follower_id, object_id)"
_SET_KEY = "UPDATE datastore.users SET reset_key_hash = $2, reset_key_expires = $3 WHERE id = $1"
_NOT_A_NAME = re.compile(r"[^a-z0-9_-]")


async def update_user(tx: Transaction, actor: Actor, id_or_name: str, data: Mapping[str, Any], *, merge: bool) -> User:
    """Change the user by what was sent. Themselves, sysadmins, and whoever has the ``reset_key`` of a mail may.

    Raises :class:`NotAuthorized`, for all others also where there is no such user; :class:`NotFound` and
    :class:`ValidationError`.
    """
    row = await tx.connection.fetchrow(_LOCK, id_or_name)
    key = data.get("reset_key")
    by_key = row is not None and isinstance(key, str) and _fits(key, row["reset_key_hash"], row["reset_key_expires"])
    if not by_key and (row is None or not may_act_for_user(actor, row["id"])) and not actor.sysadmin:
        raise refusal(actor, "user_update", f"user {id_or_name}")
    stored = await find_user(tx.connection, row["id"]) if row is not None else None
    if stored is None or (stored.state == "deleted" and not actor.sysadmin):
        raise NotFound("User")
    editor = Editor(actor.sysadmin, actor.id, by_key)
    user, password = check_changes(stored, data, editor, merge=merge, reserved=tx.settings.site_id)
    if password is not None:
        user = msgspec.structs.replace(user, password_hash=await hash_password(password))
    if user != stored:
        await _store(tx, user)
        await record_user(tx, "changed user", user.id, by=user.id if by_key else None)
    if by_key:
        await tx.connection.execute(_SET_KEY, user.id, None, None)
    return user


async def _store(tx: Transaction, user: User) -> None:
    plugin_extras = orjson.dumps(user.plugin_extras).decode() if user.plugin_extras is not None else None
    with taken(**taken_messages(user.email)):
        await tx.connection.execute(
            _UPDATE,
            user.id,
            user.name,
            user.fullname,
            user.email,
            user.about,
            user.image_url,
            user.password_hash,
            user.sysadmin,
            user.state,
            user.activity_streams_email_notifications,
            plugin_extras,
        )
    tx.changed(CACHE_KIND, user.id)


async def delete_user(tx: Transaction, id_or_name: str) -> str:
    """Set the user's state to deleted. Their memberships, collaborations and tokens are gone; what they made stays.

    Gives the id. Raises :class:`NotFound`.
    """
    row = await tx.connection.fetchrow(_LOCK, id_or_name)
    if row is None:
        raise NotFound("User")
    user_id: str = row["id"]
    for statement in (_DELETE, _LEAVE, _STOP, _UNFOLLOW):
        await tx.connection.execute(statement, user_id)
    await revoke_all(tx, user_id)
    if row["state"] != "deleted":
        await record_user(tx, "changed user", user_id)
    return user_id


async def new_reset_key(tx: Transaction, user_id: str) -> str:
    """A key by which the user may set a password, once and for a limited time; an earlier one is void."""
    key = secrets.token_urlsafe(32)
    expires = _now() + timedelta(seconds=tx.settings.reset_key_lifetime)
    await tx.connection.execute(_SET_KEY, user_id, token_hash(key), expires)
    return key


def _fits(key: str, stored: str | None, expires: datetime | None) -> bool:
    alive = stored is not None and expires is not None and expires > _now()
    return hmac.compare_digest(token_hash(key), stored or "") and alive


async def invited_user(tx: Transaction, address: str) -> str:
    """The id of a pending user with that address: the one who was invited before, else a new one with a name made up.

    Raises :class:`ValidationError` if the address is an active user's.
    """
    # Two invitations of one address at once make one user.
    await tx.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('invite ' || lower($1), 0))", address)
    row = await tx.connection.fetchrow(
        """
        SELECT id, state FROM datastore.users
        WHERE lower(email) = lower($1) AND state <> 'deleted' ORDER BY state, created LIMIT 1
        """,
        address,
    )
    if row is not None and row["state"] == "active":
        raise ValidationError({"email": [taken_messages(address)["users_email_key"][1]]})
    if row is not None:
        return str(row["id"])
    local = _NOT_A_NAME.sub("-", address.partition("@")[0].lower())[:80]
    user = NewUser(name=f"{local}-{secrets.token_hex(4)}", email=address, state="pending")
    return await create_user(tx, user)


async def site_user(tx: Transaction) -> User:
    """The hidden user for internal jobs, made when first asked for. It is a sysadmin, and nobody can log in as it."""
    name = tx.settings.site_id
    await tx.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('site user', 0))")
    found = await find_user(tx.connection, name)
    if found is None:
        await create_user(tx, replace(NewUser(name=name, email=None), sysadmin=True))
        found = await find_user(tx.connection, name)
    if found is None:
        raise NotFound("User")
    return found


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
