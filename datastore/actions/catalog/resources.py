"""Actions on resources."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import require_login, require_read
from datastore.actions.catalog.fields import AnyText, ResourceFields
from datastore.actions.parameters import Parameters, RequiredText
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.resource_rows import find_resource, show_resource
from datastore.catalog.editing.resources import create_resource, delete_resource, update_resource
from datastore.postgres.database import Transaction


class ResourceCreate(ResourceFields):
    """A new resource of a dataset."""

    package_id: RequiredText = Field(description="Id or name of the dataset.")
    id: AnyText = Field(None, description="Id to give it, a UUID4; made up by default.")


class ResourceShow(Parameters):
    """Which resource."""

    id: RequiredText = Field(description="Id of the resource.")


class ResourceUpdate(ResourceFields):
    """The resource as it shall be. What is not sent of address, description, kind, MIME types and further metadata is
    emptied; everything else stays."""

    id: RequiredText = Field(description="Id of the resource.")


class ResourcePatch(ResourceFields):
    """What changes in the resource; what is not sent stays."""

    id: RequiredText = Field(description="Id of the resource.")


class ResourceDelete(Parameters):
    """Which resource."""

    id: RequiredText = Field(description="Id of the resource.")


@action(ResourceCreate)
async def resource_create(call: Call, parameters: ResourceCreate) -> dict[str, Any]:
    """Append a resource to a dataset. Keys that are not listed here are kept as further metadata."""
    require_login(call.actor, "resource_create")

    async def work(tx: Transaction) -> dict[str, Any]:
        return await create_resource(tx, call.actor, call.settings, call.site_url, parameters.sent())

    return _written(call, await call.write(work))


@action(ResourceShow, get=True)
async def resource_show(call: Call, parameters: ResourceShow) -> dict[str, Any]:
    """A resource."""
    resource, access = await find_resource(call.services.database.owner, parameters.id)
    require_read(call.actor, access, "resource_show", f"resource {resource.id}")
    return show_resource(resource, call.site_url)


@action(ResourceUpdate)
async def resource_update(call: Call, parameters: ResourceUpdate) -> dict[str, Any]:
    """Replace a resource by what is sent."""
    return await _update(call, parameters.id, parameters, "resource_update", merge=False)


@action(ResourcePatch)
async def resource_patch(call: Call, parameters: ResourcePatch) -> dict[str, Any]:
    """Change some fields of a resource."""
    return await _update(call, parameters.id, parameters, "resource_patch", merge=True)


@action(ResourceDelete)
async def resource_delete(call: Call, parameters: ResourceDelete) -> None:
    """Delete a resource, and its table."""
    require_login(call.actor, "resource_delete")

    async def work(tx: Transaction) -> str:
        return (await delete_resource(tx, call.actor, call.settings, parameters.id)).id

    call.changed_entities["packages"] = [await call.write(work)]


async def _update(
    call: Call, resource_id: str, parameters: ResourceFields, action_name: str, *, merge: bool
) -> dict[str, Any]:
    require_login(call.actor, action_name)

    async def work(tx: Transaction) -> dict[str, Any]:
        return await update_resource(
            tx, call.actor, call.settings, call.site_url, resource_id, parameters.sent(), merge=merge
        )

    return _written(call, await call.write(work))


def _written(call: Call, shown: dict[str, Any]) -> dict[str, Any]:
    call.changed_entities["packages"] = [shown["package_id"]]
    return shown
