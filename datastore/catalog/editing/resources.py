"""Creating, changing and deleting resources; each locks its dataset, so that writes to one dataset never cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import DatasetAccess, require_update
from datastore.catalog import dates
from datastore.catalog.datasets.resource_fields import ID_TAKEN, changed_resource, new_resource
from datastore.catalog.datasets.resource_rows import Resource, find_resource, save_resources, show_resource
from datastore.catalog.datasets.rows import load_access, lock_access
from datastore.catalog.editing.finish import touched
from datastore.catalog.order import reordered
from datastore.catalog.views.defaults import add_default_views, add_table_views
from datastore.catalog.views.restore import restore_views
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.settings import Settings
from datastore.tables.definition.define import drop_table
from datastore.tables.schema import CACHE_KIND
from datastore.validation import Problems, required_text

_DELETE = """
    UPDATE datastore.resources SET state = 'deleted', datastore_active = false, metadata_modified = $2
    WHERE id = ANY ($1::text[])
"""

_TABLES = "SELECT resource_id FROM datastore.tables WHERE resource_id = ANY ($1::text[]) ORDER BY resource_id"

_PLACE = """
    SELECT count(*)::integer, coalesce(bool_or(id = $2), false)
    FROM datastore.resources WHERE dataset_id = $1 AND state = 'active'
"""

_CLOSE_GAPS = """
    UPDATE datastore.resources AS resource SET position = ordered.place - 1
    FROM (
        SELECT id, row_number() OVER (ORDER BY position, created) AS place
        FROM datastore.resources WHERE dataset_id = $1 AND state = 'active'
    ) AS ordered
    WHERE resource.id = ordered.id AND resource.position <> ordered.place - 1
"""

_IN_ORDER = "SELECT id FROM datastore.resources WHERE dataset_id = $1 AND state = 'active' ORDER BY position"

_REORDER = """
    UPDATE datastore.resources AS resource SET position = wanted.place - 1
    FROM unnest($2::text[]) WITH ORDINALITY AS wanted (id, place)
    WHERE resource.id = wanted.id AND resource.dataset_id = $1
"""

_SET_ACTIVE = """
    UPDATE datastore.resources
    SET datastore_active = $2,
        last_modified = CASE WHEN $3 THEN $4 ELSE last_modified END,
        metadata_modified = $4
    WHERE id = $1 AND (datastore_active <> $2 OR $3)
    RETURNING dataset_id
"""

_TOUCH = "UPDATE datastore.datasets SET metadata_modified = $2 WHERE id = $1"


async def create_resource(
    tx: Transaction, actor: Actor, settings: Settings, site_url: str, data: Mapping[str, Any]
) -> dict[str, Any]:
    """Append a resource to the dataset ``data["package_id"]`` (id or name), and give it as the API shows it.

    Raises :class:`NotFound` for an unknown dataset, :class:`NotAuthorized`, and :class:`ValidationError`.
    """
    problems = Problems()
    dataset_key = problems.check("package_id", required_text, data.get("package_id"), "")
    problems.raise_if_any()
    access = await lock_access(tx, dataset_key)
    require_update(actor, access, settings, "resource_create", f"dataset {dataset_key}")
    now = dates.now()
    resource = new_resource(problems, data, access.id, 0, now)
    count, exists = await tx.connection.fetchrow(_PLACE, access.id, resource.id)
    if exists:
        problems.add("id", ID_TAKEN)
    problems.raise_if_any()
    resource = msgspec.structs.replace(resource, position=count)
    if await save_resources(tx, [resource]):
        raise ValidationError({"id": [ID_TAKEN]})
    await add_default_views(tx, [resource])
    await restore_views(tx, {resource.id: data.get("resource_views")})
    await touch_dataset(tx, access, now)
    return show_resource(resource, site_url)


async def update_resource(
    tx: Transaction,
    actor: Actor,
    settings: Settings,
    site_url: str,
    resource_id: str,
    data: Mapping[str, Any],
    *,
    merge: bool,
) -> dict[str, Any]:
    """Replace the resource by what was sent, or ``merge`` that into it, and give it as the API shows it.

    Raises :class:`NotFound`, :class:`NotAuthorized` and :class:`ValidationError`. Equal values change nothing.
    """
    stored, access = await _lock_resource(tx, resource_id)
    require_update(actor, access, settings, "resource_update", f"resource {stored.id}")
    problems = Problems()
    now = dates.now()
    resource = changed_resource(problems, stored, data, merge=merge, position=stored.position, now=now)
    problems.raise_if_any()
    if resource != stored:
        await save_resources(tx, [resource])
        if resource.format != stored.format:
            await add_default_views(tx, [resource])
        await touch_dataset(tx, access, now)
        if resource.url_type != stored.url_type:
            tx.changed(CACHE_KIND, access.id)
    return show_resource(resource, site_url)


async def delete_resource(tx: Transaction, actor: Actor, settings: Settings, resource_id: str) -> DatasetAccess:
    """Delete the resource and its table. Gives the dataset it was in.

    Raises :class:`NotFound` and :class:`NotAuthorized`.
    """
    stored, access = await _lock_resource(tx, resource_id)
    require_update(actor, access, settings, "resource_delete", f"resource {stored.id}")
    now = dates.now()
    await _remove(tx, [stored.id], now)
    await tx.connection.execute(_CLOSE_GAPS, access.id)
    await touch_dataset(tx, access, now)
    return access


async def reorder_resources(
    tx: Transaction, actor: Actor, settings: Settings, id_or_name: str, first: Sequence[str]
) -> tuple[DatasetAccess, list[str]]:
    """Put these resources of the dataset first, in this order; gives the dataset and the ids of all in order.

    Raises :class:`NotFound`, :class:`NotAuthorized`, and :class:`ValidationError` ``order``.
    """
    access = await lock_access(tx, id_or_name)
    require_update(actor, access, settings, "package_resource_reorder", f"dataset {id_or_name}")
    before = [row["id"] for row in await tx.connection.fetch(_IN_ORDER, access.id)]
    after = reordered(before, first, "resource")
    if after != before:
        await tx.connection.execute(_REORDER, access.id, after)
        await touch_dataset(tx, access, dates.now())
    return access, after


async def set_datastore_active(tx: Transaction, resource_id: str, active: bool, touch: bool) -> None:
    """Note whether the resource has a table; ``touch`` says that its data changed now.

    A resource that gets its first table gets the views that show it, too.
    """
    dataset_id = await tx.connection.fetchval(_SET_ACTIVE, resource_id, active, touch, dates.now())
    if dataset_id is None:
        return
    if active:
        await add_table_views(tx, resource_id)
    await touched(tx, await load_access(tx, [dataset_id]))


def plan_resources(
    problems: Problems,
    dataset_id: str,
    stored: Sequence[Resource],
    wanted: Sequence[Mapping[str, Any]],
    now: datetime,
) -> tuple[Resource, ...]:
    """The list of resources that replaces ``stored``: those with the id of a stored one are that one, changed."""
    existing = {resource.id: resource for resource in stored}
    nested, found = [], []
    seen = set()
    for position, data in enumerate(wanted):
        problem = Problems()
        before = existing.get(data["id"]) if isinstance(data.get("id"), str) else None
        if before is not None:
            resource = changed_resource(problem, before, data, merge=False, position=position, now=now)
        else:
            resource = new_resource(problem, data, dataset_id, position, now)
        if resource.id in seen and not problem.fields:
            problem.add("id", ID_TAKEN)
        seen.add(resource.id)
        nested.append(problem)
        found.append(resource)
    problems.nested("resources", nested)
    return tuple(found)


async def replace_resources(
    tx: Transaction, dataset_id: str, stored: Sequence[Resource], wanted: Sequence[Resource], now: datetime
) -> None:
    """Bring the stored resources of a locked dataset to the planned list; what is absent from it is deleted.

    Raises :class:`ValidationError` if the id of a new one belongs to another dataset.
    """
    before = {resource.id: resource for resource in stored}
    kept = {resource.id for resource in wanted}
    await _remove(tx, [resource.id for resource in stored if resource.id not in kept], now)
    refused = await save_resources(tx, [resource for resource in wanted if resource != before.get(resource.id)])
    if refused:
        nested = [{"id": [ID_TAKEN]} if resource.id in refused else {} for resource in wanted]
        raise ValidationError({"resources": nested})
    await add_default_views(tx, [new for new in wanted if new.id not in before or new.format != before[new.id].format])
    if any(new.id in before and new.url_type != before[new.id].url_type for new in wanted):
        tx.changed(CACHE_KIND, dataset_id)


async def _lock_resource(tx: Transaction, resource_id: str) -> tuple[Resource, DatasetAccess]:
    """Lock the resource's dataset, then read the resource as it is now."""
    _, access = await find_resource(tx.connection, resource_id)
    access = await lock_access(tx, access.id)
    resource, _ = await find_resource(tx.connection, resource_id)
    return resource, access


async def touch_dataset(tx: Transaction, access: DatasetAccess, now: datetime) -> None:
    """Something in the locked dataset changed now, but not who may see it."""
    await tx.connection.execute(_TOUCH, access.id, now)
    await touched(tx, [access])


async def _remove(tx: Transaction, resource_ids: Sequence[str], now: datetime) -> None:
    if not resource_ids:
        return
    for row in await tx.connection.fetch(_TABLES, resource_ids):
        await drop_table(tx, row["resource_id"])
    await tx.connection.execute(
        "DELETE FROM datastore.resource_views WHERE resource_id = ANY ($1::text[])", resource_ids
    )
    await tx.connection.execute(_DELETE, resource_ids, now)
