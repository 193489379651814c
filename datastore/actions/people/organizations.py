"""Actions on organizations."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.actors import actor_of_user
from datastore.accounts.permissions import ADMIN, has_permission, may_see_users, refusal
from datastore.accounts.users import find_user
from datastore.actions.parameters import Boolean, Parameters, Text
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
from datastore.errors import NotFound


class OrganizationCreate(NewGroup):
    """A new organization."""


class OrganizationUpdate(ChangedGroup):
    """The organization as it shall be. What is not sent stays, but the extras are emptied; `packages` is ignored."""


class OrganizationPatch(ChangedGroup):
    """What changes in the organization. What is not sent stays; lists are replaced as a whole."""


class OrganizationDelete(GroupKey):
    """Which organization."""


class OrganizationPurge(GroupKey):
    """Which organization."""


class OrganizationShow(ShownGroup):
    """Which organization, and how much of it."""


class OrganizationList(ListedGroups):
    """Which organizations, and how much of each."""

    organizations: Names = Field(None, description="Only these names.")


class OrganizationAutocomplete(SuggestedGroups):
    """What was typed so far."""


class OrganizationListForUser(Parameters):
    """Whose organizations, and what they may do there."""

    id: Text = Field(None, description="Id or name of the user; yourself by default.")
    permission: Text = Field(
        None,
        description="What the user may do in each: `read`, `create_dataset`, `update_dataset`, `delete_dataset`, "
        "`manage_group` (the default), `membership`, `update`, `delete`; `admin` for all of them.",
    )
    include_dataset_count: Boolean = Field(False, description="Show the number of datasets.")


@action(OrganizationCreate)
async def organization_create(call: Call, parameters: OrganizationCreate) -> dict[str, Any]:
    """Create an organization. Its creator becomes its admin."""
    return await group_work.create(call, parameters, True, "organization_create")


@action(OrganizationUpdate)
async def organization_update(call: Call, parameters: OrganizationUpdate) -> dict[str, Any]:
    """Change an organization; its admins may. The lists that are sent, of users and parents, replace those stored."""
    return await group_work.change(call, parameters, True, "organization_update", merge=False)


@action(OrganizationPatch)
async def organization_patch(call: Call, parameters: OrganizationPatch) -> dict[str, Any]:
    """Change some fields of an organization; its admins may."""
    return await group_work.change(call, parameters, True, "organization_patch", merge=True)


@action(OrganizationDelete)
async def organization_delete(call: Call, parameters: OrganizationDelete) -> None:
    """Delete an organization that has no datasets any more. A sysadmin can bring it back."""
    await group_work.delete(call, parameters.id, True, "organization_delete")


@action(OrganizationPurge)
async def organization_purge(call: Call, parameters: OrganizationPurge) -> None:
    """Remove an organization for good, with its memberships. Sysadmins only."""
    await group_work.purge(call, parameters.id, True, "organization_purge")


@action(OrganizationShow, get=True)
async def organization_show(call: Call, parameters: OrganizationShow) -> dict[str, Any]:
    """An organization with its members."""
    return await group_work.show(call, parameters, True, "organization_show")


@action(OrganizationList, get=True)
async def organization_list(call: Call, parameters: OrganizationList) -> list[str] | list[dict[str, Any]]:
    """The organizations, by title unless `sort` says otherwise."""
    return await group_work.listed(call, parameters, parameters.organizations, True)


@action(OrganizationAutocomplete, get=True)
async def organization_autocomplete(call: Call, parameters: OrganizationAutocomplete) -> list[dict[str, Any]]:
    """The organizations whose name or title has the text."""
    return await group_work.suggested(call, parameters, True)


@action(OrganizationListForUser, get=True)
async def organization_list_for_user(call: Call, parameters: OrganizationListForUser) -> list[dict[str, Any]]:
    """The organizations in which a user has a permission, with their role. Sysadmins have every one in all."""
    actor = call.actor
    if parameters.id:
        if not may_see_users(actor, call.settings):
            raise refusal(actor, "organization_list_for_user", "this site")
        pool = call.services.database.owner
        user = await find_user(pool, parameters.id)
        if user is None or (user.state == "deleted" and not actor.sysadmin):
            raise NotFound("User")
        if user.id != actor.id:
            found = await actor_of_user(pool, call.settings, user.id)
            if found is None:
                return []
            actor = found
    permission = parameters.permission or "manage_group"
    roles = {group_id: role for group_id, role in actor.roles.items() if has_permission(actor, group_id, permission)}
    ids = None if actor.sysadmin else sorted(roles)
    shown = await group_work.of_ids(call, ids, True, parameters.include_dataset_count)
    return [{**each, "capacity": ADMIN if actor.sysadmin else roles[each["id"]]} for each in shown]
