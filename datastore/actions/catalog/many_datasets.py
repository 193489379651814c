"""Actions on the place of datasets, resources and owners among others: orders, owners, many at once, purging."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import require_login, require_sysadmin
from datastore.actions.catalog.fields import AnyText
from datastore.actions.parameters import Natural, Parameters, RequiredText, Strings
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.lists import MAX_DATASETS, current_datasets
from datastore.catalog.datasets.owner import find_organization
from datastore.catalog.datasets.rows import show_dataset
from datastore.catalog.editing.bulk import update_many
from datastore.catalog.editing.datasets import update_dataset
from datastore.catalog.editing.purge import purge_dataset
from datastore.catalog.editing.resources import reorder_resources
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import MISSING, Problems, is_sent


class CurrentPackageList(Parameters):
    """Which page."""

    limit: Natural = Field(None, description=f"How many datasets at most, up to {MAX_DATASETS}.")
    offset: Natural = Field(None, description="How many datasets to leave out first.")
    page: Natural = Field(None, description="Instead of offset: the page, from 1, of `limit` datasets each.")


class PackageResourceReorder(Parameters):
    """A dataset and an order."""

    id: RequiredText = Field(description="Id or name of the dataset.")
    order: Strings = Field(None, description="Ids of the resources that come first, in this order.")


class PackageOwnerOrgUpdate(Parameters):
    """A dataset and its new owner."""

    id: RequiredText = Field(description="Id or name of the dataset.")
    organization_id: AnyText = Field(None, description="Id or name of the organization; empty for none.")


class DatasetPurge(Parameters):
    """Which dataset."""

    id: RequiredText = Field(description="Id or name of the dataset.")


class BulkUpdate(Parameters):
    """Datasets of one organization."""

    datasets: Strings = Field(None, description="Ids or names of the datasets.")
    org_id: RequiredText = Field(description="Id or name of the organization that owns them.")


@action(CurrentPackageList, get=True)
async def current_package_list_with_resources(call: Call, parameters: CurrentPackageList) -> list[dict[str, Any]]:
    """The active public datasets as package_show shows them, latest change first."""
    limit = MAX_DATASETS if parameters.limit is None else min(parameters.limit, MAX_DATASETS)
    offset = parameters.offset or 0
    if parameters.page is not None:
        offset = max(parameters.page - 1, 0) * limit
    datasets = await current_datasets(call.services.database.owner, limit, min(offset, 2**63 - 1))
    return [show_dataset(dataset, call.site_url) for dataset in datasets]


@action(PackageResourceReorder)
async def package_resource_reorder(call: Call, parameters: PackageResourceReorder) -> dict[str, Any]:
    """Bring the resources of a dataset into another order; those that are not named follow as they were."""
    require_login(call.actor, "package_resource_reorder")
    first = parameters.order
    if first is None:
        raise ValidationError({"order": [MISSING]})

    async def work(tx: Transaction) -> tuple[str, list[str]]:
        access, after = await reorder_resources(tx, call.actor, call.settings, parameters.id, first)
        return access.id, after

    dataset_id, order = await call.write(work)
    call.changed_entities["packages"] = [dataset_id]
    return {"id": parameters.id, "order": order}


@action(PackageOwnerOrgUpdate)
async def package_owner_org_update(call: Call, parameters: PackageOwnerOrgUpdate) -> None:
    """Give a dataset to another organization. Sysadmins only; others set `owner_org` with package_patch."""
    require_sysadmin(call.actor, "package_owner_org_update")

    async def work(tx: Transaction) -> str:
        owner = parameters.organization_id
        if is_sent(owner):
            owner = await find_organization(tx, Problems(), owner)
            if owner is None:
                raise NotFound("Organization was not found.")
        elif not call.settings.create_unowned_dataset:
            raise ValidationError({"organization_id": [MISSING]})
        data = {"owner_org": owner}
        return (await update_dataset(tx, call.actor, call.settings, parameters.id, data, merge=True)).id

    call.changed_entities["packages"] = [await call.write(work)]


@action(DatasetPurge)
async def dataset_purge(call: Call, parameters: DatasetPurge) -> None:
    """Remove a dataset for good, with its resources and their tables. Sysadmins only."""
    require_sysadmin(call.actor, "dataset_purge")

    async def work(tx: Transaction) -> str:
        return await purge_dataset(tx, parameters.id)

    call.changed_entities["packages"] = [await call.write(work)]


@action(BulkUpdate)
async def bulk_update_private(call: Call, parameters: BulkUpdate) -> None:
    """Make datasets of an organization private."""
    await _update_many(call, parameters, "bulk_update_private", private=True)


@action(BulkUpdate)
async def bulk_update_public(call: Call, parameters: BulkUpdate) -> None:
    """Make datasets of an organization public."""
    await _update_many(call, parameters, "bulk_update_public", private=False)


@action(BulkUpdate)
async def bulk_update_delete(call: Call, parameters: BulkUpdate) -> None:
    """Delete datasets of an organization, as package_delete does."""
    await _update_many(call, parameters, "bulk_update_delete", state="deleted")


async def _update_many(
    call: Call, parameters: BulkUpdate, operation: str, *, private: bool | None = None, state: str | None = None
) -> None:
    require_login(call.actor, operation)
    keys = parameters.datasets
    if keys is None:
        raise ValidationError({"datasets": [MISSING]})

    async def work(tx: Transaction) -> list[str]:
        return await update_many(tx, call.actor, parameters.org_id, keys, operation, private=private, state=state)

    call.changed_entities["packages"] = await call.write(work)
