"""Users for tests, with their roles."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from datastore.accounts.actor import Actor
from datastore.accounts.members import set_user_role
from datastore.accounts.tokens import create_token
from datastore.accounts.users import NewUser, create_user
from datastore.actions.services import Services
from datastore.postgres.database import Transaction


async def person(services: Services, roles: Mapping[str, str] | None = None) -> Actor:
    """A new user with these capacities by id of a group."""
    _, token = await person_with_token(services, roles)
    return await services.tokens.actor(token)


async def person_with_token(services: Services, roles: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The id of a new user, and a token of theirs."""
    name = f"user-{uuid.uuid4().hex[:10]}"

    async def work(tx: Transaction) -> tuple[str, str]:
        user_id = await create_user(tx, NewUser(name=name, email=f"{name}@example.org"))
        for group_id, role in (roles or {}).items():
            await set_user_role(tx, group_id, user_id, role)
        token, _ = await create_token(tx, user_id, "test")
        return user_id, token

    return await services.database.write(work)
