"""Actions on task statuses."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import require_read, require_sysadmin
from datastore.actions.catalog.fields import AnyDate, AnyText, Objects, Sent
from datastore.actions.parameters import Parameters, RequiredText, Text
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.resource_rows import find_resource
from datastore.catalog.datasets.rows import load_dataset
from datastore.catalog.site.task_statuses import (
    TaskStatus,
    delete_task_status,
    find_task_status,
    save_task_statuses,
    show_task_status,
    task_statuses_of,
)
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import MISSING, is_sent, objects


class TaskStatusShow(Parameters):
    """Which status: by its id, or by the other three."""

    id: Text = Field(None, description="Id of the status.")
    entity_id: Text = Field(None, description="Id of the object that the task is about.")
    task_type: Text = Field(None, description="Type of the task.")
    key: Text = Field(None, description="What distinguishes tasks of one type on one object.")


class ResourceStatusShow(Parameters):
    """Which resource."""

    id: RequiredText = Field(description="Id of the resource.")


class TaskStatusUpdate(Sent):
    """A status; it replaces the one of the same object, type and key."""

    id: AnyText = Field(None, description="Id of the status to change; without it the other keys tell which.")
    entity_id: AnyText = Field(None, description="Id of the object that the task is about.")
    entity_type: AnyText = Field(None, description="What that object is, such as `resource`.")
    task_type: AnyText = Field(None, description="Type of the task.")
    key: AnyText = Field(None, description="What distinguishes tasks of one type on one object.")
    value: AnyText = Field(None, description="What the task wants to keep.")
    state: AnyText = Field(None, description="How it goes, such as `pending`.")
    error: AnyText = Field(None, description="What went wrong.")
    last_updated: AnyDate = Field(None, description="Time of the change, ISO 8601 in UTC; now by default.")


class TaskStatusUpdateMany(Parameters):
    """Several statuses."""

    data: Objects = Field(None, description="List of statuses, each as for task_status_update.")


class TaskStatusDelete(Parameters):
    """Which status."""

    id: RequiredText = Field(description="Id of the status.")


@action(TaskStatusShow, get=True)
async def task_status_show(call: Call, parameters: TaskStatusShow) -> dict[str, Any]:
    """How a task on an object went last. That of a dataset or resource is for those who may see it."""
    pool = call.services.database.owner
    if parameters.id:
        status = await find_task_status(pool, parameters.id)
    else:
        keys = {"entity_id": parameters.entity_id, "task_type": parameters.task_type, "key": parameters.key}
        missing = {field: [MISSING] for field, value in keys.items() if not value}
        if missing:
            raise ValidationError(missing)
        status = await find_task_status(pool, *(value or "" for value in keys.values()))
    await _require_entity(call, status)
    return show_task_status(status)


@action(ResourceStatusShow, get=True)
async def resource_status_show(call: Call, parameters: ResourceStatusShow) -> list[dict[str, Any]]:
    """How all tasks on a resource went, the latest first; for those who may see it."""
    pool = call.services.database.owner
    resource, access = await find_resource(pool, parameters.id)
    require_read(call.actor, access, "resource_status_show", f"resource {resource.id}")
    return [show_task_status(status) for status in await task_statuses_of(pool, resource.id)]


@action(TaskStatusUpdate)
async def task_status_update(call: Call, parameters: TaskStatusUpdate) -> dict[str, Any]:
    """Note how a task went. Sysadmins only."""
    require_sysadmin(call.actor, "task_status_update")

    async def work(tx: Transaction) -> TaskStatus:
        try:
            return (await save_task_statuses(tx, [parameters.sent()]))[0]
        except ValidationError as error:
            raise ValidationError(error.fields["data"][0] if "data" in error.fields else error.fields) from None

    return show_task_status(await call.write(work))


@action(TaskStatusUpdateMany)
async def task_status_update_many(call: Call, parameters: TaskStatusUpdateMany) -> dict[str, Any]:
    """Note how several tasks went, all or none. Sysadmins only."""
    require_sysadmin(call.actor, "task_status_update_many")
    if not is_sent(parameters.data):
        raise ValidationError({"data": [MISSING]})
    items = objects("data", parameters.data)

    async def work(tx: Transaction) -> list[TaskStatus]:
        return await save_task_statuses(tx, items)

    return {"results": [show_task_status(status) for status in await call.write(work)]}


@action(TaskStatusDelete)
async def task_status_delete(call: Call, parameters: TaskStatusDelete) -> None:
    """Delete a status. Sysadmins only."""
    require_sysadmin(call.actor, "task_status_delete")

    async def work(tx: Transaction) -> None:
        await delete_task_status(tx, parameters.id)

    await call.write(work)


async def _require_entity(call: Call, status: TaskStatus) -> None:
    """Raise :class:`NotAuthorized` if the status is of a dataset or resource that the actor may not see."""
    pool = call.services.database.owner
    try:
        if status.entity_type == "resource":
            _, access = await find_resource(pool, status.entity_id)
        elif status.entity_type in ("package", "dataset"):
            access = (await load_dataset(pool, status.entity_id)).access
        else:
            return
    except NotFound:
        # Deleted, or never there: nothing tells who might see it.
        require_sysadmin(call.actor, "task_status_show")
        return
    require_read(call.actor, access, "task_status_show", f"task status {status.id}")
