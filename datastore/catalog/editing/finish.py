"""Where every write to a dataset ends: what follows from it, in the same transaction.

Whoever changes a dataset, its resources or its tags calls :func:`finish` last, once, with all the datasets that were
changed: the one place for what has to keep up with datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastore.accounts.actor import CACHE_KIND as ACTOR_KIND
from datastore.accounts.permissions import DatasetAccess
from datastore.catalog.activity.record import record_datasets
from datastore.postgres.database import Transaction
from datastore.tables.definition.visibility import set_public
from datastore.tables.schema import CACHE_KIND


@dataclass(frozen=True, slots=True)
class Written:
    """Who might see a dataset before a write, and who may after it. None: it was not there, or it is gone."""

    before: DatasetAccess | None
    after: DatasetAccess | None


async def finish(tx: Transaction, writes: Sequence[Written]) -> None:
    """Bring grants and caches up to date with the written datasets, whose rows are locked, and record what happened."""
    for public in (True, False):
        changed = [
            write.after.id
            for write in writes
            if write.before and write.after and (write.before.public, write.after.public) == (not public, public)
        ]
        if changed:
            await set_public(tx, changed, public)
    tx.gather(record_datasets, [(write.before, write.after) for write in writes])
    for write in writes:
        if write.before is not None and write.before != write.after:
            tx.changed(CACHE_KIND, write.before.id)
            tx.changed(ACTOR_KIND, write.before.id)


async def touched(tx: Transaction, accesses: Sequence[DatasetAccess]) -> None:
    """:func:`finish` for datasets of which something changed, but not who may see them."""
    await finish(tx, [Written(access, access) for access in accesses])
