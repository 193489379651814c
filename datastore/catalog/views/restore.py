"""The views that a dump has with its resources, such as ``ckanapi dump datasets --resource-views`` writes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from datastore.catalog.views.rows import View, checked_view
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import Invalid, uuid4

_REMOVE = "DELETE FROM datastore.resource_views WHERE resource_id = ANY ($1::text[])"

# The id stays what it was unless somebody else has it now.
_INSERT = """
    INSERT INTO datastore.resource_views (id, resource_id, position, view_type, title, description, config)
    SELECT CASE WHEN EXISTS (SELECT FROM datastore.resource_views AS other WHERE other.id = wanted.id)
                THEN gen_random_uuid()::text ELSE wanted.id END,
           wanted.resource_id, wanted.position, wanted.view_type, wanted.title, wanted.description, wanted.config
    FROM json_populate_recordset(NULL::datastore.resource_views, $1::json) AS wanted
    ORDER BY wanted.id
    ON CONFLICT DO NOTHING
"""


async def restore_views(tx: Transaction, sent: Mapping[str, Any]) -> None:
    """Give new resources, by their ids, the views that they were shown with, in place of the default ones.

    What is no list leaves the default ones; what is no view of a type that there is, is passed over.
    """
    lists = {resource_id: views for resource_id, views in sent.items() if isinstance(views, list)}
    if not lists:
        return
    views: dict[str, View] = {}
    for resource_id, items in lists.items():
        for item in items:
            view = _view(resource_id, len(views), item)
            if view is not None:
                views.setdefault(view.id, view)
    await tx.connection.execute(_REMOVE, list(lists))
    await tx.connection.execute(_INSERT, msgspec.json.encode(list(views.values())))


def _view(resource_id: str, position: int, item: Any) -> View | None:
    """A view as resource_view_list shows it, if it is one."""
    if not isinstance(item, Mapping):
        return None
    try:
        id = uuid4(item.get("id"))
    except Invalid:
        id = str(uuid.uuid4())
    blank = View(id=id, resource_id=resource_id, dataset_id="", position=position, view_type="", title="")
    try:
        return checked_view(item, blank)
    except ValidationError:
        return None
