"""Actions that list what happened: to a dataset, in a group or organization, by and to a user, on the whole site."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import refusal, require_read
from datastore.actions.activity.fields import Page, TimedPage, check_types, shown_stream, window
from datastore.actions.parameters import Boolean, RequiredText, Strings
from datastore.actions.people.group_work import readable
from datastore.actions.people.users import readable_user
from datastore.actions.registry import Call, action
from datastore.catalog.activity.streams import EVERYTHING, Stream, of_dataset, of_group, of_organization, of_user
from datastore.catalog.datasets.rows import find_access


class ObjectStream(TimedPage):
    """Whose stream, and which part of it."""

    id: RequiredText = Field(description="Its id or name.")
    activity_types: Strings = Field(None, description="Only of these types, such as `changed package`.")
    exclude_activity_types: Strings = Field(None, description="Not of these types.")
    include_hidden_activity: Boolean = Field(
        False, description="Also what the hidden user for internal jobs did; sysadmins only."
    )


class RecentlyChanged(Page):
    """Which part of the list."""


@action(ObjectStream, get=True)
async def package_activity_list(call: Call, parameters: ObjectStream) -> list[dict[str, Any]]:
    """What happened to a dataset, its resources and its views, newest first."""
    access = await find_access(call.services.database.owner, parameters.id)
    require_read(call.actor, access, "package_activity_list", f"dataset {parameters.id}")
    return await _listed(call, parameters, of_dataset(access.id), "package_activity_list")


@action(ObjectStream, get=True)
async def group_activity_list(call: Call, parameters: ObjectStream) -> list[dict[str, Any]]:
    """What happened to a group and to the datasets in it, newest first."""
    group = await readable(call, parameters.id, False, "group_activity_list")
    return await _listed(call, parameters, of_group(group.id), "group_activity_list")


@action(ObjectStream, get=True)
async def organization_activity_list(call: Call, parameters: ObjectStream) -> list[dict[str, Any]]:
    """What happened to an organization, and to datasets while it owned them, newest first."""
    organization = await readable(call, parameters.id, True, "organization_activity_list")
    return await _listed(call, parameters, of_organization(organization.id), "organization_activity_list")


@action(ObjectStream, get=True)
async def user_activity_list(call: Call, parameters: ObjectStream) -> list[dict[str, Any]]:
    """What a user did, and what was done to them, newest first."""
    user = await readable_user(call, parameters.id, "user_activity_list")
    return await _listed(call, parameters, of_user(user.id), "user_activity_list")


@action(RecentlyChanged, get=True)
async def recently_changed_packages_activity_list(call: Call, parameters: RecentlyChanged) -> list[dict[str, Any]]:
    """What happened to datasets, newest first."""
    types = ["new package", "changed package", "deleted package"]
    return await shown_stream(call, EVERYTHING, window(parameters, types=types))


async def _listed(call: Call, parameters: ObjectStream, stream: Stream, action_name: str) -> list[dict[str, Any]]:
    if parameters.include_hidden_activity and not call.actor.sysadmin:
        raise refusal(call.actor, action_name, "hidden activities")
    check_types(parameters.activity_types, parameters.exclude_activity_types)
    wanted = window(
        parameters,
        before=parameters.before,
        after=parameters.after,
        types=parameters.activity_types,
        without=parameters.exclude_activity_types,
        hidden=parameters.include_hidden_activity,
    )
    return await shown_stream(call, stream, wanted)
