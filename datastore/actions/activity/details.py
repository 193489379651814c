"""Actions on single activities: what the object was, what changed in it; and activities that others report."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import Field

from datastore.accounts.activities import TYPES, Activity
from datastore.accounts.permissions import (
    PUBLIC_LABEL,
    DatasetAccess,
    dataset_labels,
    group_labels,
    may_see_users,
    own_labels,
    refusal,
    require_sysadmin,
)
from datastore.accounts.users import find_user
from datastore.actions.activity.fields import shown
from datastore.actions.parameters import Json, Parameters, RequiredText, Text, one_of
from datastore.actions.registry import Call, action
from datastore.catalog.activity.diff import FORMS, diff
from datastore.catalog.activity.streams import (
    Recorded,
    add_activity,
    delete_activity,
    find_activity,
    may_see_details,
    previous_activity,
    show_activity,
)
from datastore.catalog.datasets.rows import find_access
from datastore.catalog.groups.rows import lock_group
from datastore.catalog.views.rows import find_view
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction

# An organization is kept under the name of a group, a view under one without a space.
_KEYS = {"organization": "group", "resource view": "resource_view"}


class ActivityShow(Parameters):
    """Which activity."""

    id: RequiredText = Field(description="Id of the activity.")


class ActivityDelete(Parameters):
    """Which activity."""

    id: RequiredText = Field(description="Id of the activity.")


class ActivityDataShow(Parameters):
    """Which activity, and what of it."""

    id: RequiredText = Field(description="Id of the activity.")
    object_type: Text = Field(
        None, description="Only this part: `package`, `group`, `organization`, `user`; all by default."
    )


class ActivityDiff(Parameters):
    """Which activity, and how its change is shown."""

    id: RequiredText = Field(description="Id of the activity.")
    object_type: RequiredText = Field(description="`package`, `group`, `organization`, `user`.")
    diff_type: Annotated[str, one_of(*FORMS)] = Field("unified", description="`unified`, `context` or `html`.")


class ActivityCreate(Parameters):
    """What happened."""

    user_id: RequiredText = Field(description="Id or name of the user who did it.")
    object_id: RequiredText = Field(description="Id of what it was done to.")
    activity_type: RequiredText = Field(description="What it was, such as `changed package`.")
    data: Json = Field(None, description="An object with the object as it was, under the name of its kind.")


@action(ActivityShow, get=True)
async def activity_show(call: Call, parameters: ActivityShow) -> dict[str, Any]:
    """An activity. The object as it was is shown in full to whoever may change it, in short to others."""
    return shown(call, await _readable(call, parameters.id, "activity_show"))


@action(ActivityDataShow, get=True)
async def activity_data_show(call: Call, parameters: ActivityDataShow) -> dict[str, Any]:
    """The object as it was right after the activity; for whoever may change it, unless the site shows it to all."""
    activity = await _readable(call, parameters.id, "activity_data_show", details=True)
    data: dict[str, Any] = _full(call, activity)["data"]
    return data if not parameters.object_type else _part(data, parameters.object_type)


@action(ActivityDiff, get=True)
async def activity_diff(call: Call, parameters: ActivityDiff) -> dict[str, Any]:
    """What an activity changed in its object, and the two activities that are compared.

    For whoever may change the object, unless the site shows it to all.
    """
    activity = await _readable(call, parameters.id, "activity_diff", details=True)
    after = _part(activity.data, parameters.object_type)
    previous = await previous_activity(call.services.database.owner, call.actor, activity)
    if previous is None:
        raise NotFound("Previous activity")
    before = _part(previous.data, parameters.object_type)
    text = await asyncio.to_thread(diff, before, after, parameters.diff_type)
    return {"diff": text, "activities": [_full(call, previous), _full(call, activity)]}


@action(ActivityCreate)
async def activity_create(call: Call, parameters: ActivityCreate) -> dict[str, Any]:
    """Record an activity that happened elsewhere. Sysadmins only."""
    require_sysadmin(call.actor, "activity_create")
    if parameters.activity_type not in TYPES:
        raise ValidationError({"activity_type": [f"Value must be one of {list(TYPES)}"]})
    if parameters.data is not None and not isinstance(parameters.data, dict):
        raise ValidationError({"data": ["Must be an object"]})

    async def work(tx: Transaction) -> Recorded:
        user = await find_user(tx.connection, parameters.user_id)
        if user is None:
            raise ValidationError({"user_id": ["Not found: User"]})
        activity = await _reported(tx, parameters, user.id)
        return await add_activity(tx, activity, user.id)

    return _full(call, await call.write(work))


@action(ActivityDelete)
async def activity_delete(call: Call, parameters: ActivityDelete) -> None:
    """Remove an activity for good, such as one that quotes what should never have been published. Sysadmins only."""
    require_sysadmin(call.actor, "activity_delete")

    async def work(tx: Transaction) -> None:
        await delete_activity(tx, parameters.id)

    await call.write(work)


async def _reported(tx: Transaction, parameters: ActivityCreate, user_id: str) -> Activity:
    verb, _, kind = parameters.activity_type.partition(" ")
    object_id, labels, dataset_id, group_id = parameters.object_id, [PUBLIC_LABEL], None, None
    access: DatasetAccess | None = None
    try:
        if kind in ("package", "dataset"):
            access = await find_access(tx.connection, object_id)
            object_id = access.id
        elif kind == "resource view":
            view, access = await find_view(tx.connection, object_id)
            object_id = view.id
        elif kind in ("group", "organization"):
            only = None if verb == "follow" else kind == "organization"
            group = await lock_group(tx, object_id, only)
            object_id, labels, group_id = group.id, group_labels(group.id, group.state), group.id
        else:
            other = await find_user(tx.connection, object_id)
            if other is None:
                raise NotFound("User")
            object_id = other.id
    except NotFound as error:
        raise ValidationError({"object_id": [str(error)]}) from None
    if access is not None:
        labels, dataset_id, group_id = dataset_labels(access), access.id, access.owner_org
    if verb == "follow":
        labels = own_labels(user_id)
    return Activity(parameters.activity_type, object_id, parameters.data or {}, labels, dataset_id, group_id)


async def _readable(call: Call, activity_id: str, action_name: str, *, details: bool = False) -> Recorded:
    found = await find_activity(call.services.database.owner, call.actor, activity_id)
    if found is None:
        raise NotFound("Activity")
    activity, visible = found
    if activity.activity_type.endswith(" user") and not may_see_users(call.actor, call.settings):
        visible = False
    if not visible or (details and not may_see_details(call.actor, activity, call.settings)):
        raise refusal(call.actor, action_name, f"activity {activity.id}")
    return activity


def _full(call: Call, activity: Recorded) -> dict[str, Any]:
    return show_activity(activity, details=True, names=may_see_users(call.actor, call.settings))


def _part(data: dict[str, Any], object_type: str) -> dict[str, Any]:
    found = data.get(_KEYS.get(object_type, object_type))
    if not isinstance(found, dict):
        raise NotFound(f"Activity data of a {object_type}")
    return found
