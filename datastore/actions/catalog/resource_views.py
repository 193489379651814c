"""Actions on resource views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, Field

from datastore.accounts.permissions import require_login, require_read, require_sysadmin, require_update
from datastore.actions.catalog.fields import AnyText, Sent
from datastore.actions.parameters import Boolean, Json, Parameters, RequiredText, Strings
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.resource_rows import Resource, find_resource
from datastore.catalog.datasets.rows import load_dataset, lock_access
from datastore.catalog.views.defaults import add_default_views
from datastore.catalog.views.rows import (
    View,
    clear_views,
    create_view,
    delete_view,
    find_view,
    list_views,
    reorder_views,
    show_view,
    update_view,
    views_of_ids,
)
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import MISSING


class ViewFields(Sent):
    """The fields of a view. Every other key belongs to the configuration of its type, such as `filters`, `graph_type`,
    `latitude_field`, `image_url`; a key that the type does not know is refused."""

    model_config = ConfigDict(extra="allow")

    view_type: AnyText = Field(None, description="Type of the view, such as `datatables_view` or `image_view`.")
    title: AnyText = Field(None, description="Title of the view.")
    description: AnyText = Field(None, description="Description, in Markdown.")


class ResourceViewCreate(ViewFields):
    """A new view of a resource."""

    resource_id: RequiredText = Field(description="Id of the resource.")


class ResourceViewUpdate(ViewFields):
    """The view as it shall be. What is not sent is emptied, except type and title."""

    id: RequiredText = Field(description="Id of the view.")


class ResourceViewKey(Parameters):
    """Which view."""

    id: RequiredText = Field(description="Id of the view.")


class ResourceViewList(Parameters):
    """Which views."""

    id: RequiredText = Field(description="Id of the resource.")


class ResourceViewReorder(Parameters):
    """A resource and an order."""

    id: RequiredText = Field(description="Id of the resource.")
    order: Strings = Field(None, description="Ids of the views that come first, in this order.")


class ResourceViewClear(Parameters):
    """Which views."""

    view_types: Strings = Field(None, description="Only views of these types.")


class ResourceDefaultViews(Parameters):
    """Which resource, and which views."""

    resource: Json = Field(None, description="The resource: an object with its `id`.")
    create_datastore_views: Boolean = Field(
        False, description="The views that show its table, instead of those of its file."
    )


class PackageDefaultViews(Parameters):
    """Which dataset, and which views."""

    package: Json = Field(None, description="The dataset: an object with its `id`.")
    create_datastore_views: Boolean = Field(False, description="The views that show tables, instead of those of files.")


@action(ResourceViewCreate)
async def resource_view_create(call: Call, parameters: ResourceViewCreate) -> dict[str, Any]:
    """Add a view to a resource: a table, a graph, a map, an image."""
    require_login(call.actor, "resource_view_create")

    async def work(tx: Transaction) -> View:
        return await create_view(tx, call.actor, parameters.resource_id, parameters.sent())

    return show_view(await call.write(work))


@action(ResourceViewUpdate)
async def resource_view_update(call: Call, parameters: ResourceViewUpdate) -> dict[str, Any]:
    """Replace a view by what is sent."""
    require_login(call.actor, "resource_view_update")

    async def work(tx: Transaction) -> View:
        return await update_view(tx, call.actor, parameters.id, parameters.sent())

    return show_view(await call.write(work))


@action(ResourceViewKey)
async def resource_view_delete(call: Call, parameters: ResourceViewKey) -> dict[str, Any]:
    """Delete a view; gives the id of its resource."""
    require_login(call.actor, "resource_view_delete")

    async def work(tx: Transaction) -> View:
        return await delete_view(tx, call.actor, parameters.id)

    return {"resource_id": (await call.write(work)).resource_id}


@action(ResourceViewKey, get=True)
async def resource_view_show(call: Call, parameters: ResourceViewKey) -> dict[str, Any]:
    """A view."""
    view, access = await find_view(call.services.database.owner, parameters.id)
    require_read(call.actor, access, "resource_view_show", f"view {view.id}")
    return show_view(view)


@action(ResourceViewList, get=True)
async def resource_view_list(call: Call, parameters: ResourceViewList) -> list[dict[str, Any]]:
    """The views of a resource, in order."""
    resource, access = await find_resource(call.services.database.owner, parameters.id)
    require_read(call.actor, access, "resource_view_list", f"resource {resource.id}")
    return [show_view(view) for view in await list_views(call.services.database.owner, resource.id)]


@action(ResourceViewReorder)
async def resource_view_reorder(call: Call, parameters: ResourceViewReorder) -> dict[str, Any]:
    """Bring the views of a resource into another order; those that are not named follow as they were."""
    require_login(call.actor, "resource_view_reorder")
    order = parameters.order
    if order is None:
        raise ValidationError({"order": [MISSING]})

    async def work(tx: Transaction) -> list[str]:
        return await reorder_views(tx, call.actor, parameters.id, order)

    return {"id": parameters.id, "order": await call.write(work)}


@action(ResourceViewClear)
async def resource_view_clear(call: Call, parameters: ResourceViewClear) -> None:
    """Delete all views of all resources, or those of some types. Sysadmins only."""
    require_sysadmin(call.actor, "resource_view_clear")

    async def work(tx: Transaction) -> None:
        await clear_views(tx, parameters.view_types or [])

    await call.write(work)


@action(ResourceDefaultViews)
async def resource_create_default_resource_views(call: Call, parameters: ResourceDefaultViews) -> list[dict[str, Any]]:
    """Give a resource the default views that it lacks; gives the new ones."""
    require_login(call.actor, "resource_create_default_resource_views")
    resource_id = _id_of("resource", parameters.resource)

    async def work(tx: Transaction) -> list[View]:
        resource, access = await find_resource(tx.connection, resource_id)
        access = await lock_access(tx, access.id)
        require_update(call.actor, access, call.settings, "resource_view_create", f"resource {resource.id}")
        resource, _ = await find_resource(tx.connection, resource_id)
        return await _add(tx, [resource], parameters.create_datastore_views)

    return [show_view(view) for view in await call.write(work)]


@action(PackageDefaultViews)
async def package_create_default_resource_views(call: Call, parameters: PackageDefaultViews) -> list[dict[str, Any]]:
    """Give every resource of a dataset the default views that it lacks; gives the new ones."""
    require_login(call.actor, "package_create_default_resource_views")
    key = _id_of("package", parameters.package)

    async def work(tx: Transaction) -> list[View]:
        access = await lock_access(tx, key)
        require_update(call.actor, access, call.settings, "resource_view_create", f"dataset {key}")
        dataset = await load_dataset(tx.connection, access.id)
        return await _add(tx, dataset.resources, parameters.create_datastore_views)

    return [show_view(view) for view in await call.write(work)]


async def _add(tx: Transaction, resources: Sequence[Resource], table_views: bool) -> list[View]:
    return await views_of_ids(tx.connection, await add_default_views(tx, resources, table_views=table_views))


def _id_of(field: str, value: Any) -> str:
    found = value.get("id") if isinstance(value, dict) else None
    if not isinstance(found, str) or not found:
        raise ValidationError({field: [MISSING]})
    return found
