"""Actions that tell what a user follows: how much to everybody, as far as they may see it; what it is to themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from datastore.accounts.users import find_user, show_user
from datastore.actions.parameters import Parameters, RequiredText, Text
from datastore.actions.people import group_work
from datastore.actions.people.users import own_account, readable_user
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import load_datasets, show_dataset
from datastore.catalog.followable import KINDS, Followee, list_followees


class FolloweeCount(Parameters):
    """Whose."""

    id: RequiredText = Field(description="Id or name of the user.")


class FolloweeList(Parameters):
    """Whose, and which."""

    id: RequiredText = Field(description="Id or name of the user.")
    q: Text = Field(None, description="Only those whose name or title starts with this, in any case.")


@action(FolloweeCount, get=True)
async def followee_count(call: Call, parameters: FolloweeCount) -> int:
    """How much a user follows, of all kinds together."""
    return await _count(call, parameters, KINDS, "followee_count")


@action(FolloweeCount, get=True)
async def user_followee_count(call: Call, parameters: FolloweeCount) -> int:
    """How many users a user follows."""
    return await _count(call, parameters, ["user"], "user_followee_count")


@action(FolloweeCount, get=True)
async def dataset_followee_count(call: Call, parameters: FolloweeCount) -> int:
    """How many datasets a user follows, of those that you may see."""
    return await _count(call, parameters, ["dataset"], "dataset_followee_count")


@action(FolloweeCount, get=True)
async def group_followee_count(call: Call, parameters: FolloweeCount) -> int:
    """How many groups a user follows."""
    return await _count(call, parameters, ["group"], "group_followee_count")


@action(FolloweeCount, get=True)
async def organization_followee_count(call: Call, parameters: FolloweeCount) -> int:
    """How many organizations a user follows."""
    return await _count(call, parameters, ["organization"], "organization_followee_count")


@action(FolloweeList, get=True)
async def followee_list(call: Call, parameters: FolloweeList) -> list[dict[str, Any]]:
    """What you follow, of all kinds, longest first."""
    found = await _followees(call, parameters, KINDS, "followee_list")
    objects = {shown["id"]: shown for kind in KINDS for shown in await _objects(call, found, kind)}
    return [
        {"type": followee.kind, "display_name": followee.display_name, "dict": objects[followee.id]}
        for followee in found
        if followee.id in objects
    ]


@action(FolloweeList, get=True)
async def user_followee_list(call: Call, parameters: FolloweeList) -> list[dict[str, Any]]:
    """The users whom you follow."""
    return await _list(call, parameters, "user")


@action(FolloweeList, get=True)
async def dataset_followee_list(call: Call, parameters: FolloweeList) -> list[dict[str, Any]]:
    """The datasets that you follow."""
    return await _list(call, parameters, "dataset")


@action(FolloweeList, get=True)
async def group_followee_list(call: Call, parameters: FolloweeList) -> list[dict[str, Any]]:
    """The groups that you follow."""
    return await _list(call, parameters, "group")


@action(FolloweeList, get=True)
async def organization_followee_list(call: Call, parameters: FolloweeList) -> list[dict[str, Any]]:
    """The organizations that you follow."""
    return await _list(call, parameters, "organization")


async def _count(call: Call, parameters: FolloweeCount, kinds: Sequence[str], action_name: str) -> int:
    user = await readable_user(call, parameters.id, action_name)
    return len(await list_followees(call.services.database.owner, call.actor, user.id, kinds))


async def _list(call: Call, parameters: FolloweeList, kind: str) -> list[dict[str, Any]]:
    return await _objects(call, await _followees(call, parameters, [kind], f"{kind}_followee_list"), kind)


async def _followees(call: Call, parameters: FolloweeList, kinds: Sequence[str], action_name: str) -> list[Followee]:
    user = await own_account(call, parameters.id, action_name)
    found = await list_followees(call.services.database.owner, call.actor, user.id, kinds)
    start = (parameters.q or "").lower()
    return [
        followee
        for followee in found
        if followee.name.startswith(start) or followee.display_name.lower().startswith(start)
    ]


async def _objects(call: Call, found: Sequence[Followee], kind: str) -> list[dict[str, Any]]:
    """Those of that kind as the API shows them."""
    ids = [followee.id for followee in found if followee.kind == kind]
    pool = call.services.database.owner
    if not ids:
        return []
    if kind == "dataset":
        return [show_dataset(dataset, call.site_url, actor=call.actor) for dataset in await load_datasets(pool, ids)]
    if kind == "user":
        users = [await find_user(pool, id) for id in ids]
        return [show_user(user, call.site_url) for user in users if user is not None]
    return await group_work.of_ids(call, ids, kind == "organization", count=True)
