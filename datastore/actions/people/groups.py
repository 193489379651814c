"""Actions on groups."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import has_permission, require_login
from datastore.actions.parameters import Boolean, Natural, Parameters, RequiredText
from datastore.actions.people import group_work
from datastore.actions.people.fields import (
    ChangedGroup,
    GroupKey,
    ListedGroups,
    Names,
    NewGroup,
    ShownGroup,
    SuggestedGroups,
)
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import show_dataset
from datastore.catalog.groups.lists import MAX_NAMES, datasets_of_group


class GroupCreate(NewGroup):
    """A new group."""


class GroupUpdate(ChangedGroup):
    """The group (or organization) as it shall be. What is not sent stays, but the extras are emptied."""


class GroupPatch(ChangedGroup):
    """What changes in the group. What is not sent stays; lists are replaced as a whole."""


class GroupDelete(GroupKey):
    """Which group."""


class GroupPurge(GroupKey):
    """Which group."""


class GroupShow(ShownGroup):
    """Which group, and how much of it."""


class GroupList(ListedGroups):
    """Which groups, and how much of each."""

    groups: Names = Field(None, description="Only these names.")


class GroupAutocomplete(SuggestedGroups):
    """What was typed so far."""


class GroupListAuthz(Parameters):
    """Which of the groups that you may edit."""

    available_only: Boolean = Field(False, description="Accepted, and without effect.")
    am_member: Boolean = Field(False, description="Only those in which you have a role; matters to sysadmins.")


class GroupPackageShow(Parameters):
    """Whose datasets."""

    id: RequiredText = Field(description="Id or name of the group.")
    limit: Natural = Field(None, description="How many at most, up to 1000.")


@action(GroupCreate)
async def group_create(call: Call, parameters: GroupCreate) -> dict[str, Any]:
    """Create a group. Its creator becomes its admin."""
    return await group_work.create(call, parameters, False, "group_create")


@action(GroupUpdate)
async def group_update(call: Call, parameters: GroupUpdate) -> dict[str, Any]:
    """Change a group; its admins may. The lists that are sent, of users, parents and datasets, replace those stored."""
    return await group_work.change(call, parameters, None, "group_update", merge=False)


@action(GroupPatch)
async def group_patch(call: Call, parameters: GroupPatch) -> dict[str, Any]:
    """Change some fields of a group; its admins may."""
    return await group_work.change(call, parameters, None, "group_patch", merge=True)


@action(GroupDelete)
async def group_delete(call: Call, parameters: GroupDelete) -> None:
    """Delete a group; its datasets stay. A sysadmin can bring it back."""
    await group_work.delete(call, parameters.id, False, "group_delete")


@action(GroupPurge)
async def group_purge(call: Call, parameters: GroupPurge) -> None:
    """Remove a group for good, with its memberships; its datasets stay. Sysadmins only."""
    await group_work.purge(call, parameters.id, False, "group_purge")


@action(GroupShow, get=True)
async def group_show(call: Call, parameters: GroupShow) -> dict[str, Any]:
    """A group with its members."""
    return await group_work.show(call, parameters, False, "group_show")


@action(GroupList, get=True)
async def group_list(call: Call, parameters: GroupList) -> list[str] | list[dict[str, Any]]:
    """The groups, by title unless `sort` says otherwise."""
    return await group_work.listed(call, parameters, parameters.groups, False)


@action(GroupAutocomplete, get=True)
async def group_autocomplete(call: Call, parameters: GroupAutocomplete) -> list[dict[str, Any]]:
    """The groups whose name or title has the text."""
    return await group_work.suggested(call, parameters, False)


@action(GroupListAuthz, get=True)
async def group_list_authz(call: Call, parameters: GroupListAuthz) -> list[dict[str, Any]]:
    """The groups into which you may put datasets."""
    actor = call.actor
    require_login(actor, "group_list_authz")
    every = actor.sysadmin and not parameters.am_member
    ids = None if every else [group for group in actor.roles if has_permission(actor, group, "manage_group")]
    return await group_work.of_ids(call, ids, False, count=True)


@action(GroupPackageShow, get=True)
async def group_package_show(call: Call, parameters: GroupPackageShow) -> list[dict[str, Any]]:
    """The datasets of a group that you may see, latest change first."""
    group = await group_work.readable(call, parameters.id, False, "group_package_show")
    limit = min(MAX_NAMES if parameters.limit is None else parameters.limit, MAX_NAMES)
    found = await datasets_of_group(call.services.database.owner, call.actor, group.id, limit)
    return [show_dataset(dataset, call.site_url, actor=call.actor) for dataset in found]
