"""Actions on datasets."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import may_create_dataset, require_login, require_read
from datastore.actions.catalog.fields import AnyText, DatasetFields
from datastore.actions.parameters import Boolean, Natural, Parameters, RequiredText, Text
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.lists import dataset_names
from datastore.catalog.datasets.rows import Dataset, load_dataset, show_dataset
from datastore.catalog.editing.datasets import create_dataset, delete_dataset, update_dataset
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import MISSING


class PackageCreate(DatasetFields):
    """A new dataset."""

    id: AnyText = Field(None, description="Id to give it, a UUID4; sysadmins only.")


class PackageShow(Parameters):
    """Which dataset."""

    id: Text = Field(None, description="Id or name of the dataset.")
    name_or_id: Text = Field(None, description="The same, by another name.")
    include_plugin_data: Boolean = Field(False, description="Also show the data of integrations; sysadmins only.")


class PackageUpdate(DatasetFields):
    """The dataset as it shall be. What is not sent is emptied, except name, title, owner, visibility, state, resources
    and groups, which stay."""

    id: Text = Field(None, description="Id or name of the dataset; without it, `name` tells which.")


class PackagePatch(DatasetFields):
    """What changes in the dataset. What is not sent stays; lists are replaced as a whole."""

    id: RequiredText = Field(description="Id or name of the dataset.")


class PackageDelete(Parameters):
    """Which dataset."""

    id: RequiredText = Field(description="Id or name of the dataset.")


class PackageList(Parameters):
    """Which names."""

    limit: Natural = Field(None, description="How many names at most.")
    offset: Natural = Field(None, description="How many names to leave out first.")
    include_private: Boolean = Field(False, description="Also private ones that the caller may see.")
    include_drafts: Boolean = Field(False, description="Also drafts that the caller may see.")
    include_deleted: Boolean = Field(False, description="Also deleted ones that the caller may see.")


@action(PackageCreate)
async def package_create(call: Call, parameters: PackageCreate) -> dict[str, Any]:
    """Create a dataset, with its resources, tags and groups."""
    if not may_create_dataset(call.actor, None, call.settings):
        require_login(call.actor, "package_create")

    async def work(tx: Transaction) -> Dataset:
        return await create_dataset(tx, call.actor, call.settings, parameters.sent())

    return _written(call, await call.write(work))


@action(PackageShow, get=True)
async def package_show(call: Call, parameters: PackageShow) -> dict[str, Any]:
    """A dataset with its resources, tags, groups and extras."""
    key = _key(parameters.id or parameters.name_or_id)
    dataset = await load_dataset(call.services.database.owner, key)
    require_read(call.actor, dataset.access, "package_show", f"dataset {key}")
    with_plugin_data = parameters.include_plugin_data and call.actor.sysadmin
    return show_dataset(dataset, call.site_url, with_plugin_data, call.actor)


@action(PackageUpdate)
async def package_update(call: Call, parameters: PackageUpdate) -> dict[str, Any]:
    """Replace a dataset by what is sent. Resources are told apart by their `id`; those left out are deleted."""
    require_login(call.actor, "package_update")
    key = _key(parameters.id or (parameters.name if isinstance(parameters.name, str) else None))

    async def work(tx: Transaction) -> Dataset:
        return await update_dataset(tx, call.actor, call.settings, key, parameters.sent(), merge=False)

    return _written(call, await call.write(work))


@action(PackagePatch)
async def package_patch(call: Call, parameters: PackagePatch) -> dict[str, Any]:
    """Change some fields of a dataset."""
    require_login(call.actor, "package_patch")

    async def work(tx: Transaction) -> Dataset:
        sent = parameters.sent()
        return await update_dataset(tx, call.actor, call.settings, parameters.id, sent, merge=True)

    return _written(call, await call.write(work))


@action(PackageDelete)
async def package_delete(call: Call, parameters: PackageDelete) -> None:
    """Delete a dataset. Its owner still sees it, and brings it back by setting `state` to `active`."""
    require_login(call.actor, "package_delete")

    async def work(tx: Transaction) -> str:
        return await delete_dataset(tx, call.actor, call.settings, parameters.id)

    call.changed_entities["packages"] = [await call.write(work)]


@action(PackageList, get=True)
async def package_list(call: Call, parameters: PackageList) -> list[str]:
    """The names of the datasets, sorted."""
    return await dataset_names(
        call.services.database.owner,
        call.actor,
        limit=parameters.limit,
        offset=parameters.offset or 0,
        private=parameters.include_private,
        drafts=parameters.include_drafts,
        deleted=parameters.include_deleted,
    )


def _key(value: str | None) -> str:
    if not value:
        raise ValidationError({"id": [MISSING]})
    return value


def _written(call: Call, dataset: Dataset) -> dict[str, Any]:
    call.changed_entities["packages"] = [dataset.id]
    return show_dataset(dataset, call.site_url, actor=call.actor)
