"""Actions on organizations."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import (
    may_create_organization,
    may_read_group,
    may_see_users,
    refusal,
    require_login,
)
from datastore.actions.catalog_fields import AnyText, OrganizationFields
from datastore.actions.parameters import Boolean, Natural, Parameters, RequiredText, Strings, Text
from datastore.actions.registry import Call, action
from datastore.catalog.dataset_lists import datasets_of_organization
from datastore.catalog.dataset_rows import show_dataset
from datastore.catalog.organizations import (
    MAX_DETAILED,
    MAX_NAMES,
    Include,
    Listing,
    create_organization,
    find_organization,
    list_organizations,
    show_organization,
)
from datastore.postgres.database import Transaction
from datastore.validation import is_storable

_SHOWN_DATASETS = 10


class OrganizationCreate(OrganizationFields):
    """A new organization."""

    id: AnyText = Field(None, description="Id to give it, a UUID4; sysadmins only.")


class OrganizationShow(Parameters):
    """Which organization, and how much of it."""

    id: RequiredText = Field(description="Id or name of the organization.")
    include_datasets: Boolean = Field(False, description="Also show its first ten datasets, latest change first.")
    include_dataset_count: Boolean = Field(True, description="Show the number of its datasets.")
    include_extras: Boolean = Field(True, description="Show further metadata.")
    include_users: Boolean = Field(True, description="Show its members.")
    include_groups: Boolean = Field(True, description="Show its parent organizations.")
    include_followers: Boolean = Field(True, description="Show the number of followers.")


class OrganizationList(Parameters):
    """Which organizations, and how much of each."""

    sort: Text = Field(None, description="`name`, `title` or `package_count`, then `asc` or `desc`.")
    order_by: Text = Field(None, description="Old name of `sort`.")
    q: Text = Field(None, description="Text that name, title or description contain.")
    organizations: Strings = Field(None, description="Only these names.")
    type: Text = Field(None, description="Only this kind of organization.")
    limit: Natural = Field(None, description="How many at most: up to 1000 names, 25 with `all_fields`.")
    offset: Natural = Field(None, description="How many to leave out first.")
    all_fields: Boolean = Field(False, description="Objects instead of names.")
    include_dataset_count: Boolean = Field(True, description="With `all_fields`: show the number of datasets.")
    include_extras: Boolean = Field(False, description="With `all_fields`: show further metadata.")
    include_users: Boolean = Field(False, description="With `all_fields`: show the members.")
    include_groups: Boolean = Field(False, description="With `all_fields`: show the parent organizations.")
    include_followers: Boolean = Field(False, description="With `all_fields`: show the number of followers.")


@action(OrganizationCreate)
async def organization_create(call: Call, parameters: OrganizationCreate) -> dict[str, Any]:
    """Create an organization. Its creator becomes its admin."""
    require_login(call.actor, "organization_create")
    if not may_create_organization(call.actor, call.settings):
        raise refusal(call.actor, "organization_create", "this site")

    async def work(tx: Transaction) -> str:
        return await create_organization(tx, call.actor, parameters.sent())

    created = await call.services.database.write(work)
    pool = call.services.database.owner
    return await show_organization(pool, await find_organization(pool, call.actor, created), call.site_url, Include())


@action(OrganizationShow, get=True)
async def organization_show(call: Call, parameters: OrganizationShow) -> dict[str, Any]:
    """An organization with its members."""
    pool = call.services.database.owner
    organization = await find_organization(pool, call.actor, parameters.id)
    if not may_read_group(call.actor, organization.state):
        raise refusal(call.actor, "organization_show", f"organization {organization.id}")
    shown = await show_organization(pool, organization, call.site_url, _include(call, parameters))
    if parameters.include_datasets:
        datasets = await datasets_of_organization(pool, call.actor, organization.id, _SHOWN_DATASETS)
        shown["packages"] = [show_dataset(dataset, call.site_url) for dataset in datasets]
    return shown


@action(OrganizationList, get=True)
async def organization_list(call: Call, parameters: OrganizationList) -> list[str] | list[dict[str, Any]]:
    """The organizations, by title unless `sort` says otherwise."""
    most = MAX_DETAILED if parameters.all_fields else MAX_NAMES
    names = parameters.organizations
    listing = Listing(
        sort=parameters.sort or parameters.order_by or "title asc",
        query=parameters.q,
        names=[name for name in names if is_storable(name)] if names else None,
        type=parameters.type or None,
        limit=min(most if parameters.limit is None else parameters.limit, most),
        offset=parameters.offset or 0,
    )
    pool = call.services.database.owner
    found = await list_organizations(pool, call.actor, listing)
    if not parameters.all_fields:
        return [organization.name for organization in found]
    include = _include(call, parameters)
    return [await show_organization(pool, organization, call.site_url, include) for organization in found]


def _include(call: Call, parameters: OrganizationShow | OrganizationList) -> Include:
    return Include(
        dataset_count=parameters.include_dataset_count,
        extras=parameters.include_extras,
        users=parameters.include_users and may_see_users(call.actor, call.settings),
        groups=parameters.include_groups,
        followers=parameters.include_followers,
    )
