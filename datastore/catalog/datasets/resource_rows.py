"""Resources as stored and as shown (catalog-api.md §B2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import asyncpg
import msgspec
import orjson

from datastore.accounts.permissions import DatasetAccess
from datastore.catalog import dates
from datastore.errors import NotFound
from datastore.postgres.database import Transaction
from datastore.validation import is_storable

Row = TypeVar("Row")


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource: the columns of ``datastore.resources``."""

    id: str
    dataset_id: str
    position: int
    url: str = ""
    name: str | None = None
    description: str | None = None
    format: str = ""
    hash: str = ""
    resource_type: str | None = None
    mimetype: str | None = None
    mimetype_inner: str | None = None
    size: int | None = None
    cache_url: str | None = None
    cache_last_updated: datetime | None = None
    url_type: str | None = None
    state: str = "active"
    datastore_active: bool = False
    extras: dict[str, Any] = {}
    created: datetime
    last_modified: datetime | None = None
    metadata_modified: datetime


_FIND = """
    SELECT row_to_json(resource),
           dataset.id, dataset.name, dataset.owner_org, dataset.private, dataset.state, dataset.creator_user_id
    FROM datastore.resources AS resource
    JOIN datastore.datasets AS dataset ON dataset.id = resource.dataset_id
    WHERE resource.id = $1 AND resource.state = 'active'
"""

# Also brings back a deleted resource of the same dataset. A resource of another dataset is never touched.
_SAVE = """
    INSERT INTO datastore.resources AS stored
    SELECT wanted.* FROM json_populate_recordset(NULL::datastore.resources, $1::json) AS wanted ORDER BY wanted.id
    ON CONFLICT (id) DO UPDATE
    SET position = excluded.position, url = excluded.url, name = excluded.name, description = excluded.description,
        format = excluded.format, hash = excluded.hash, resource_type = excluded.resource_type,
        mimetype = excluded.mimetype, mimetype_inner = excluded.mimetype_inner, size = excluded.size,
        cache_url = excluded.cache_url, cache_last_updated = excluded.cache_last_updated,
        url_type = excluded.url_type, state = excluded.state, datastore_active = excluded.datastore_active,
        extras = excluded.extras, created = excluded.created, last_modified = excluded.last_modified,
        metadata_modified = excluded.metadata_modified
    WHERE stored.dataset_id = excluded.dataset_id
    RETURNING id
"""


def decode_row(row: bytes | str, type: type[Row]) -> Row:
    """A row that PostgreSQL made with ``row_to_json``.

    jsonb writes a number like 1e300 as digits; orjson reads those as a float again, not as an integer that JSON
    encoders refuse.
    """
    return msgspec.convert(orjson.loads(row), type)


async def find_resource(
    connection: asyncpg.Connection | asyncpg.Pool, resource_id: str
) -> tuple[Resource, DatasetAccess]:
    """The active resource of that id, and what decides who may see it. Raises :class:`NotFound`."""
    row = await connection.fetchrow(_FIND, resource_id) if is_storable(resource_id) else None
    if row is None:
        raise NotFound("Resource")
    return decode_row(row[0], Resource), DatasetAccess(*row[1:])


async def save_resources(tx: Transaction, resources: Sequence[Resource]) -> set[str]:
    """Insert the resources or overwrite them. Gives the ids that belong to another dataset: those are not written."""
    if not resources:
        return set()
    rows = await tx.connection.fetch(_SAVE, msgspec.json.encode(resources))
    return {resource.id for resource in resources} - {row["id"] for row in rows}


def show_resource(resource: Resource, site_url: str) -> dict[str, Any]:
    """The resource as the API shows it; ``site_url`` is the base of its links."""
    return {
        **resource.extras,
        "id": resource.id,
        "package_id": resource.dataset_id,
        "url": _shown_url(resource, site_url),
        "name": resource.name,
        "description": resource.description,
        "format": resource.format,
        "hash": resource.hash,
        "position": resource.position,
        "resource_type": resource.resource_type,
        "mimetype": resource.mimetype,
        "mimetype_inner": resource.mimetype_inner,
        "size": resource.size,
        "created": dates.render(resource.created),
        "last_modified": dates.render(resource.last_modified),
        "metadata_modified": dates.render(resource.metadata_modified),
        "cache_url": resource.cache_url,
        "cache_last_updated": dates.render(resource.cache_last_updated),
        "url_type": resource.url_type,
        "state": resource.state,
        "datastore_active": resource.datastore_active,
    }


def _shown_url(resource: Resource, site_url: str) -> str:
    if resource.url_type == "upload":
        folder = f"{site_url}/dataset/{resource.dataset_id}/resource/{resource.id}"
        return f"{folder}/download/{quote(resource.url)}"
    if resource.url_type == "datastore":
        return f"{site_url}/datastore/dump/{resource.id}"
    return resource.url
