"""Actions on users and their API tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from datastore.accounts.passwords import hash_password
from datastore.accounts.permissions import (
    may_act_for_user,
    may_create_user,
    may_see_users,
    refusal,
    require_login,
)
from datastore.accounts.tokens import create_token, list_tokens, revoke_token, token_owner
from datastore.accounts.users import User, check_new_user, create_user, find_user, show_user
from datastore.actions.catalog_fields import AnyText, Sent
from datastore.actions.parameters import Boolean, Natural, Parameters, RequiredText, Text
from datastore.actions.registry import Call, action
from datastore.catalog.dataset_lists import datasets_of_creator
from datastore.catalog.dataset_rows import show_dataset
from datastore.errors import NotAuthorized, NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import MISSING

_SHOWN_DATASETS = 50
_LONGEST_VALIDITY = timedelta(days=36_525)


class UserCreate(Sent):
    """A new user."""

    name: AnyText = Field(
        None, description="Login name: 2 to 100 lower-case ASCII letters, digits, `-` and `_`; unique."
    )
    email: AnyText = Field(None, description="E-mail address; no two active users share one.")
    password: AnyText = Field(None, description="Password, at least 8 characters.")
    fullname: AnyText = Field(None, description="Full name.")
    about: AnyText = Field(None, description="A few words about the user, without links.")
    image_url: AnyText = Field(None, description="Address of a picture.")
    sysadmin: Boolean = Field(False, description="May do everything; only sysadmins make others sysadmin.")
    state: AnyText = Field(None, description="`active`, `pending` or `deleted`; only set by sysadmins.")
    with_apitoken: Boolean = Field(False, description="Also create an API token named `default`, shown as `token`.")


class UserShow(Parameters):
    """Which user."""

    id: Text = Field(None, description="Id or name of the user; yourself by default.")
    include_datasets: Boolean = Field(False, description="Also show the datasets that the user created, at most 50.")
    include_num_followers: Boolean = Field(False, description="Also show the number of followers.")
    include_password_hash: Boolean = Field(False, description="Also show the hash of the password; sysadmins only.")
    include_plugin_extras: Boolean = Field(False, description="Also show the data of integrations; sysadmins only.")


class ApiTokenCreate(Parameters):
    """A new API token."""

    user: RequiredText = Field(description="Id or name of the user.")
    name: RequiredText = Field(description="A name by which the user knows the token.")
    expires_in: Natural = Field(None, description="After how many units it expires; never by default.")
    unit: Natural = Field(None, description="Length of a unit in seconds, 1 by default.")


class ApiTokenList(Parameters):
    """Whose tokens."""

    user_id: Text = Field(None, description="Id or name of the user.")
    user: Text = Field(None, description="The same, by another name.")


class ApiTokenRevoke(Parameters):
    """Which token: itself, or its id."""

    token: Text = Field(None, description="The token.")
    jti: Text = Field(None, description="The id of the token.")


@action(UserCreate)
async def user_create(call: Call, parameters: UserCreate) -> dict[str, Any]:
    """Create a user."""
    if not may_create_user(call.actor, call.settings):
        require_login(call.actor, "user_create")
        raise refusal(call.actor, "user_create", "this site")
    checked, password = check_new_user(parameters.sent(), call.actor.sysadmin)
    new_user = replace(checked, password_hash=await hash_password(password))

    async def work(tx: Transaction) -> tuple[User | None, str | None]:
        user_id = await create_user(tx, new_user)
        token = (await create_token(tx, user_id, "default"))[0] if parameters.with_apitoken else None
        return await find_user(tx.connection, user_id), token

    user, token = await call.services.database.write(work)
    if user is None:
        raise NotFound("User")
    shown = show_user(user, call.site_url, private_details=True)
    return {**shown, "token": token} if token is not None else shown


@action(UserShow, get=True)
async def user_show(call: Call, parameters: UserShow) -> dict[str, Any]:
    """A user. E-mail addresses are shown to the users themselves and to sysadmins."""
    actor = call.actor
    key = parameters.id or actor.id
    if key is None:
        raise NotFound("User")
    if not may_see_users(actor, call.settings):
        raise refusal(actor, "user_show", "this site")
    pool = call.services.database.owner
    user = await find_user(pool, key)
    if user is None or (user.state == "deleted" and not actor.sysadmin):
        raise NotFound("User")
    shown = show_user(user, call.site_url, private_details=may_act_for_user(actor, user.id))
    if parameters.include_password_hash and actor.sysadmin:
        shown["password_hash"] = user.password_hash
    if parameters.include_plugin_extras and actor.sysadmin:
        shown["plugin_extras"] = user.plugin_extras
    if parameters.include_num_followers:
        shown["num_followers"] = 0
    if parameters.include_datasets:
        datasets = await datasets_of_creator(pool, actor, user.id, _SHOWN_DATASETS)
        shown["datasets"] = [show_dataset(dataset, call.site_url) for dataset in datasets]
    return shown


@action(ApiTokenCreate)
async def api_token_create(call: Call, parameters: ApiTokenCreate) -> dict[str, Any]:
    """Create an API token. It is shown this once only."""
    user = await _own_account(call, parameters.user, "api_token_create")
    expires_at = _expiry(parameters.expires_in, parameters.unit)

    async def work(tx: Transaction) -> tuple[str, str]:
        return await create_token(tx, user.id, parameters.name, expires_at)

    token, token_id = await call.services.database.write(work)
    shown: dict[str, Any] = {"token": token, "id": token_id}
    if expires_at is not None:
        shown["expire_api_token"] = {"exp": expires_at.isoformat()}
    return shown


@action(ApiTokenList, get=True)
async def api_token_list(call: Call, parameters: ApiTokenList) -> list[dict[str, Any]]:
    """The API tokens of a user, oldest first, without the secrets."""
    key = parameters.user_id or parameters.user
    if not key:
        raise ValidationError({"user_id": [MISSING]})
    user = await _own_account(call, key, "api_token_list")
    return await list_tokens(call.services.database.owner, user.id)


@action(ApiTokenRevoke)
async def api_token_revoke(call: Call, parameters: ApiTokenRevoke) -> None:
    """Revoke an API token: it is no longer valid from now on."""
    require_login(call.actor, "api_token_revoke")
    key = parameters.token or parameters.jti
    if not key:
        raise ValidationError({"token": [MISSING]})
    found = await token_owner(call.services.database.owner, key)
    if found is None or not may_act_for_user(call.actor, found[1]):
        raise NotAuthorized(f"User {call.actor.name} not authorized to revoke this token")
    token_id = found[0]

    async def work(tx: Transaction) -> None:
        await revoke_token(tx, token_id)

    await call.services.database.write(work)


async def _own_account(call: Call, id_or_name: str, action_name: str) -> User:
    """The active user that the actor is, or that a sysadmin acts for. Others do not learn whether it exists."""
    require_login(call.actor, action_name)
    user = await find_user(call.services.database.owner, id_or_name)
    if not call.actor.sysadmin and (user is None or not may_act_for_user(call.actor, user.id)):
        raise refusal(call.actor, action_name, "this user")
    if user is None or user.state == "deleted":
        raise NotFound("User")
    return user


def _expiry(expires_in: int | None, unit: int | None) -> datetime | None:
    if not expires_in:
        return None
    seconds = expires_in * (unit or 1)
    if seconds > _LONGEST_VALIDITY.total_seconds():
        raise ValidationError({"expires_in": ["Must be at most a hundred years"]})
    return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=seconds)
