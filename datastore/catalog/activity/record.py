"""What a transaction did to datasets, as activities: one for each dataset, however often it was written.

A draft is nobody's news. A dataset that stops being one is new.
"""

from __future__ import annotations

from collections.abc import Sequence

from datastore.accounts.activities import Activity, record
from datastore.accounts.permissions import DatasetAccess, dataset_labels
from datastore.catalog.datasets.rows import load_datasets, show_dataset
from datastore.postgres.database import Transaction

Change = tuple[DatasetAccess | None, DatasetAccess | None]
"""A dataset before and after a write. None: it was not there, or it is gone."""


async def record_datasets(tx: Transaction, changes: Sequence[Change]) -> None:
    """Record what became of these datasets, all in a few statements; for :meth:`Transaction.gather`."""
    first: dict[str, DatasetAccess | None] = {}
    last: dict[str, DatasetAccess | None] = {}
    for before, after in changes:
        for access in (before, after):
            if access is not None:
                first.setdefault(access.id, before)
                last[access.id] = after
    verbs = {id: verb for id in first if (verb := _verb(first[id], last[id])) is not None}
    activities = []
    for dataset in await load_datasets(tx.connection, list(verbs)):
        data = {"package": show_dataset(dataset, tx.author.site_url)}
        access = dataset.access
        type = f"{verbs[dataset.id]} package"
        activities.append(Activity(type, dataset.id, data, dataset_labels(access), dataset.id, access.owner_org))
    for id in verbs:
        gone = first[id]
        if last[id] is None and gone is not None:
            # Its other activities went with it. That it is gone is for sysadmins to know.
            activities.append(Activity("deleted package", id, {"package": {"id": id, "name": gone.name}}, []))
    await record(tx, activities)


def _verb(before: DatasetAccess | None, after: DatasetAccess | None) -> str | None:
    known = before is not None and before.state != "draft"
    if after is None or (known and after.state == "deleted" and before is not None and before.state != "deleted"):
        return "deleted" if known else None
    if known:
        return "changed"
    return "new" if after.state == "active" else None
