"""Actions by which users follow datasets, groups and each other, and that tell by whom something is followed.

What the caller may not see is treated as if it were not there.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts import followers
from datastore.accounts.activities import record
from datastore.accounts.permissions import may_see_users, refusal, require_sysadmin
from datastore.accounts.users import find_user, show_user
from datastore.actions.activity.dashboard import own_id
from datastore.actions.parameters import Parameters, RequiredText
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import load_dataset, show_dataset
from datastore.catalog.followable import find_followable, find_followed, follow_activity
from datastore.catalog.groups.rows import Include, group_of_id, show_group
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction


class Followable(Parameters):
    """Which one."""

    id: RequiredText = Field(description="Its id or name.")


@action(Followable)
async def follow_user(call: Call, parameters: Followable) -> dict[str, Any]:
    """Follow a user: what they do is news on your dashboard."""
    return await _follow(call, "user", parameters.id)


@action(Followable)
async def follow_dataset(call: Call, parameters: Followable) -> dict[str, Any]:
    """Follow a dataset: what happens to it is news on your dashboard."""
    return await _follow(call, "dataset", parameters.id)


@action(Followable)
async def follow_group(call: Call, parameters: Followable) -> dict[str, Any]:
    """Follow a group or organization: what happens to it and its datasets is news on your dashboard."""
    return await _follow(call, "group", parameters.id)


@action(Followable)
async def unfollow_user(call: Call, parameters: Followable) -> None:
    """Follow a user no longer. Nothing happens if you do not."""
    await _unfollow(call, "user", parameters.id)


@action(Followable)
async def unfollow_dataset(call: Call, parameters: Followable) -> None:
    """Follow a dataset no longer. Nothing happens if you do not."""
    await _unfollow(call, "dataset", parameters.id)


@action(Followable)
async def unfollow_group(call: Call, parameters: Followable) -> None:
    """Follow a group or organization no longer. Nothing happens if you do not."""
    await _unfollow(call, "group", parameters.id)


@action(Followable, get=True)
async def am_following_user(call: Call, parameters: Followable) -> bool:
    """Whether you follow a user."""
    return await _am_following(call, "user", parameters.id)


@action(Followable, get=True)
async def am_following_dataset(call: Call, parameters: Followable) -> bool:
    """Whether you follow a dataset."""
    return await _am_following(call, "dataset", parameters.id)


@action(Followable, get=True)
async def am_following_group(call: Call, parameters: Followable) -> bool:
    """Whether you follow a group or organization."""
    return await _am_following(call, "group", parameters.id)


@action(Followable, get=True)
async def user_follower_count(call: Call, parameters: Followable) -> int:
    """How many users follow a user."""
    return await _count(call, "user", parameters.id)


@action(Followable, get=True)
async def dataset_follower_count(call: Call, parameters: Followable) -> int:
    """How many users follow a dataset."""
    return await _count(call, "dataset", parameters.id)


@action(Followable, get=True)
async def group_follower_count(call: Call, parameters: Followable) -> int:
    """How many users follow a group."""
    return await _count(call, "group", parameters.id)


@action(Followable, get=True)
async def organization_follower_count(call: Call, parameters: Followable) -> int:
    """How many users follow an organization."""
    return await _count(call, "organization", parameters.id)


@action(Followable, get=True)
async def user_follower_list(call: Call, parameters: Followable) -> list[dict[str, Any]]:
    """The users who follow a user. Sysadmins only."""
    return await _list(call, "user", parameters.id)


@action(Followable, get=True)
async def dataset_follower_list(call: Call, parameters: Followable) -> list[dict[str, Any]]:
    """The users who follow a dataset. Sysadmins only."""
    return await _list(call, "dataset", parameters.id)


@action(Followable, get=True)
async def group_follower_list(call: Call, parameters: Followable) -> list[dict[str, Any]]:
    """The users who follow a group. Sysadmins only."""
    return await _list(call, "group", parameters.id)


@action(Followable, get=True)
async def organization_follower_list(call: Call, parameters: Followable) -> list[dict[str, Any]]:
    """The users who follow an organization. Sysadmins only."""
    return await _list(call, "organization", parameters.id)


async def _follow(call: Call, kind: str, key: str) -> dict[str, Any]:
    user_id = own_id(call, f"follow_{kind}")

    async def work(tx: Transaction) -> dict[str, Any] | None:
        object_id = await find_followable(tx.connection, call.actor, kind, key, lock=True)
        if object_id == user_id:
            raise ValidationError({"message": "You cannot follow yourself"})
        if await followers.follow(tx, user_id, kind, object_id):
            shown = await _shown(tx, kind, object_id)
            await record(tx, [follow_activity(user_id, kind, object_id, shown)])
        return await followers.find_follower(tx.connection, user_id, object_id)

    # Between the two statements of a repeated follow somebody may have unfollowed: then it is made anew.
    while True:
        row = await call.write(work)
        if row is not None:
            return row


async def _unfollow(call: Call, kind: str, key: str) -> None:
    user_id = own_id(call, f"unfollow_{kind}")

    async def work(tx: Transaction) -> None:
        await followers.unfollow(tx, user_id, await find_followed(tx, call.actor, user_id, kind, key))

    await call.write(work)


async def _am_following(call: Call, kind: str, key: str) -> bool:
    user_id = own_id(call, f"am_following_{kind}")
    pool = call.services.database.owner
    object_id = await find_followable(pool, call.actor, kind, key)
    return await followers.find_follower(pool, user_id, object_id) is not None


async def _count(call: Call, kind: str, key: str) -> int:
    _check_users(call, kind, f"{kind}_follower_count")
    pool = call.services.database.owner
    return await followers.count_followers(pool, await find_followable(pool, call.actor, kind, key))


async def _list(call: Call, kind: str, key: str) -> list[dict[str, Any]]:
    require_sysadmin(call.actor, f"{kind}_follower_list")
    pool = call.services.database.owner
    object_id = await find_followable(pool, call.actor, kind, key)
    return [show_user(user, call.site_url) for user in await followers.list_followers(pool, object_id)]


def _check_users(call: Call, kind: str, action_name: str) -> None:
    if kind == "user" and not may_see_users(call.actor, call.settings):
        raise refusal(call.actor, action_name, "this site")


async def _shown(tx: Transaction, kind: str, object_id: str) -> dict[str, Any]:
    """The followed object as the public would be shown it."""
    site_url = tx.author.site_url
    if kind == "dataset":
        return show_dataset(await load_dataset(tx.connection, object_id), site_url)
    if kind == "group":
        include = Include(dataset_count=False, users=False, followers=False)
        return await show_group(tx.connection, await group_of_id(tx.connection, object_id), site_url, include)
    user = await find_user(tx.connection, object_id)
    return show_user(user, site_url) if user is not None else {}
