"""The datasets that a group collects (catalog-api.md §B3). Organizations own theirs instead."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import DatasetAccess, may_read_dataset
from datastore.errors import NotFound
from datastore.postgres.database import Transaction
from datastore.validation import Problems, is_storable, objects, required_text

_FIND = """
    SELECT id, name, owner_org, private, state, creator_user_id
    FROM datastore.datasets WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1
"""

_COLLECTED = """
    SELECT dataset.id
    FROM datastore.members AS collected
    JOIN datastore.datasets AS dataset ON dataset.id = collected.table_id
    WHERE collected.group_id = $4 AND collected.table_name = 'package' AND datastore.may_read(dataset, $1, $2, $3)
"""

_ADD = """
    INSERT INTO datastore.members AS stored (id, group_id, table_name, table_id, capacity)
    VALUES ($1, $2, 'package', $3, $4)
    ON CONFLICT (group_id, table_name, table_id) DO UPDATE SET capacity = excluded.capacity
    RETURNING stored.id, stored.table_name, stored.table_id, stored.group_id, stored.capacity
"""

_REMOVE = "DELETE FROM datastore.members WHERE group_id = $1 AND table_name = 'package' AND table_id = ANY ($2::text[])"


async def readable_dataset(tx: Transaction, actor: Actor, id_or_name: str) -> str:
    """The id of a dataset that the actor may read. Raises :class:`NotFound`, also for one that they may not."""
    row = await tx.connection.fetchrow(_FIND, id_or_name) if is_storable(id_or_name) else None
    if row is None or not may_read_dataset(actor, DatasetAccess(*row)):
        raise NotFound("Dataset")
    return str(row["id"])


async def check_packages(tx: Transaction, problems: Problems, actor: Actor, data: Mapping[str, Any]) -> set[str]:
    """The ids of the datasets in ``data["packages"]``, a list of ``{id}`` or ``{name}``."""
    found = set()
    nested = []
    for entry in objects("packages", data.get("packages")):
        problem = Problems()
        nested.append(problem)
        key = problem.check("id", required_text, entry.get("id") or entry.get("name"), "")
        if problem.fields:
            continue
        try:
            found.add(await readable_dataset(tx, actor, key))
        except NotFound as error:
            problem.add("id", str(error))
    problems.nested("packages", nested)
    return found


async def set_packages(tx: Transaction, actor: Actor, group_id: str, dataset_ids: set[str]) -> None:
    """Make these the datasets of the group. Those that the actor cannot see, and so cannot have listed, stay."""
    seen = {row["id"] for row in await tx.connection.fetch(_COLLECTED, *actor.who, group_id)}
    for dataset_id in sorted(dataset_ids - seen):
        await add_package(tx, group_id, dataset_id)
    await remove_packages(tx, group_id, seen - dataset_ids)


async def add_package(tx: Transaction, group_id: str, dataset_id: str, capacity: str = "public") -> dict[str, Any]:
    """Put the dataset into the group, and give the row."""
    return dict(await tx.connection.fetchrow(_ADD, str(uuid.uuid4()), group_id, dataset_id, capacity) or {})


async def remove_packages(tx: Transaction, group_id: str, dataset_ids: Iterable[str]) -> None:
    """Take the datasets out of the group."""
    await tx.connection.execute(_REMOVE, group_id, sorted(dataset_ids))
