"""Lists of groups and organizations, decided in the database (catalog-api.md §C1, §C2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from datastore.accounts.actor import Actor
from datastore.catalog.datasets.rows import Dataset, load_datasets
from datastore.catalog.groups.rows import PACKAGE_COUNT, Group
from datastore.errors import ValidationError
from datastore.postgres.patterns import containing

MAX_NAMES, MAX_DETAILED = 1000, 25


@dataclass(frozen=True, slots=True)
class Listing:
    """Which groups a list has, in what order."""

    is_organization: bool
    sort: str = "title asc"
    query: str | None = None
    names: Sequence[str] | None = None
    """Names or ids."""
    type: str | None = None
    limit: int | None = MAX_NAMES
    offset: int = 0
    count: bool = True
    """Count the datasets that the actor may see."""


_ORDERS = {
    "name": 'found.name COLLATE "C"',
    "title": "lower(coalesce(nullif(found.title, ''), found.name))",
    "package_count": "found.package_count",
}

_LIST = """
    SELECT row_to_json(found)
    FROM (
        SELECT grp.*, {count} AS package_count
        FROM datastore.groups AS grp
        WHERE grp.is_organization = $4 AND grp.state = 'active'
              AND ($5::text[] IS NULL OR grp.name = ANY ($5) OR grp.id = ANY ($5))
              AND ($6::text IS NULL OR concat_ws(' ', grp.name, grp.title, grp.description) ILIKE $6)
              AND ($7::text IS NULL OR grp.type = $7)
    ) AS found
    ORDER BY {order}, found.name COLLATE "C"
    LIMIT $8 OFFSET $9
"""
# The arguments of datastore.may_read have a type also where nothing is counted.
_NO_COUNT = "CASE WHEN $1::text IS NULL OR $2::boolean OR $3::text[] IS NULL THEN 0 ELSE 0 END"

_SUGGEST = """
    SELECT id, name, title
    FROM datastore.groups
    WHERE is_organization = $1 AND state = 'active' AND concat_ws(' ', name, title) ILIKE $2
    ORDER BY name COLLATE "C"
    LIMIT $3
"""

_PACKAGES = """
    SELECT dataset.id
    FROM datastore.members AS collected
    JOIN datastore.datasets AS dataset ON dataset.id = collected.table_id
    WHERE collected.group_id = $4 AND collected.table_name = 'package'
          AND dataset.state = 'active' AND datastore.may_read(dataset, $1, $2, $3)
    ORDER BY dataset.metadata_modified DESC, dataset.id
    LIMIT $5
"""


async def list_groups(pool: asyncpg.Pool, actor: Actor, listing: Listing) -> list[Group]:
    """The active groups or organizations. Raises :class:`ValidationError` for an order that there is not."""
    order, counted = _order(listing.sort)
    count = PACKAGE_COUNT[listing.is_organization] if listing.count or counted else _NO_COUNT
    rows = await pool.fetch(
        _LIST.format(order=order, count=count),
        *actor.who,
        listing.is_organization,
        list(listing.names) if listing.names is not None else None,
        containing(listing.query) if listing.query else None,
        listing.type,
        listing.limit,
        listing.offset,
    )
    return [msgspec.json.decode(row[0], type=Group) for row in rows]


def _order(sort: str) -> tuple[str, bool]:
    """``title desc`` as SQL, and whether it needs the number of datasets.

    ``packages`` is an old name of ``package_count``, which sorts descending if unsaid.
    """
    words = sort.split()
    column = {"packages": "package_count"}.get(words[0], words[0]) if words else ""
    if column not in _ORDERS:
        raise ValidationError({"message": f"Cannot sort by field `{column}`"})
    direction = words[1].lower() if len(words) > 1 else "desc" if column == "package_count" else "asc"
    if len(words) > 2 or direction not in ("asc", "desc"):
        raise ValidationError({"message": f"Cannot sort by `{sort}`: the direction is asc or desc"})
    return f"{_ORDERS[column]} {direction}", column == "package_count"


async def suggest_groups(pool: asyncpg.Pool, query: str, limit: int, is_organization: bool) -> list[dict[str, Any]]:
    """``{id, name, title}`` of the active ones whose name or title has the text, by name."""
    rows = await pool.fetch(_SUGGEST, is_organization, containing(query), limit)
    return [dict(row) for row in rows]


async def datasets_of_group(pool: asyncpg.Pool, actor: Actor, group_id: str, limit: int) -> list[Dataset]:
    """The active datasets that the group collects and the actor may see, latest change first."""
    rows = await pool.fetch(_PACKAGES, *actor.who, group_id, limit)
    return await load_datasets(pool, [row["id"] for row in rows])
