"""package_revise: a dataset is matched, filtered and merged, as its document is at that moment (catalog-api.md §C4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import require_update
from datastore.catalog.datasets.rows import Dataset, load_dataset, lock_access, show_dataset
from datastore.catalog.editing.datasets import update_dataset
from datastore.catalog.editing.patterns import Pattern, filtered, merged, merged_at, mismatches, mismatches_at
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.settings import Settings
from datastore.validation import MISSING

_OPERATION = "package_revise"


@dataclass(frozen=True, slots=True)
class Revision:
    """What is asked for. The keys of the ``…_at`` members are paths, without their first part."""

    match: Mapping[str, Any]
    match_at: Mapping[str, Any]
    filter: Sequence[Pattern]
    update: Mapping[str, Any]
    update_at: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Id or name of the dataset. Raises :class:`ValidationError` ``match``."""
        wanted = {**self.match, **self.match_at}
        found = wanted.get("id") or wanted.get("name")
        if not isinstance(found, str):
            raise ValidationError({"match": [f"{MISSING}: id or name of the dataset"]})
        return found


async def revise_dataset(
    tx: Transaction, actor: Actor, settings: Settings, site_url: str, revision: Revision
) -> Dataset:
    """Change the dataset if it still matches: nobody else changes it between the look and the change.

    Raises :class:`NotFound`, :class:`NotAuthorized`, and :class:`ValidationError`, whose ``match`` names the paths that
    do not match.
    """
    access = await lock_access(tx, revision.key)
    require_update(actor, access, settings, _OPERATION, f"dataset {revision.key}")
    document = show_dataset(await load_dataset(tx.connection, access.id), site_url, actor=actor)
    different = mismatches(document, revision.match)
    for path, wanted in revision.match_at.items():
        different += mismatches_at(document, path, wanted)
    if different:
        raise ValidationError({"match": different})
    changed: dict[str, Any] = merged(filtered(document, revision.filter), revision.update)
    for path, value in revision.update_at.items():
        changed = merged_at(changed, path, value, f"update__{path}")
    if changed.get("id", access.id) != access.id:
        raise ValidationError({"id": ["The id of a dataset never changes"]})
    # An update keeps the lists that it is not sent; here they were taken out.
    data = {"resources": [], "groups": [], **changed}
    return await update_dataset(tx, actor, settings, access.id, data, merge=False, operation=_OPERATION)
