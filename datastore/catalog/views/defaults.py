"""The views that a resource gets by itself: those of ``settings.default_views`` that suit it and that it lacks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from datastore.catalog.datasets.resource_rows import Resource
from datastore.catalog.views.types import VIEW_TYPES, ViewType
from datastore.postgres.database import Transaction

# A resource keeps one default view of a type, whatever people made of it.
_ADD = """
    INSERT INTO datastore.resource_views (id, resource_id, position, view_type, title)
    SELECT wanted.id, wanted.resource_id,
           row_number() OVER (PARTITION BY wanted.resource_id ORDER BY wanted.place) - 1 + (
               SELECT coalesce(max(position) + 1, 0) FROM datastore.resource_views
               WHERE resource_id = wanted.resource_id),
           wanted.view_type, wanted.title
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[])
         AS wanted (id, resource_id, view_type, title, place)
    WHERE NOT EXISTS (
        SELECT FROM datastore.resource_views AS existing
        WHERE existing.resource_id = wanted.resource_id AND existing.view_type = wanted.view_type)
    ORDER BY wanted.resource_id
    RETURNING id
"""


async def add_default_views(
    tx: Transaction, resources: Sequence[Resource], *, table_views: bool | None = None
) -> list[str]:
    """Give each of the resources, whose dataset is locked, its default views; gives the ids of the new ones.

    ``table_views`` asks for those that show a table only, or for the others only.
    """
    types = _types(tx)
    return await _add(
        tx,
        [
            (resource.id, type)
            for resource in resources
            for type in types
            if type.suits(resource.format, resource.datastore_active) and table_views in (None, type.needs_table)
        ],
    )


async def add_table_views(tx: Transaction, resource_id: str) -> None:
    """Give a resource that has got a table the default views that show it."""
    await _add(tx, [(resource_id, type) for type in _types(tx) if type.needs_table])


def _types(tx: Transaction) -> list[ViewType]:
    # The start checks the names.
    return [VIEW_TYPES[name] for name in tx.settings.default_views.split()]


async def _add(tx: Transaction, wanted: Sequence[tuple[str, ViewType]]) -> list[str]:
    if not wanted:
        return []
    rows = await tx.connection.fetch(
        _ADD,
        [str(uuid.uuid4()) for _ in wanted],
        [resource_id for resource_id, _ in wanted],
        [type.name for _, type in wanted],
        [type.title for _, type in wanted],
        list(range(len(wanted))),
    )
    return [row["id"] for row in rows]
