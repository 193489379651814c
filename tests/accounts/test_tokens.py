"""Who presents a token, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.accounts.members import set_user_role
from datastore.accounts.tokens import Tokens, create_token, ensure_sysadmin, revoke_token, token_hash
from datastore.accounts.users import NewUser, create_user
from datastore.actions.services import Services
from datastore.postgres.database import Database, Transaction
from tests.accounts.people import person_with_token

ActionCall = Callable[..., Awaitable[Any]]


def soon(seconds: float) -> datetime:
    return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=seconds)


async def test_no_or_unknown_tokens_are_anonymous(services: Services) -> None:
    for token in (None, "", "unknown", "x" * 100_000, "a\0b", "\ud800"):
        assert await services.tokens.actor(token) == ANONYMOUS


async def test_a_token_tells_user_and_roles(services: Services, organization: str) -> None:
    user_id, token = await person_with_token(services, {organization: "editor"})
    actor = await services.tokens.actor(token)
    assert actor.id == user_id
    assert not actor.sysadmin
    assert dict(actor.roles) == {organization: "editor"}
    assert actor.token_id is not None


async def test_the_secret_is_not_stored(services: Services) -> None:
    _, token = await person_with_token(services)
    assert " " not in token
    rows = await services.database.owner.fetch("SELECT api_tokens::text AS row FROM datastore.api_tokens")
    assert not any(token in row["row"] for row in rows)
    assert any(token_hash(token) in row["row"] for row in rows)


async def test_a_changed_role_counts_at_once(services: Services, organization: str) -> None:
    user_id, token = await person_with_token(services, {organization: "member"})
    assert (await services.tokens.actor(token)).roles == {organization: "member"}
    await services.database.write(lambda tx: set_user_role(tx, organization, user_id, "admin"))
    assert (await services.tokens.actor(token)).roles == {organization: "admin"}


async def test_revoked_tokens_are_anonymous_in_every_worker(services: Services, database_url: str) -> None:
    other_database = await Database.connect(database_url, services.settings)
    other_worker = Tokens(other_database)
    _, token = await person_with_token(services)
    actor = await services.tokens.actor(token)
    assert await other_worker.actor(token) == actor
    assert await services.database.write(lambda tx: revoke_token(tx, actor.token_id or ""))
    assert await services.tokens.actor(token) == ANONYMOUS
    for _ in range(3000):
        if await other_worker.actor(token) == ANONYMOUS:
            break
        await asyncio.sleep(0.02)
    assert await other_worker.actor(token) == ANONYMOUS
    assert not await services.database.write(lambda tx: revoke_token(tx, actor.token_id or ""))
    await other_worker.close()
    await other_database.close()


async def test_expired_tokens_are_anonymous_also_when_cached(services: Services) -> None:
    user_id, _ = await person_with_token(services)
    token, _ = await services.database.write(lambda tx: create_token(tx, user_id, "short", soon(3)))
    assert (await services.tokens.actor(token)).id == user_id
    await asyncio.sleep(3.1)
    assert await services.tokens.actor(token) == ANONYMOUS


async def test_users_that_are_not_active_are_anonymous(services: Services) -> None:
    user_id, token = await person_with_token(services)
    assert (await services.tokens.actor(token)).id == user_id

    async def delete(tx: Transaction) -> None:
        await tx.connection.execute("UPDATE datastore.users SET state = 'deleted' WHERE id = $1", user_id)
        tx.changed("account", user_id)

    await services.database.write(delete)
    assert await services.tokens.actor(token) == ANONYMOUS


async def test_last_access_is_written_once_a_minute(services: Services) -> None:
    user_id, token = await person_with_token(services)
    tokens = Tokens(services.database)

    async def last() -> datetime | None:
        await tokens.close()
        found: datetime | None = await services.database.owner.fetchval(
            "SELECT last_access FROM datastore.api_tokens WHERE hash = $1", token_hash(token)
        )
        return found

    assert await last() is None
    await tokens.actor(token)
    first = await last()
    assert first is not None
    assert abs(first - soon(0)) < timedelta(seconds=20)
    await tokens.actor(token)
    assert await last() == first
    long_ago = soon(-3600)
    await services.database.owner.execute(
        "UPDATE datastore.api_tokens SET last_access = $1 WHERE hash = $2", long_ago, token_hash(token)
    )
    fresh_worker = Tokens(services.database)
    await fresh_worker.actor(token)
    await fresh_worker.close()
    later = await last()
    assert later is not None
    assert later > first
    active = await services.database.owner.fetchval("SELECT last_active FROM datastore.users WHERE id = $1", user_id)
    assert active == later


async def test_ensure_sysadmin_is_idempotent_and_replaces_its_earlier_token(
    services: Services, settings: Any, sysadmin: Actor
) -> None:
    first, second = "first-environment-token", "second-environment-token"
    original = settings.sysadmin_token
    assert sysadmin.sysadmin
    assert sysadmin.name == "admin"
    try:
        for _ in range(2):
            await services.database.write(lambda tx: ensure_sysadmin(tx, "admin", first))
        assert (await services.tokens.actor(first)).sysadmin
        await services.database.write(lambda tx: ensure_sysadmin(tx, "admin", second))
        assert await services.tokens.actor(first) == ANONYMOUS
        assert (await services.tokens.actor(second)).id == sysadmin.id
        assert await services.tokens.actor(original) == ANONYMOUS
    finally:
        await services.database.write(lambda tx: ensure_sysadmin(tx, "admin", original))
    assert (await services.tokens.actor(original)).id == sysadmin.id
    assert await services.tokens.actor(second) == ANONYMOUS


async def test_ensure_sysadmin_may_run_in_several_processes_at_once(services: Services, settings: Any) -> None:
    starts = [
        services.database.write(lambda tx: ensure_sysadmin(tx, "admin", settings.sysadmin_token)) for _ in range(5)
    ]
    await asyncio.gather(*starts)
    assert (await services.tokens.actor(settings.sysadmin_token)).sysadmin


async def test_ensure_sysadmin_promotes_nobody(services: Services) -> None:
    await services.database.write(lambda tx: create_user(tx, NewUser(name="squatter", email=None)))
    with pytest.raises(ValueError, match="not a sysadmin"):
        await services.database.write(lambda tx: ensure_sysadmin(tx, "squatter", "some-environment-token"))
    assert await services.tokens.actor("some-environment-token") == ANONYMOUS
