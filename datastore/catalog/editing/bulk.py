"""Many datasets of one organization at once: made private or public, deleted, in a few statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import DatasetAccess, has_permission, refusal
from datastore.catalog import dates
from datastore.catalog.datasets.owner import find_organization
from datastore.catalog.datasets.rows import lock_accesses
from datastore.catalog.editing.finish import Written, finish
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import Problems, is_storable

_IDS = """
    SELECT dataset.id, wanted.key
    FROM unnest($1::text[]) AS wanted (key)
    LEFT JOIN datastore.datasets AS dataset ON dataset.id = (
        SELECT id FROM datastore.datasets WHERE id = wanted.key OR name = wanted.key
        ORDER BY id = wanted.key DESC LIMIT 1)
"""

_UPDATE = """
    UPDATE datastore.datasets AS dataset
    SET private = wanted.private, state = wanted.state, metadata_modified = $4
    FROM unnest($1::text[], $2::boolean[], $3::text[]) AS wanted (id, private, state)
    WHERE dataset.id = wanted.id
"""


async def update_many(
    tx: Transaction,
    actor: Actor,
    organization: str,
    keys: Sequence[str],
    operation: str,
    *,
    private: bool | None = None,
    state: str | None = None,
) -> list[str]:
    """Give the datasets (ids or names) of the organization this visibility or state, all or none.

    Gives the ids of those that change. Raises :class:`NotFound`, :class:`NotAuthorized` unless the actor is an admin
    of the organization, and :class:`ValidationError` ``datasets`` for one that is not the organization's.
    """
    problems = Problems()
    org_id = await find_organization(tx, problems, organization)
    if org_id is None:
        raise NotFound("Organization")
    if not has_permission(actor, org_id, "update"):
        raise refusal(actor, operation, f"organization {org_id}")
    found = await tx.connection.fetch(_IDS, [key for key in keys if is_storable(key)])
    accesses = await lock_accesses(tx, [row["id"] for row in found])
    owned = {access.id: access for access in accesses if access.owner_org == org_id}
    ids = {row["key"]: row["id"] for row in found}
    foreign = [key for key in keys if ids.get(key) not in owned]
    if foreign:
        raise ValidationError({"datasets": [f"{foreign[0]} is not a dataset of this organization"]})
    writes = [Written(access, _changed(access, private, state)) for access in owned.values()]
    writes = [write for write in writes if write.before != write.after]
    after = [write.after for write in writes if write.after is not None]
    await tx.connection.execute(
        _UPDATE,
        [access.id for access in after],
        [access.private for access in after],
        [access.state for access in after],
        dates.now(),
    )
    await finish(tx, writes)
    return [access.id for access in after]


def _changed(access: DatasetAccess, private: bool | None, state: str | None) -> DatasetAccess:
    return replace(
        access,
        private=access.private if private is None else private,
        state=access.state if state is None else state,
    )
