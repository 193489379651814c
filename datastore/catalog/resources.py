"""Creating, changing and deleting resources; each locks its dataset, so that writes to one dataset never cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import DatasetAccess, require_update
from datastore.catalog import dates
from datastore.catalog.dataset_rows import load_dataset, lock_access
from datastore.catalog.resource_fields import ID_TAKEN, changed_resource, new_resource
from datastore.catalog.resource_rows import Resource, find_resource, save_resource, show_resource
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.settings import Settings
from datastore.tables.define import drop_table
from datastore.tables.schema import CACHE_KIND
from datastore.validation import Problems, required_text

_DELETE = """
    UPDATE datastore.resources SET state = 'deleted', datastore_active = false, metadata_modified = $2 WHERE id = $1
"""

_CLOSE_GAPS = """
    UPDATE datastore.resources AS resource SET position = ordered.place - 1
    FROM (
        SELECT id, row_number() OVER (ORDER BY position, created) AS place
        FROM datastore.resources WHERE dataset_id = $1 AND state = 'active'
    ) AS ordered
    WHERE resource.id = ordered.id AND resource.position <> ordered.place - 1
"""

_SET_ACTIVE = """
    UPDATE datastore.resources
    SET datastore_active = $2,
        last_modified = CASE WHEN $3 THEN $4 ELSE last_modified END,
        metadata_modified = $4
    WHERE id = $1 AND (datastore_active <> $2 OR $3)
"""


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
    require_update(actor, access, settings, "resource_create", f"dataset {access.id}")
    stored = (await load_dataset(tx.connection, access.id)).resources
    now = dates.now()
    resource = new_resource(problems, data, access.id, len(stored), now)
    if any(other.id == resource.id for other in stored):
        problems.add("id", ID_TAKEN)
    problems.raise_if_any()
    if not await save_resource(tx, resource):
        raise ValidationError({"id": [ID_TAKEN]})
    await _touch_dataset(tx, access.id, now)
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
        await save_resource(tx, resource)
        await _touch_dataset(tx, access.id, now)
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
    await _remove(tx, stored, now)
    await tx.connection.execute(_CLOSE_GAPS, access.id)
    await _touch_dataset(tx, access.id, now)
    return access


async def set_datastore_active(tx: Transaction, resource_id: str, active: bool, touch: bool) -> None:
    """Note whether the resource has a table; ``touch`` says that its data changed now."""
    await tx.connection.execute(_SET_ACTIVE, resource_id, active, touch, dates.now())


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
    for resource in stored:
        if resource.id not in kept:
            await _remove(tx, resource, now)
    for place, resource in enumerate(wanted):
        old = before.get(resource.id)
        if resource != old and not await save_resource(tx, resource):
            raise ValidationError({"resources": [*({} for _ in range(place)), {"id": [ID_TAKEN]}]})
        if old is not None and old.url_type != resource.url_type:
            tx.changed(CACHE_KIND, dataset_id)


async def _lock_resource(tx: Transaction, resource_id: str) -> tuple[Resource, DatasetAccess]:
    """Lock the resource's dataset, then read the resource as it is now."""
    _, access = await find_resource(tx.connection, resource_id)
    access = await lock_access(tx, access.id)
    resource, _ = await find_resource(tx.connection, resource_id)
    return resource, access


async def _remove(tx: Transaction, resource: Resource, now: datetime) -> None:
    await drop_table(tx, resource.id)
    await tx.connection.execute(_DELETE, resource.id, now)


async def _touch_dataset(tx: Transaction, dataset_id: str, now: datetime) -> None:
    await tx.connection.execute("UPDATE datastore.datasets SET metadata_modified = $2 WHERE id = $1", dataset_id, now)
