"""Creating, changing and deleting datasets (catalog-api.md §B1, §C3–C6)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import may_create_dataset, require_login, require_update
from datastore.catalog import dates
from datastore.catalog.datasets.fields import dataset_type, overlay
from datastore.catalog.datasets.groups import resolve_groups, set_groups
from datastore.catalog.datasets.owner import changed_owner, owner_of_new
from datastore.catalog.datasets.rows import Dataset, load_dataset, lock_access
from datastore.catalog.datasets.tags import check_tags, key_of, set_tags
from datastore.catalog.editing.finish import Written, finish
from datastore.catalog.editing.relationships import restore_relationships
from datastore.catalog.editing.resources import plan_resources, replace_resources
from datastore.catalog.views.restore import restore_views
from datastore.postgres.constraints import taken
from datastore.postgres.database import Transaction
from datastore.settings import Settings
from datastore.validation import Problems, is_sent, name, objects, uuid4

NAME_TAKEN = "That URL is already in use."
ID_TAKEN = "Dataset id already exists"

_COLUMNS = (
    "id", "name", "title", "notes", "url", "version", "author", "author_email", "maintainer", "maintainer_email",
    "license_id", "type", "state", "private", "owner_org", "creator_user_id", "extras", "plugin_data",
    "metadata_created", "metadata_modified",
)  # fmt: skip

_INSERT = """
    INSERT INTO datastore.datasets (
        id, name, title, notes, url, version, author, author_email, maintainer, maintainer_email, license_id, type,
        state, private, owner_org, creator_user_id, extras, plugin_data, metadata_created, metadata_modified)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
"""

_UPDATE = """
    UPDATE datastore.datasets
    SET name = $2, title = $3, notes = $4, url = $5, version = $6, author = $7, author_email = $8, maintainer = $9,
        maintainer_email = $10, license_id = $11, type = $12, state = $13, private = $14, owner_org = $15,
        creator_user_id = $16, extras = $17, plugin_data = $18, metadata_created = $19, metadata_modified = $20
    WHERE id = $1
"""

# A name must not be the id of another dataset either: it could be looked up as such.
_NAME_IS_TAKEN = """
    SELECT EXISTS (
        SELECT FROM datastore.datasets WHERE id <> $2 AND (id = $1 OR (name = $1 AND state <> 'deleted')))
"""

_FREE_NAME = "UPDATE datastore.datasets SET name = id WHERE name = $1 AND id <> $2 AND state = 'deleted'"


async def create_dataset(tx: Transaction, actor: Actor, settings: Settings, data: Mapping[str, Any]) -> Dataset:
    """Create a dataset with its resources, tags and groups. Raises :class:`NotAuthorized`,
    :class:`ValidationError`, and :class:`NotFound` for an unknown group."""
    if not may_create_dataset(actor, None, settings):
        require_login(actor, "package_create")
    problems = Problems()
    owner_org = await owner_of_new(tx, problems, actor, settings, data)
    now = dates.now()
    blank = Dataset(
        id=_given_id(problems, actor, data) or str(uuid.uuid4()),
        name=problems.check("name", name, data.get("name"), ""),
        type=problems.check("type", dataset_type, data.get("type"), "dataset"),
        owner_org=owner_org,
        creator_user_id=actor.id,
        metadata_created=now,
        metadata_modified=now,
    )
    dataset = overlay(problems, blank, data, actor, merge=True)
    if not dataset.title:
        dataset = msgspec.structs.replace(dataset, title=dataset.name)
    _check_privacy(problems, dataset)
    tags = await check_tags(tx, problems, data)
    wanted = objects("resources", data.get("resources"))
    resources = plan_resources(problems, dataset.id, (), wanted, now)
    groups = await resolve_groups(tx, problems, actor, data, ())
    await _claim_name(tx, problems, dataset)
    problems.raise_if_any()
    with taken(datasets_name_key=("name", NAME_TAKEN), datasets_pkey=("id", ID_TAKEN)):
        await tx.connection.execute(_INSERT, *_columns(dataset))
    if tags:
        await set_tags(tx, dataset.id, tags)
    if groups:
        await set_groups(tx, dataset.id, groups)
    await replace_resources(tx, dataset.id, (), resources, now)
    sent_views = ((new.id, item.get("resource_views")) for new, item in zip(resources, wanted, strict=True))
    await restore_views(tx, dict(sent_views))
    await restore_relationships(tx, actor, dataset.access, data)
    await finish(tx, [Written(None, dataset.access)])
    return await load_dataset(tx.connection, dataset.id)


async def update_dataset(
    tx: Transaction,
    actor: Actor,
    settings: Settings,
    id_or_name: str,
    data: Mapping[str, Any],
    *,
    merge: bool,
    operation: str = "package_update",
) -> Dataset:
    """Replace the dataset by what was sent, or ``merge`` that into it. Equal values change nothing.

    Raises :class:`NotFound`, :class:`NotAuthorized` and :class:`ValidationError`.
    """
    access = await lock_access(tx, id_or_name)
    require_update(actor, access, settings, operation, f"dataset {id_or_name}")
    stored = await load_dataset(tx.connection, access.id)
    problems = Problems()
    now = dates.now()
    dataset = overlay(problems, stored, data, actor, merge)
    if data.get("name") not in (None, ""):
        dataset = msgspec.structs.replace(dataset, name=problems.check("name", name, data["name"], stored.name))
    dataset = msgspec.structs.replace(
        dataset,
        title=dataset.title or dataset.name,
        owner_org=await changed_owner(tx, problems, actor, settings, data, stored),
    )
    _check_privacy(problems, dataset)
    tags = old_tags = tuple(sorted(key_of(tag) for tag in stored.tags))
    if not merge or "tags" in data or "tag_string" in data:
        tags = await check_tags(tx, problems, data)
    resources = stored.resources
    if is_sent(data.get("resources")):
        wanted = objects("resources", data["resources"])
        resources = plan_resources(problems, stored.id, stored.resources, wanted, now)
    old_groups = tuple(group.id for group in stored.groups)
    groups = old_groups
    if is_sent(data.get("groups")):
        groups = await resolve_groups(tx, problems, actor, data, old_groups)
    if dataset.name != stored.name:
        await _claim_name(tx, problems, dataset)
    problems.raise_if_any()
    if dataset == stored and (tags, groups, resources) == (old_tags, old_groups, stored.resources):
        return stored
    if dataset.metadata_modified == stored.metadata_modified:
        dataset = msgspec.structs.replace(dataset, metadata_modified=now)
    with taken(datasets_name_key=("name", NAME_TAKEN)):
        await tx.connection.execute(_UPDATE, *_columns(dataset))
    if tags != old_tags:
        await set_tags(tx, dataset.id, tags)
    if groups != old_groups:
        await set_groups(tx, dataset.id, groups)
    await replace_resources(tx, dataset.id, stored.resources, resources, now)
    await finish(tx, [Written(stored.access, dataset.access)])
    return await load_dataset(tx.connection, dataset.id)


async def delete_dataset(tx: Transaction, actor: Actor, settings: Settings, id_or_name: str) -> str:
    """Set the dataset's state to deleted: it is hidden, and can be brought back with its tables. Gives its id.

    Raises :class:`NotFound` and :class:`NotAuthorized`.
    """
    dataset = await update_dataset(
        tx, actor, settings, id_or_name, {"state": "deleted"}, merge=True, operation="package_delete"
    )
    return dataset.id


def _columns(dataset: Dataset) -> list[Any]:
    """The arguments of the two statements."""
    values = {column: getattr(dataset, column) for column in _COLUMNS}
    values["extras"] = orjson.dumps(dataset.extras).decode()
    if dataset.plugin_data is not None:
        values["plugin_data"] = orjson.dumps(dataset.plugin_data).decode()
    return list(values.values())


def _given_id(problems: Problems, actor: Actor, data: Mapping[str, Any]) -> str | None:
    given = data.get("id")
    if given in (None, ""):
        return None
    if not actor.sysadmin:
        problems.add("id", "The input field id was not expected.")
        return None
    return problems.check("id", uuid4, given, "")


async def _claim_name(tx: Transaction, problems: Problems, dataset: Dataset) -> None:
    """Refuse a name in use. A deleted dataset that holds it is renamed to its id."""
    if not dataset.name or "name" in problems.fields:
        return
    if await tx.connection.fetchval(_NAME_IS_TAKEN, dataset.name, dataset.id):
        problems.add("name", NAME_TAKEN)
        return
    with taken(datasets_name_key=("name", NAME_TAKEN)):
        await tx.connection.execute(_FREE_NAME, dataset.name, dataset.id)


def _check_privacy(problems: Problems, dataset: Dataset) -> None:
    if dataset.private and dataset.owner_org is None and "owner_org" not in problems.fields:
        problems.add("private", "Datasets with no organization can't be private.")
