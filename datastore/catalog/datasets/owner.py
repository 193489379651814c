"""The organization that a dataset goes to: who may put it there (catalog-api.md §B1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import has_permission, may_create_dataset, may_move_dataset, refusal
from datastore.catalog.datasets.rows import Dataset
from datastore.postgres.database import Transaction
from datastore.settings import Settings
from datastore.validation import Invalid, Problems, required_text

# The share lock keeps the organization as it is until this transaction ends.
_FIND_ORGANIZATION = """
    SELECT id FROM datastore.groups
    WHERE (id = $1 OR name = $1) AND is_organization AND state = 'active'
    ORDER BY id = $1 DESC LIMIT 1
    FOR SHARE
"""


async def owner_of_new(
    tx: Transaction, problems: Problems, actor: Actor, settings: Settings, data: Mapping[str, Any]
) -> str | None:
    """The id of the organization that a new dataset goes to. Raises :class:`NotAuthorized`."""
    if data.get("owner_org") in (None, ""):
        may_create_somewhere = any(has_permission(actor, group, "create_dataset") for group in actor.roles)
        if not (may_create_dataset(actor, None, settings) or may_create_somewhere):
            raise refusal(actor, "package_create", "this site")
        if not settings.create_unowned_dataset:
            problems.add("owner_org", "An organization must be provided")
        elif not may_create_dataset(actor, None, settings):
            raise refusal(actor, "package_create", "this site")
        return None
    found = await find_organization(tx, problems, data["owner_org"])
    if found is not None and not may_create_dataset(actor, found, settings):
        raise refusal(actor, "package_create", f"organization {found}")
    return found


async def changed_owner(
    tx: Transaction,
    problems: Problems,
    actor: Actor,
    settings: Settings,
    data: Mapping[str, Any],
    stored: Dataset,
) -> str | None:
    """The owner after an update: kept if not sent or the same; otherwise the actor must be let into the new one."""
    given = data.get("owner_org", stored.owner_org)
    if given == stored.owner_org:
        return stored.owner_org
    if given in (None, "") and stored.owner_org is None:
        return None
    if given in (None, "") and not settings.create_unowned_dataset:
        problems.add("owner_org", "An organization must be provided")
        return None
    found = None if given in (None, "") else await find_organization(tx, problems, given)
    if "owner_org" in problems.fields:
        return found
    if found != stored.owner_org and not may_move_dataset(actor, stored.access, settings):
        problems.add("owner_org", "You cannot take this dataset out of its organization")
    if found not in (None, stored.owner_org) and not may_create_dataset(actor, found, settings):
        problems.add("owner_org", "You cannot add a dataset to this organization")
    return found


async def find_organization(tx: Transaction, problems: Problems, given: Any) -> str | None:
    """The id of the active organization of that id or name; None, and a problem of ``owner_org``, if there is none."""
    try:
        found: str | None = await tx.connection.fetchval(_FIND_ORGANIZATION, required_text(given))
    except Invalid as problem:
        problems.add("owner_org", str(problem))
        return None
    if found is None:
        problems.add("owner_org", "Organization does not exist")
    return found
