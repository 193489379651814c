"""Resource views as stored and as shown; creating, changing, ordering and deleting them (catalog-api.md §B6)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
import orjson

from datastore.accounts.activities import Activity, record
from datastore.accounts.actor import Actor
from datastore.accounts.permissions import DatasetAccess, dataset_labels, require_update
from datastore.catalog.datasets.resource_rows import decode_row, find_resource
from datastore.catalog.datasets.rows import lock_access
from datastore.catalog.order import reordered
from datastore.catalog.views.types import VIEW_TYPES, check_config
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import Problems, is_storable, required_text, text


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A view: the columns of ``datastore.resource_views``, and the dataset of its resource."""

    id: str
    resource_id: str
    dataset_id: str
    position: int
    view_type: str
    title: str
    description: str | None = None
    config: dict[str, Any] = {}


_SELECT = """
    SELECT row_to_json(found)
    FROM (
        SELECT view.*, resource.dataset_id
        FROM datastore.resource_views AS view
        JOIN datastore.resources AS resource ON resource.id = view.resource_id AND resource.state = 'active'
        WHERE {condition}
        ORDER BY view.position, view.id
    ) AS found
"""
_OF_RESOURCE = _SELECT.format(condition="view.resource_id = $1")
_BY_IDS = _SELECT.format(condition="view.id = ANY ($1::text[])")

_INSERT = """
    INSERT INTO datastore.resource_views (id, resource_id, position, view_type, title, description, config)
    SELECT $1, $2, coalesce(max(position) + 1, 0), $3, $4, $5, $6
    FROM datastore.resource_views WHERE resource_id = $2
"""

_UPDATE = """
    UPDATE datastore.resource_views SET view_type = $2, title = $3, description = $4, config = $5 WHERE id = $1
"""

_ORDER = """
    UPDATE datastore.resource_views AS view SET position = wanted.place
    FROM unnest($2::text[]) WITH ORDINALITY AS wanted (id, place)
    WHERE view.id = wanted.id AND view.resource_id = $1
"""

# What belongs to the view itself, or to the request, and not to the configuration of its type.
_OWN_KEYS = frozenset({"id", "resource_id", "package_id", "view_type", "title", "description"})


async def list_views(connection: asyncpg.Connection | asyncpg.Pool, resource_id: str) -> list[View]:
    """The views of a resource, in order."""
    return [decode_row(row[0], View) for row in await connection.fetch(_OF_RESOURCE, resource_id)]


async def views_of_ids(connection: asyncpg.Connection | asyncpg.Pool, ids: Sequence[str]) -> list[View]:
    """The views of these ids; unknown ids are left out."""
    return [decode_row(row[0], View) for row in await connection.fetch(_BY_IDS, ids)]


async def find_view(connection: asyncpg.Connection | asyncpg.Pool, view_id: str) -> tuple[View, DatasetAccess]:
    """The view of that id, and what decides who may see it. Raises :class:`NotFound`."""
    found = await views_of_ids(connection, [view_id]) if is_storable(view_id) else []
    if not found:
        raise NotFound("Resource view")
    try:
        _, access = await find_resource(connection, found[0].resource_id)
    except NotFound:
        raise NotFound("Resource view") from None
    return found[0], access


def show_view(view: View) -> dict[str, Any]:
    """The view as the API shows it: its configuration beside its own keys."""
    return {
        **view.config,
        "id": view.id,
        "resource_id": view.resource_id,
        "package_id": view.dataset_id,
        "view_type": view.view_type,
        "title": view.title,
        "description": view.description,
    }


async def create_view(tx: Transaction, actor: Actor, resource_id: str, data: Mapping[str, Any]) -> View:
    """Add a view to a resource. Raises :class:`NotFound`, :class:`NotAuthorized` and :class:`ValidationError`."""
    access = await _lock(tx, actor, resource_id, "resource_view_create")
    blank = View(
        id=str(uuid.uuid4()), resource_id=resource_id, dataset_id=access.id, position=0, view_type="", title=""
    )
    view = checked_view(data, blank)
    await tx.connection.execute(
        _INSERT, view.id, resource_id, view.view_type, view.title, view.description, _config(view)
    )
    view = (await views_of_ids(tx.connection, [view.id]))[0]
    await _record(tx, "new", view, access)
    return view


async def update_view(tx: Transaction, actor: Actor, view_id: str, data: Mapping[str, Any]) -> View:
    """Replace a view by what was sent; type and title stay if they are not sent.

    Raises :class:`NotFound`, :class:`NotAuthorized` and :class:`ValidationError`.
    """
    stored, _ = await find_view(tx.connection, view_id)
    access = await _lock(tx, actor, stored.resource_id, "resource_view_update", f"view {stored.id}")
    stored, _ = await find_view(tx.connection, view_id)
    view = checked_view(data, stored)
    if view != stored:
        await tx.connection.execute(_UPDATE, view.id, view.view_type, view.title, view.description, _config(view))
        await _record(tx, "changed", view, access)
    return view


async def delete_view(tx: Transaction, actor: Actor, view_id: str) -> View:
    """Delete a view, and give it. Raises :class:`NotFound` and :class:`NotAuthorized`."""
    view, _ = await find_view(tx.connection, view_id)
    access = await _lock(tx, actor, view.resource_id, "resource_view_delete", f"view {view.id}")
    deleted = await tx.connection.fetchval("DELETE FROM datastore.resource_views WHERE id = $1 RETURNING true", view.id)
    if deleted:
        await _record(tx, "deleted", view, access)
    return view


async def reorder_views(tx: Transaction, actor: Actor, resource_id: str, order: Sequence[str]) -> list[str]:
    """Put these views of the resource first, in this order; gives the ids of all in their new order.

    Raises :class:`NotFound`, :class:`NotAuthorized`, and :class:`ValidationError` ``order`` for an id twice or of no
    view of the resource.
    """
    await _lock(tx, actor, resource_id, "resource_view_reorder")
    before = [view.id for view in await list_views(tx.connection, resource_id)]
    after = reordered(before, order, "view")
    await tx.connection.execute(_ORDER, resource_id, after)
    return after


async def clear_views(tx: Transaction, view_types: Sequence[str]) -> None:
    """Delete all views of these types, or all views if no type is given."""
    await tx.connection.execute(
        "DELETE FROM datastore.resource_views WHERE view_type = ANY ($1::text[]) OR $1::text[] = '{}'", view_types
    )


async def _lock(
    tx: Transaction, actor: Actor, resource_id: str, operation: str, subject: str | None = None
) -> DatasetAccess:
    """Lock the dataset of a resource, which the actor may change. A refusal names what they named, the ``subject``."""
    _, access = await find_resource(tx.connection, resource_id)
    access = await lock_access(tx, access.id)
    require_update(actor, access, tx.settings, operation, subject or f"resource {resource_id}")
    await find_resource(tx.connection, resource_id)
    return access


async def _record(tx: Transaction, verb: str, view: View, access: DatasetAccess) -> None:
    if access.state != "draft":
        data = {"resource_view": show_view(view)}
        labels = dataset_labels(access)
        await record(tx, [Activity(f"{verb} resource view", view.id, data, labels, access.id, access.owner_org)])


def checked_view(data: Mapping[str, Any], stored: View) -> View:
    """``stored`` with what was sent; type and title stay if they are not. Raises :class:`ValidationError`."""
    problems = Problems()
    given = data.get("view_type") or stored.view_type
    name = problems.check("view_type", required_text, given, "")
    type = VIEW_TYPES.get(name)
    if name and type is None:
        raise ValidationError({"view_type": f"No plugin found for view_type {name}"})  # a text, not a list, in the API
    title = problems.check("title", required_text, data.get("title", stored.title), "")
    description = problems.check("description", text, data.get("description"), None)
    config = {}
    if type is not None:
        config = check_config(problems, type, {key: data[key] for key in data if key not in _OWN_KEYS})
    problems.raise_if_any()
    return msgspec.structs.replace(stored, view_type=name, title=title, description=description, config=config)


def _config(view: View) -> str:
    return orjson.dumps(view.config).decode()
