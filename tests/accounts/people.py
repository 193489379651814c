"""Users for tests, with their roles, and sites with other settings."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from datastore.accounts.actor import Actor
from datastore.accounts.actors import actor_of_user
from datastore.accounts.members import set_user_role
from datastore.accounts.tokens import EVERYTHING, Scope, create_token
from datastore.accounts.users import NewUser, create_user
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.postgres.database import Transaction


async def person(services: Services, roles: Mapping[str, str] | None = None) -> Actor:
    """A new user with these capacities by id of a group."""
    _, token = await person_with_token(services, roles)
    return await services.tokens.actor(token)


async def person_with_token(
    services: Services, roles: Mapping[str, str] | None = None, scope: Scope = EVERYTHING, sysadmin: bool = False
) -> tuple[str, str]:
    """The id of a new user, and a token of theirs."""
    name = f"user-{uuid.uuid4().hex[:10]}"

    async def work(tx: Transaction) -> tuple[str, str]:
        user_id = await create_user(tx, NewUser(name=name, email=f"{name}@example.org", sysadmin=sysadmin))
        for group_id, role in (roles or {}).items():
            await set_user_role(tx, group_id, user_id, role)
        token, _ = await create_token(tx, user_id, "test", scope=scope)
        return user_id, token

    return await services.database.write(work)


async def token_for(services: Services, user_id: str, scope: Scope = EVERYTHING) -> str:
    """A further token of the user."""
    token, _ = await services.database.write(lambda tx: create_token(tx, user_id, "further", scope=scope))
    return token


async def now(services: Services, actor: Actor) -> Actor:
    """The user with the rights that they have by now."""
    found = await actor_of_user(services.database.owner, services.settings, actor.id or "")
    assert found is not None
    return found


def site_with(services: Services, **settings: Any) -> Services:
    """The services of a site with other settings, for :func:`run`: its caches know nothing of them."""
    return replace(services, settings=services.settings.model_copy(update=settings))


def caller(services: Services, actor: Actor) -> Callable[..., Awaitable[Any]]:
    """Runs actions with these services: ``await caller(site, ann)("user_show", id="x")``."""

    async def call(name: str, /, **parameters: Any) -> Any:
        result = await run(name, Call(services, actor, "http://test"), parameters)
        return json.loads(result) if isinstance(result, bytes) else result

    return call
