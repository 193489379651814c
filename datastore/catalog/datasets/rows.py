"""Datasets as stored: one statement loads each with everything that is shown of it (catalog-api.md §B1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.accounts.images import image_display_url
from datastore.accounts.permissions import DatasetAccess, may_read_dataset
from datastore.catalog import dates, licenses
from datastore.catalog.datasets.resource_rows import Resource, decode_row, show_resource
from datastore.errors import NotFound
from datastore.postgres.database import Transaction
from datastore.validation import is_storable


class Tag(msgspec.Struct, frozen=True):
    """A tag of a dataset."""

    id: str
    name: str
    vocabulary_id: str | None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """An organization or group, as far as a dataset shows it."""

    id: str
    name: str
    title: str | None
    type: str
    description: str | None
    image_url: str | None
    created: datetime
    is_organization: bool
    approval_status: str
    state: str


class Relationship(msgspec.Struct, frozen=True):
    """What one dataset is to another: ``subject <type> object``."""

    id: str
    subject_id: str
    object_id: str
    type: str
    comment: str
    other: DatasetAccess
    """Who may see the other one of the two."""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset with its resources (active ones, in order), tags and groups (both by name), and relationships."""

    id: str
    name: str
    title: str | None = None
    notes: str | None = None
    url: str | None = None
    version: str | None = None
    author: str | None = None
    author_email: str | None = None
    maintainer: str | None = None
    maintainer_email: str | None = None
    license_id: str | None = None
    type: str = "dataset"
    state: str = "active"
    private: bool = False
    owner_org: str | None = None
    creator_user_id: str | None = None
    extras: dict[str, str | None] = {}
    plugin_data: dict[str, Any] | None = None
    metadata_created: datetime
    metadata_modified: datetime
    organization: Group | None = None
    resources: tuple[Resource, ...] = ()
    tags: tuple[Tag, ...] = ()
    groups: tuple[Group, ...] = ()
    as_subject: tuple[Relationship, ...] = ()
    as_object: tuple[Relationship, ...] = ()

    @property
    def access(self) -> DatasetAccess:
        """What decides who may see and change it."""
        return DatasetAccess(self.id, self.name, self.owner_org, self.private, self.state, self.creator_user_id)


_ACCESS_COLUMNS = "SELECT id, name, owner_org, private, state, creator_user_id FROM datastore.datasets"

_LOAD = f"""
    SELECT row_to_json(found)
    FROM (
        SELECT dataset.*,
               (
                   SELECT row_to_json(organization) FROM datastore.groups AS organization
                   WHERE organization.id = dataset.owner_org AND organization.state = 'active'
               ) AS organization,
               (
                   SELECT coalesce(json_agg(resource ORDER BY resource.position), '[]')
                   FROM datastore.resources AS resource
                   WHERE resource.dataset_id = dataset.id AND resource.state = 'active'
               ) AS resources,
               (
                   SELECT coalesce(json_agg(tag ORDER BY tag.name COLLATE "C"), '[]')
                   FROM datastore.dataset_tags AS link
                   JOIN datastore.tags AS tag ON tag.id = link.tag_id
                   WHERE link.dataset_id = dataset.id
               ) AS tags,
               (
                   SELECT coalesce(json_agg(grp ORDER BY grp.name COLLATE "C"), '[]')
                   FROM datastore.members AS member
                   JOIN datastore.groups AS grp ON grp.id = member.group_id
                   WHERE member.table_name = 'package' AND member.table_id = dataset.id AND grp.state = 'active'
               ) AS groups,
               (
                   SELECT coalesce(json_agg(relationship ORDER BY relationship.id), '[]')
                   FROM (
                       SELECT found.*, row_to_json(other) AS other
                       FROM datastore.relationships AS found
                       CROSS JOIN LATERAL ({_ACCESS_COLUMNS} WHERE id = found.object_id) AS other
                       WHERE found.subject_id = dataset.id
                   ) AS relationship
               ) AS as_subject,
               (
                   SELECT coalesce(json_agg(relationship ORDER BY relationship.id), '[]')
                   FROM (
                       SELECT found.*, row_to_json(other) AS other
                       FROM datastore.relationships AS found
                       CROSS JOIN LATERAL ({_ACCESS_COLUMNS} WHERE id = found.subject_id) AS other
                       WHERE found.object_id = dataset.id
                   ) AS relationship
               ) AS as_object
        FROM datastore.datasets AS dataset
        JOIN unnest($1::text[]) WITH ORDINALITY AS wanted (id, place) ON wanted.id = dataset.id
        ORDER BY wanted.place
    ) AS found
"""

# A name may be spelt like the id of another dataset: the id wins.
_ID = """
    SELECT id FROM datastore.datasets WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1
"""

_ACCESS = f"{_ACCESS_COLUMNS} WHERE id = ANY ($1::text[]) ORDER BY id"


async def load_datasets(connection: asyncpg.Connection | asyncpg.Pool, ids: Sequence[str]) -> list[Dataset]:
    """The datasets of these ids, in this order; unknown ids are left out."""
    rows = await connection.fetch(_LOAD, list(ids))
    return [decode_row(row[0], Dataset) for row in rows]


async def load_dataset(connection: asyncpg.Connection | asyncpg.Pool, id_or_name: str) -> Dataset:
    """The dataset of that id or name, in any state. Raises :class:`NotFound`."""
    found = await load_datasets(connection, [await dataset_id(connection, id_or_name)])
    if not found:
        raise NotFound("Dataset")
    return found[0]


async def dataset_id(connection: asyncpg.Connection | asyncpg.Pool, id_or_name: str) -> str:
    """The id of the dataset of that id or name, in any state. Raises :class:`NotFound`."""
    found: str | None = None
    if is_storable(id_or_name):
        found = await connection.fetchval(_ID, id_or_name)
    if found is None:
        raise NotFound("Dataset")
    return found


async def lock_access(tx: Transaction, id_or_name: str) -> DatasetAccess:
    """Lock the dataset's row, as every write to it or its resources does first, and tell who may change it.

    Raises :class:`NotFound`.
    """
    found = await lock_accesses(tx, [await dataset_id(tx.connection, id_or_name)])
    if not found:
        raise NotFound("Dataset")
    return found[0]


async def lock_accesses(tx: Transaction, ids: Sequence[str]) -> list[DatasetAccess]:
    """:func:`lock_access` for many, always in one order; unknown ids are left out."""
    return [DatasetAccess(*row) for row in await tx.connection.fetch(f"{_ACCESS} FOR NO KEY UPDATE", ids)]


async def find_access(connection: asyncpg.Connection | asyncpg.Pool, id_or_name: str) -> DatasetAccess:
    """Who may see and change the dataset of that id or name, in any state. Raises :class:`NotFound`."""
    row = await connection.fetchrow(_ACCESS, [await dataset_id(connection, id_or_name)])
    if row is None:
        raise NotFound("Dataset")
    return DatasetAccess(*row)


async def load_access(tx: Transaction, ids: Sequence[str]) -> list[DatasetAccess]:
    """Who may see and change these datasets; unknown ids are left out."""
    return [DatasetAccess(*row) for row in await tx.connection.fetch(_ACCESS, ids)]


def show_dataset(
    dataset: Dataset, site_url: str, include_plugin_data: bool = False, actor: Actor = ANONYMOUS
) -> dict[str, Any]:
    """The dataset as the API shows it; ``site_url`` is the base of its links.

    Of its relationships those with datasets that ``actor`` may see.
    """
    license = licenses.find(dataset.license_id)
    shown = {
        "id": dataset.id,
        "name": dataset.name,
        "title": dataset.title,
        "notes": dataset.notes,
        "url": dataset.url,
        "version": dataset.version,
        "author": dataset.author,
        "author_email": dataset.author_email,
        "maintainer": dataset.maintainer,
        "maintainer_email": dataset.maintainer_email,
        "license_id": dataset.license_id,
        "license_title": license.title if license else dataset.license_id,
        "isopen": license is not None and license.is_open,
        "type": dataset.type,
        "state": dataset.state,
        "private": dataset.private,
        "owner_org": dataset.owner_org,
        "creator_user_id": dataset.creator_user_id,
        "metadata_created": dates.render(dataset.metadata_created),
        "metadata_modified": dates.render(dataset.metadata_modified),
        "organization": _show_organization(dataset.organization) if dataset.organization else None,
        "num_resources": len(dataset.resources),
        "num_tags": len(dataset.tags),
        "resources": [show_resource(resource, site_url) for resource in dataset.resources],
        "tags": [_show_tag(tag) for tag in dataset.tags],
        "groups": [_show_group(group, site_url) for group in dataset.groups],
        "extras": [{"key": key, "value": value} for key, value in sorted(dataset.extras.items())],
        "relationships_as_subject": _show_relationships(dataset.as_subject, actor),
        "relationships_as_object": _show_relationships(dataset.as_object, actor),
    }
    if license and license.url:
        shown["license_url"] = license.url
    if include_plugin_data:
        shown["plugin_data"] = dataset.plugin_data or {}
    return shown


def _show_organization(organization: Group) -> dict[str, Any]:
    return {
        "id": organization.id,
        "name": organization.name,
        "title": organization.title,
        "type": organization.type,
        "description": organization.description,
        "image_url": organization.image_url,
        "created": dates.render(organization.created),
        "is_organization": organization.is_organization,
        "approval_status": organization.approval_status,
        "state": organization.state,
    }


def _show_tag(tag: Tag) -> dict[str, Any]:
    return {
        "id": tag.id,
        "name": tag.name,
        "display_name": tag.name,
        "vocabulary_id": tag.vocabulary_id,
        "state": "active",
    }


def _show_group(group: Group, site_url: str) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "title": group.title,
        "description": group.description,
        "display_name": group.title or group.name,
        "image_display_url": image_display_url(site_url, "group", group.image_url),
    }


def _show_relationships(relationships: Sequence[Relationship], actor: Actor) -> list[dict[str, Any]]:
    return [
        {
            "id": relationship.id,
            "subject_package_id": relationship.subject_id,
            "object_package_id": relationship.object_id,
            "type": relationship.type,
            "comment": relationship.comment,
            "state": "active",
        }
        for relationship in relationships
        if may_read_dataset(actor, relationship.other)
    ]
