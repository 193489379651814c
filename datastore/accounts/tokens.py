"""API tokens: who is asking, from the secret that a request carries.

A secret is random, shown once, and stored as its SHA-256 only (it has 256 bits of entropy: there is nothing to guess,
so the slow hash of passwords is not needed).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog

from datastore.accounts.actor import ANONYMOUS, CACHE_KIND, Actor
from datastore.accounts.actors import TokenHolder, actor_of_token
from datastore.accounts.users import NewUser, create_user
from datastore.errors import DataStoreError
from datastore.postgres.cache import Cache
from datastore.postgres.database import CONNECTION_LOST, Database, Transaction

_ACCESS_INTERVAL = timedelta(minutes=1)
log = structlog.get_logger(__name__)

_TOUCH = """
    WITH used AS (
        UPDATE datastore.api_tokens SET last_access = $1
        WHERE id = ANY ($2::text[])
              AND (last_access IS NULL OR last_access < $1::timestamp - interval '50 seconds')
        RETURNING user_id)
    UPDATE datastore.users SET last_active = $1 WHERE id IN (SELECT user_id FROM used)
"""

_INSERT = """
    INSERT INTO datastore.api_tokens (
        id, hash, name, user_id, created_at, expires_at, read_only, organization_id, dataset_id, legacy)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

_INSERT_FROM_ENVIRONMENT = """
    INSERT INTO datastore.api_tokens (id, hash, name, user_id, created_at, from_environment)
    VALUES ($1, $2, 'DATASTORE_SYSADMIN_TOKEN', $3, $4, true)
    ON CONFLICT (hash) DO UPDATE
    SET user_id = excluded.user_id, name = excluded.name, expires_at = NULL, from_environment = true,
        read_only = false, organization_id = NULL, dataset_id = NULL, legacy = false
    WHERE api_tokens.user_id <> excluded.user_id OR NOT api_tokens.from_environment
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token may do of what its user may: everything, or only read; everywhere, or in one place."""

    read_only: bool = False
    organization_id: str | None = None
    dataset_id: str | None = None


EVERYTHING = Scope()


class Tokens:
    """Tells who presents a token. One per worker; close it before the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: Cache[TokenHolder] = Cache(
            database.notifications, CACHE_KIND, self._load, keys=lambda known: known.depends_on
        )
        self._used: dict[str, datetime] = {}
        self._writer: asyncio.Task[None] | None = None

    async def actor(self, token: str | None) -> Actor:
        """The user whose token it is; the anonymous visitor if None, unknown, expired, revoked or not active."""
        if not token:
            return ANONYMOUS
        known = await self._cache.get(token_hash(token))
        now = _now()
        if known is None or (known.expires_at is not None and known.expires_at <= now):
            return ANONYMOUS
        if known.last_access is None or now - known.last_access >= _ACCESS_INTERVAL:
            known.last_access = now
            self._note_use(known.actor, now)
        return known.actor

    async def close(self) -> None:
        """Finish writing when tokens were last used."""
        if self._writer is not None:
            await self._writer

    async def _load(self, key: str) -> TokenHolder | None:
        return await actor_of_token(self._database.owner, self._database.settings, key)

    def _note_use(self, actor: Actor, now: datetime) -> None:
        """Remember the use, to be written soon, in the background: no request waits for it or fails by it."""
        self._used[actor.token_id or ""] = now
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_uses())

    async def _write_uses(self) -> None:
        while self._used:
            used, self._used = self._used, {}
            last, token_ids = max(used.values()), sorted(used)

            async def work(tx: Transaction, last: datetime = last, token_ids: list[str] = token_ids) -> None:
                await tx.connection.execute(_TOUCH, last, token_ids)

            try:
                await self._database.write(work)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, DataStoreError, *CONNECTION_LOST) as error:
                log.warning("last use of tokens not written", error=repr(error))


def token_hash(token: str) -> str:
    """The form in which a token is stored and looked up."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


async def create_token(
    tx: Transaction, user_id: str, name: str, expires_at: datetime | None = None, scope: Scope = EVERYTHING
) -> tuple[str, str]:
    """A new token of the user: the secret, which is never to be had again, and its id. ``expires_at`` is naive UTC."""
    secret, token_id = secrets.token_urlsafe(32), str(uuid.uuid4())
    await _insert(tx, token_id, secret, name, user_id, expires_at, scope)
    return secret, token_id


async def create_legacy_key(tx: Transaction, user_id: str) -> str:
    """The user's new key of the old kind, a UUID, in place of an earlier one. Like a token it is stored as its hash."""
    gone = await tx.connection.fetch(
        "DELETE FROM datastore.api_tokens WHERE user_id = $1 AND legacy RETURNING hash", user_id
    )
    for row in gone:
        tx.changed(CACHE_KIND, row["hash"])
    key = str(uuid.uuid4())
    await _insert(tx, str(uuid.uuid4()), key, "API key", user_id, None, EVERYTHING, legacy=True)
    return key


async def _insert(
    tx: Transaction,
    token_id: str,
    secret: str,
    name: str,
    user_id: str,
    expires_at: datetime | None,
    scope: Scope,
    legacy: bool = False,
) -> None:
    places = (scope.read_only, scope.organization_id, scope.dataset_id)
    await tx.connection.execute(
        _INSERT, token_id, token_hash(secret), name, user_id, _now(), expires_at, *places, legacy
    )


async def list_tokens(connection: asyncpg.Connection | asyncpg.Pool, user_id: str) -> list[dict[str, Any]]:
    """The user's tokens, oldest first, as the API shows them: without secret or hash."""
    rows = await connection.fetch(
        """
        SELECT id, name, user_id, created_at, last_access, expires_at, read_only, organization_id, dataset_id
        FROM datastore.api_tokens WHERE user_id = $1 ORDER BY created_at, id
        """,
        user_id,
    )
    return [_shown(row) for row in rows]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    dates = ("created_at", "last_access", "expires_at")
    return {
        **{key: row[key] for key in ("id", "name", "user_id")},
        **{key: row[key].isoformat() if row[key] else None for key in dates},
        **{key: row[key] for key in ("read_only", "organization_id", "dataset_id")},
    }


async def token_owner(connection: asyncpg.Connection | asyncpg.Pool, token_or_id: str) -> tuple[str, str] | None:
    """The id and the user's id of the token with that secret or id, or None."""
    row = await connection.fetchrow(
        "SELECT id, user_id FROM datastore.api_tokens WHERE id = $1 OR hash = $2", token_or_id, token_hash(token_or_id)
    )
    return (row["id"], row["user_id"]) if row is not None else None


async def revoke_token(tx: Transaction, token_id: str) -> bool:
    """Make the token invalid at once, everywhere. False if there is no such token."""
    hashed = await tx.connection.fetchval("DELETE FROM datastore.api_tokens WHERE id = $1 RETURNING hash", token_id)
    if hashed is None:
        return False
    tx.changed(CACHE_KIND, hashed)
    return True


async def revoke_all(tx: Transaction, user_id: str) -> None:
    """Make all tokens of the user invalid."""
    await tx.connection.execute("DELETE FROM datastore.api_tokens WHERE user_id = $1", user_id)
    tx.changed(CACHE_KIND, user_id)


async def ensure_sysadmin(tx: Transaction, name: str, token: str) -> None:
    """The active sysadmin ``name`` exists, and ``token`` is theirs, in place of any earlier token set this way.

    May run at every start, in several processes at once. Raises :class:`ValueError` if that user exists and is no
    sysadmin: nobody who once registered the name may be promoted by a restart.
    """
    await tx.connection.execute("SELECT pg_advisory_xact_lock(hashtext('datastore sysadmin token'))")
    row = await tx.connection.fetchrow("SELECT id, sysadmin, state FROM datastore.users WHERE name = $1", name)
    if row is None:
        user_id = await create_user(tx, NewUser(name=name, email=None, sysadmin=True))
    elif row["sysadmin"]:
        user_id = row["id"]
    else:
        raise ValueError(f"the user {name!r} exists and is not a sysadmin, so no token is set for them")
    if row is not None and row["state"] != "active":
        await tx.connection.execute("UPDATE datastore.users SET state = 'active' WHERE id = $1", user_id)
        tx.changed(CACHE_KIND, user_id)
    earlier = await tx.connection.fetch(
        "DELETE FROM datastore.api_tokens WHERE from_environment AND hash <> $1 RETURNING hash", token_hash(token)
    )
    for gone in earlier:
        tx.changed(CACHE_KIND, gone["hash"])
    await tx.connection.execute(_INSERT_FROM_ENVIRONMENT, str(uuid.uuid4()), token_hash(token), user_id, _now())
    tx.changed(CACHE_KIND, token_hash(token))
