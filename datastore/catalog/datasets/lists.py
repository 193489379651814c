"""Lists of datasets: only those that the actor may see, decided in the database."""

from __future__ import annotations

import asyncpg

from datastore.accounts.actor import Actor
from datastore.catalog.datasets.rows import Dataset, load_datasets

MAX_DATASETS = 1000
"""Most datasets in one answer."""

_NAMES = """
    SELECT dataset.name
    FROM datastore.datasets AS dataset
    WHERE datastore.may_read(dataset, $1, $2, $3)
          AND dataset.state = ANY ($4::text[])
          AND ($5 OR NOT dataset.private)
    ORDER BY dataset.name COLLATE "C"
    LIMIT $6 OFFSET $7
"""

_CURRENT = """
    SELECT id FROM datastore.datasets
    WHERE state = 'active' AND NOT private
    ORDER BY metadata_modified DESC, id
    LIMIT $1 OFFSET $2
"""

_BY_OWNER = """
    SELECT dataset.id
    FROM datastore.datasets AS dataset
    WHERE dataset.owner_org = $4 AND dataset.state = 'active' AND datastore.may_read(dataset, $1, $2, $3)
    ORDER BY dataset.metadata_modified DESC, dataset.id
    LIMIT $5
"""

_BY_CREATOR = """
    SELECT dataset.id
    FROM datastore.datasets AS dataset
    WHERE dataset.creator_user_id = $4 AND dataset.state <> 'deleted' AND datastore.may_read(dataset, $1, $2, $3)
    ORDER BY dataset.metadata_modified DESC, dataset.id
    LIMIT $5
"""


async def dataset_names(
    pool: asyncpg.Pool,
    actor: Actor,
    *,
    limit: int | None = None,
    offset: int = 0,
    private: bool = False,
    drafts: bool = False,
    deleted: bool = False,
) -> list[str]:
    """The names of the active public datasets, sorted; the flags add others, as far as the actor may see them."""
    states = ["active", *(["draft"] if drafts else []), *(["deleted"] if deleted else [])]
    rows = await pool.fetch(_NAMES, *actor.who, states, private, limit, offset)
    return [row["name"] for row in rows]


async def current_datasets(pool: asyncpg.Pool, limit: int, offset: int) -> list[Dataset]:
    """The active public datasets, latest change first."""
    rows = await pool.fetch(_CURRENT, limit, offset)
    return await load_datasets(pool, [row["id"] for row in rows])


async def datasets_of_organization(pool: asyncpg.Pool, actor: Actor, group_id: str, limit: int) -> list[Dataset]:
    """The active datasets of the organization that the actor may see, latest change first."""
    rows = await pool.fetch(_BY_OWNER, *actor.who, group_id, limit)
    return await load_datasets(pool, [row["id"] for row in rows])


async def datasets_of_creator(pool: asyncpg.Pool, actor: Actor, user_id: str, limit: int) -> list[Dataset]:
    """The datasets that the user created and the actor may see, latest change first."""
    rows = await pool.fetch(_BY_CREATOR, *actor.who, user_id, limit)
    return await load_datasets(pool, [row["id"] for row in rows])
