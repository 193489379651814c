"""Actions on users."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from datastore.accounts.followers import count_followers
from datastore.accounts.passwords import hash_password
from datastore.accounts.permissions import (
    may_act_for_user,
    may_create_user,
    may_see_users,
    refusal,
    require_login,
)
from datastore.accounts.tokens import create_legacy_key, create_token
from datastore.accounts.user_changes import delete_user, site_user, update_user
from datastore.accounts.user_fields import check_new_user
from datastore.accounts.users import (
    USER_ORDERS,
    User,
    create_user,
    find_user,
    list_users,
    show_user,
    suggest_users,
)
from datastore.actions.catalog.fields import AnyText, Object, Sent
from datastore.actions.parameters import Boolean, Flag, Natural, Parameters, RequiredText, Text, Typed, one_of
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.lists import datasets_of_creator
from datastore.catalog.datasets.rows import show_dataset
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction

_SHOWN_DATASETS = 50


class UserFields(Sent):
    """The fields of a user that clients set."""

    name: AnyText = Field(
        None, description="Login name: 2 to 100 lower-case ASCII letters, digits, `-` and `_`; unique."
    )
    email: AnyText = Field(None, description="E-mail address; no two active users share one.")
    password: AnyText = Field(None, description="Password, at least 8 characters.")
    fullname: AnyText = Field(None, description="Full name.")
    about: AnyText = Field(None, description="A few words about the user, without links.")
    image_url: AnyText = Field(None, description="Address of a picture.")
    image_upload: AnyText = Field(None, description="The same, by another name; it wins.")
    clear_upload: Boolean = Field(False, description="Take the picture away.")
    sysadmin: Flag = Field(None, description="May do everything; only sysadmins make others sysadmin.")
    state: AnyText = Field(None, description="`active`, `pending` or `deleted`; only set by sysadmins.")
    password_hash: AnyText = Field(
        None, description="Instead of a password its hash (Argon2id, or PBKDF2 with SHA-512); only set by sysadmins."
    )


class UserCreate(UserFields):
    """A new user."""

    id: AnyText = Field(None, description="Id to give them, a UUID4; only set by sysadmins.")
    with_apitoken: Boolean = Field(False, description="Also create an API token named `default`, shown as `token`.")


class _Changes(UserFields):
    """Changes of a user."""

    id: RequiredText = Field(description="Id or name of the user.")
    activity_streams_email_notifications: Flag = Field(None, description="Wants news by mail.")
    plugin_extras: Object = Field(None, description="Data of integrations; only set by sysadmins.")
    reset_key: AnyText = Field(None, description="The key from a mail, instead of a login.")


class UserUpdate(_Changes):
    """The user as they shall be: the address is required, and what is not sent stays."""


class UserPatch(_Changes):
    """What changes in the user. What is not sent stays."""


class UserDelete(Parameters):
    """Which user."""

    id: RequiredText = Field(description="Id or name of the user.")


class UserShow(Parameters):
    """Which user."""

    id: Text = Field(None, description="Id or name of the user; yourself by default.")
    include_datasets: Boolean = Field(False, description="Also show the datasets that the user created, at most 50.")
    include_num_followers: Boolean = Field(False, description="Also show the number of followers.")
    include_password_hash: Boolean = Field(False, description="Also show the hash of the password; sysadmins only.")
    include_plugin_extras: Boolean = Field(False, description="Also show the data of integrations; sysadmins only.")


class UserList(Parameters):
    """Which users."""

    q: Text = Field(None, description="Text that the name contains; for sysadmins also the address.")
    email: Text = Field(None, description="Only who has this address; sysadmins only.")
    order_by: Annotated[str, one_of(*USER_ORDERS)] = Field(
        "display_name", description="`display_name`, `name`, `fullname` or `number_created_packages`, most first."
    )
    all_fields: Boolean = Field(True, description="Objects; names without it.")
    limit: Natural = Field(None, description="How many at most; all by default.")
    offset: Natural = Field(None, description="How many to leave out first.")


class UserAutocomplete(Parameters):
    """What was typed so far."""

    q: Typed = Field(description="Text that the login name or full name contains; a blank one finds nobody.")
    limit: Natural = Field(20, description="How many at most.")
    ignore_self: Boolean = Field(False, description="Leave yourself out.")


class GetSiteUser(Parameters):
    """No parameters."""


class UserGenerateApikey(Parameters):
    """Which user."""

    id: RequiredText = Field(description="Id or name of the user.")


@action(UserCreate)
async def user_create(call: Call, parameters: UserCreate) -> dict[str, Any]:
    """Create a user."""
    if not may_create_user(call.actor, call.settings):
        require_login(call.actor, "user_create")
        raise refusal(call.actor, "user_create", "this site")
    new_user, password = check_new_user(parameters.sent(), call.actor.sysadmin, call.settings.site_id)
    if password is not None:
        new_user = replace(new_user, password_hash=await hash_password(password))

    async def work(tx: Transaction) -> tuple[User | None, dict[str, Any]]:
        user_id = await create_user(tx, new_user)
        secrets: dict[str, Any] = {}
        if parameters.with_apitoken:
            secrets["token"] = (await create_token(tx, user_id, "default"))[0]
        if call.settings.legacy_api_keys:
            secrets["apikey"] = await create_legacy_key(tx, user_id)
        return await find_user(tx.connection, user_id), secrets

    user, secrets = await call.write(work)
    if user is None:
        raise NotFound("User")
    return {**show_user(user, call.site_url, private_details=True), **secrets}


@action(UserUpdate)
async def user_update(call: Call, parameters: UserUpdate) -> dict[str, Any]:
    """Change a user: yourself, or anybody as a sysadmin; or by the key of a mail, which also lets a pending user in."""
    return await _update(call, parameters, "user_update", merge=False)


@action(UserPatch)
async def user_patch(call: Call, parameters: UserPatch) -> dict[str, Any]:
    """Change some fields of a user, as user_update does."""
    return await _update(call, parameters, "user_patch", merge=True)


@action(UserDelete)
async def user_delete(call: Call, parameters: UserDelete) -> None:
    """Delete a user. Their memberships and tokens are gone; what they made stays. Sysadmins only."""
    require_login(call.actor, "user_delete")
    if not call.actor.sysadmin:
        raise refusal(call.actor, "user_delete", "this site")

    async def work(tx: Transaction) -> None:
        await delete_user(tx, parameters.id)

    await call.write(work)


@action(UserShow, get=True)
async def user_show(call: Call, parameters: UserShow) -> dict[str, Any]:
    """A user. E-mail addresses are shown to the users themselves and to sysadmins."""
    actor = call.actor
    key = parameters.id or actor.id
    if key is None:
        raise NotFound("User")
    pool = call.services.database.owner
    user = await readable_user(call, key, "user_show")
    shown = show_user(user, call.site_url, private_details=may_act_for_user(actor, user.id))
    if parameters.include_password_hash and actor.sysadmin:
        shown["password_hash"] = user.password_hash
    if parameters.include_plugin_extras and actor.sysadmin:
        shown["plugin_extras"] = user.plugin_extras
    if parameters.include_num_followers:
        shown["num_followers"] = await count_followers(pool, user.id)
    if parameters.include_datasets:
        datasets = await datasets_of_creator(pool, actor, user.id, _SHOWN_DATASETS)
        shown["datasets"] = [show_dataset(dataset, call.site_url, actor=call.actor) for dataset in datasets]
    return shown


@action(UserList, get=True)
async def user_list(call: Call, parameters: UserList) -> list[str] | list[dict[str, Any]]:
    """The users who are not deleted."""
    actor = call.actor
    if not may_see_users(actor, call.settings):
        raise refusal(actor, "user_list", "this site")
    if parameters.email and not actor.sysadmin:
        raise refusal(actor, "user_list", "e-mail addresses")
    found = await list_users(
        call.services.database.owner,
        call.settings.site_id,
        query=parameters.q,
        by_email=actor.sysadmin,
        email=parameters.email,
        order=parameters.order_by,
        limit=parameters.limit,
        offset=parameters.offset or 0,
    )
    if not parameters.all_fields:
        return [user.name for user in found]
    return [show_user(user, call.site_url, may_act_for_user(actor, user.id)) for user in found]


@action(UserAutocomplete, get=True)
async def user_autocomplete(call: Call, parameters: UserAutocomplete) -> list[dict[str, Any]]:
    """The active users whose login name or full name has the text."""
    if not may_see_users(call.actor, call.settings):
        raise refusal(call.actor, "user_autocomplete", "this site")
    if not parameters.q:
        return []
    return await suggest_users(
        call.services.database.owner,
        call.settings.site_id,
        parameters.q,
        20 if parameters.limit is None else parameters.limit,
        call.actor.id if parameters.ignore_self else None,
    )


@action(GetSiteUser, get=True)
async def get_site_user(call: Call, _parameters: GetSiteUser) -> dict[str, Any]:
    """The hidden user for internal jobs, who is made when first asked for. Sysadmins only."""
    require_login(call.actor, "get_site_user")
    if not call.actor.sysadmin:
        raise refusal(call.actor, "get_site_user", "this site")
    user = await call.write(site_user)
    return {"id": user.id, "name": user.name, "apikey": None}


@action(UserGenerateApikey)
async def user_generate_apikey(call: Call, parameters: UserGenerateApikey) -> dict[str, Any]:
    """Make a new API key of the old kind in place of the user's earlier one, where the site accepts such keys.

    It is shown this once only, as `apikey`.
    """
    user = await own_account(call, parameters.id, "user_generate_apikey")
    if not call.settings.legacy_api_keys:
        raise ValidationError({"message": "This site accepts no API keys: use api_token_create"})

    async def work(tx: Transaction) -> str:
        return await create_legacy_key(tx, user.id)

    key = await call.write(work)
    return {**show_user(user, call.site_url, private_details=True), "apikey": key}


async def readable_user(call: Call, id_or_name: str, action_name: str) -> User:
    """A user whom the actor may see. Raises :class:`NotFound` and :class:`NotAuthorized`."""
    if not may_see_users(call.actor, call.settings):
        raise refusal(call.actor, action_name, "this site")
    user = await find_user(call.services.database.owner, id_or_name)
    if user is None or (user.state == "deleted" and not call.actor.sysadmin):
        raise NotFound("User")
    return user


async def own_account(call: Call, id_or_name: str, action_name: str) -> User:
    """The user that the actor is, or that a sysadmin acts for. Others do not learn whether there is one.

    Raises :class:`NotAuthorized`, and :class:`NotFound` for a deleted user.
    """
    require_login(call.actor, action_name)
    user = await find_user(call.services.database.owner, id_or_name)
    if not call.actor.sysadmin and (user is None or not may_act_for_user(call.actor, user.id)):
        raise refusal(call.actor, action_name, "this user")
    if user is None or user.state == "deleted":
        raise NotFound("User")
    return user


async def _update(call: Call, parameters: _Changes, action_name: str, *, merge: bool) -> dict[str, Any]:
    if not parameters.reset_key:
        require_login(call.actor, action_name)

    async def work(tx: Transaction) -> User:
        return await update_user(tx, call.actor, parameters.id, parameters.sent(), merge=merge)

    return show_user(await call.write(work), call.site_url, private_details=True)
