"""What actions on groups and on organizations do, for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datastore.accounts.permissions import (
    may_create_group,
    may_delete_group,
    may_read_group,
    may_see_users,
    refusal,
    require_login,
    require_permission,
)
from datastore.actions.people.fields import ChangedGroup, ListedGroups, NewGroup, ShownGroup, SuggestedGroups
from datastore.actions.registry import Call
from datastore.catalog.datasets.lists import datasets_of_organization
from datastore.catalog.datasets.rows import show_dataset
from datastore.catalog.groups.changes import create_group, delete_group, purge_group, update_group
from datastore.catalog.groups.lists import (
    MAX_DETAILED,
    MAX_NAMES,
    Listing,
    datasets_of_group,
    list_groups,
    suggest_groups,
)
from datastore.catalog.groups.rows import Group, Include, find_group, lock_group, show_group, show_groups
from datastore.postgres.database import Transaction
from datastore.validation import is_storable

_SHOWN_DATASETS = {True: 10, False: 1000}


async def create(call: Call, parameters: NewGroup, is_organization: bool, action_name: str) -> dict[str, Any]:
    """Create one, and give it as it is shown."""
    require_login(call.actor, action_name)
    if not may_create_group(call.actor, is_organization, call.settings):
        raise refusal(call.actor, action_name, "this site")

    async def work(tx: Transaction) -> str:
        return await create_group(tx, call.actor, parameters.sent(), is_organization)

    return await _shown(call, await call.write(work), is_organization)


async def change(
    call: Call, parameters: ChangedGroup, is_organization: bool | None, action_name: str, *, merge: bool
) -> dict[str, Any]:
    """Change one, and give it as it is shown. ``None`` takes either kind."""
    require_login(call.actor, action_name)

    async def work(tx: Transaction) -> Group:
        stored = await lock_group(tx, parameters.id, is_organization)
        require_permission(call.actor, stored.id, "update", action_name)
        return await update_group(tx, call.actor, call.settings, stored, parameters.sent(), merge=merge)

    group = await call.write(work)
    return await _shown(call, group.id, group.is_organization)


async def delete(call: Call, id_or_name: str, is_organization: bool, action_name: str) -> None:
    """Set the state to deleted."""
    require_login(call.actor, action_name)

    async def work(tx: Transaction) -> None:
        stored = await lock_group(tx, id_or_name, is_organization)
        if not may_delete_group(call.actor, stored.id, is_organization, call.settings):
            raise refusal(call.actor, action_name, f"{stored.kind.lower()} {id_or_name}")
        await delete_group(tx, call.actor, call.settings, stored)

    await call.write(work)


async def purge(call: Call, id_or_name: str, is_organization: bool, action_name: str) -> None:
    """Remove one for good; sysadmins only."""
    require_login(call.actor, action_name)
    if not call.actor.sysadmin:
        raise refusal(call.actor, action_name, "this site")

    async def work(tx: Transaction) -> None:
        stored = await lock_group(tx, id_or_name, is_organization, purge=True)
        await purge_group(tx, call.actor, call.settings, stored)

    await call.write(work)


async def readable(call: Call, id_or_name: str, is_organization: bool, action_name: str) -> Group:
    """One that the actor may see. Raises :class:`NotFound` and :class:`NotAuthorized`."""
    group = await find_group(call.services.database.owner, call.actor, id_or_name, is_organization)
    if not may_read_group(call.actor, group.state):
        raise refusal(call.actor, action_name, f"{group.kind.lower()} {id_or_name}")
    return group


async def show(call: Call, parameters: ShownGroup, is_organization: bool, action_name: str) -> dict[str, Any]:
    """One with its members, and its datasets if they are wanted."""
    group = await readable(call, parameters.id, is_organization, action_name)
    pool = call.services.database.owner
    shown = await show_group(pool, group, call.site_url, _include(call, parameters))
    if parameters.include_datasets:
        datasets = datasets_of_organization if is_organization else datasets_of_group
        found = await datasets(pool, call.actor, group.id, _SHOWN_DATASETS[is_organization])
        shown["packages"] = [show_dataset(dataset, call.site_url, actor=call.actor) for dataset in found]
    return shown


async def listed(
    call: Call, parameters: ListedGroups, names: Sequence[str] | None, is_organization: bool
) -> list[str] | list[dict[str, Any]]:
    """The names, or the objects."""
    most = MAX_DETAILED if parameters.all_fields else MAX_NAMES
    listing = Listing(
        is_organization,
        sort=parameters.sort or parameters.order_by or "title asc",
        query=parameters.q,
        names=[name for name in names if is_storable(name)] if names else None,
        type=parameters.type or None,
        limit=min(most if parameters.limit is None else parameters.limit, most),
        offset=parameters.offset or 0,
        count=parameters.all_fields and parameters.include_dataset_count,
    )
    pool = call.services.database.owner
    found = await list_groups(pool, call.actor, listing)
    if not parameters.all_fields:
        return [group.name for group in found]
    return await show_groups(pool, found, call.site_url, _include(call, parameters))


async def suggested(call: Call, parameters: SuggestedGroups, is_organization: bool) -> list[dict[str, Any]]:
    """Id, name and title of those whose name or title has the text."""
    limit = min(20 if parameters.limit is None else parameters.limit, MAX_NAMES)
    return await suggest_groups(call.services.database.owner, parameters.q or "", limit, is_organization)


async def of_ids(call: Call, ids: Sequence[str] | None, is_organization: bool, count: bool) -> list[dict[str, Any]]:
    """The active ones of these ids, or all (None), with nothing but their own fields and the count."""
    pool = call.services.database.owner
    listing = Listing(is_organization, names=ids, limit=None, count=count)
    include = Include(dataset_count=count, extras=False, users=False, groups=False, followers=False)
    return await show_groups(pool, await list_groups(pool, call.actor, listing), call.site_url, include)


async def _shown(call: Call, group_id: str, is_organization: bool) -> dict[str, Any]:
    pool = call.services.database.owner
    group = await find_group(pool, call.actor, group_id, is_organization)
    return await show_group(pool, group, call.site_url, Include())


def _include(call: Call, parameters: ShownGroup | ListedGroups) -> Include:
    return Include(
        dataset_count=parameters.include_dataset_count,
        extras=parameters.include_extras,
        users=parameters.include_users and may_see_users(call.actor, call.settings),
        groups=parameters.include_groups,
        tags=parameters.include_tags,
        followers=parameters.include_followers,
        member_count=parameters.include_member_count,
    )
