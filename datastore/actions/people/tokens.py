"""Actions on API tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from datastore.accounts.permissions import may_act_for_user, may_read_dataset, require_login
from datastore.accounts.tokens import Scope, create_token, list_tokens, revoke_token, token_owner
from datastore.actions.parameters import Boolean, Natural, Parameters, RequiredText, Text
from datastore.actions.people.users import own_account
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import load_dataset
from datastore.catalog.groups.rows import find_group
from datastore.errors import NotAuthorized, NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import MISSING

_LONGEST_VALIDITY = timedelta(days=36_525)


class ApiTokenCreate(Parameters):
    """A new API token."""

    user: RequiredText = Field(description="Id or name of the user.")
    name: RequiredText = Field(description="A name by which the user knows the token.")
    expires_in: Natural = Field(None, description="After how many units it expires; never by default.")
    unit: Natural = Field(None, description="Length of a unit in seconds, 1 by default.")
    read_only: Boolean = Field(False, description="The token may call no action that writes.")
    organization: Text = Field(
        None, description="Id or name of the only organization in which the token has the user's role."
    )
    dataset: Text = Field(None, description="Id or name of the only dataset on which the token has the user's rights.")


class ApiTokenList(Parameters):
    """Whose tokens."""

    user_id: Text = Field(None, description="Id or name of the user.")
    user: Text = Field(None, description="The same, by another name.")


class ApiTokenRevoke(Parameters):
    """Which token: itself, or its id."""

    token: Text = Field(None, description="The token.")
    jti: Text = Field(None, description="The id of the token.")


@action(ApiTokenCreate)
async def api_token_create(call: Call, parameters: ApiTokenCreate) -> dict[str, Any]:
    """Create an API token. It is shown this once only.

    It has the rights of its user; with `read_only`, `organization` or `dataset` less. What is public it reads in any
    case, and of the rest a limited token sees and changes only what is in its organization, or its dataset.
    """
    user = await own_account(call, parameters.user, "api_token_create")
    expires_at = _expiry(parameters.expires_in, parameters.unit)
    scope = await _scope(call, parameters)

    async def work(tx: Transaction) -> tuple[str, str]:
        return await create_token(tx, user.id, parameters.name, expires_at, scope)

    token, token_id = await call.write(work)
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
    user = await own_account(call, key, "api_token_list")
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

    await call.write(work)


async def _scope(call: Call, parameters: ApiTokenCreate) -> Scope:
    """Raises :class:`ValidationError` for an organization or dataset that the actor cannot see."""
    if parameters.organization and parameters.dataset:
        raise ValidationError({"dataset": ["A token is limited to an organization or to a dataset, not to both"]})
    pool = call.services.database.owner
    organization_id = dataset_id = None
    try:
        if parameters.organization:
            organization_id = (await find_group(pool, call.actor, parameters.organization, True)).id
        if parameters.dataset:
            dataset = await load_dataset(pool, parameters.dataset)
            if not may_read_dataset(call.actor, dataset.access):
                raise NotFound("Dataset")
            dataset_id = dataset.id
    except NotFound as error:
        raise ValidationError({"organization" if parameters.organization else "dataset": [str(error)]}) from None
    return Scope(parameters.read_only, organization_id, dataset_id)


def _expiry(expires_in: int | None, unit: int | None) -> datetime | None:
    if not expires_in:
        return None
    seconds = expires_in * (unit or 1)
    if seconds > _LONGEST_VALIDITY.total_seconds():
        raise ValidationError({"expires_in": ["Must be at most a hundred years"]})
    return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=seconds)
