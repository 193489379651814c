"""Resources of active public datasets by their fields: the old ``resource_search``, and the search API of old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from datastore.catalog.datasets.resource_rows import Resource, decode_row
from datastore.catalog.search.autocomplete import contains
from datastore.catalog.search.plan import Arguments
from datastore.errors import ValidationError
from datastore.validation import is_storable

_COLUMNS = frozenset(
    {
        "id",
        "url",
        "name",
        "description",
        "format",
        "hash",
        "resource_type",
        "mimetype",
        "mimetype_inner",
        "url_type",
        "cache_url",
        "size",
        "created",
        "last_modified",
        "metadata_modified",
        "position",
    }
)
MOST_CRITERIA = 50


@dataclass(frozen=True, slots=True)
class Criterion:
    """The field has the text in it, whatever the case; ``hash`` begins with it."""

    field: str
    text: str


def parse_criterion(text: str) -> Criterion:
    """``field:text``. Raises :class:`ValidationError` ``query``."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValidationError({"query": "Must be <field>:<value> pair(s)"})
    return Criterion(name.strip(), value)


async def find_resources(
    pool: asyncpg.Pool, criteria: Sequence[Criterion], order_by: str | None, offset: int, limit: int | None
) -> tuple[int, list[Resource]]:
    """How many resources fulfil all criteria, and those from ``offset`` on.

    Raises :class:`ValidationError` for a field that resources do not have. Further keys of a resource are fields, too,
    where there is at least one resource that has them.
    """
    if len(criteria) > MOST_CRITERIA:
        raise ValidationError({"query": f"At most {MOST_CRITERIA} criteria"})
    arguments = Arguments()
    conditions = ["resource.state = 'active'", "dataset.state = 'active'", "NOT dataset.private"]
    for criterion in criteria:
        if not is_storable(criterion.text):
            return 0, []
        pattern = contains(criterion.text)
        value = await _column(pool, criterion.field, arguments)
        if criterion.field == "hash":
            conditions.append(f"{value} LIKE {arguments.add(f'{pattern}%')}")
        else:
            conditions.append(f"{value} ILIKE {arguments.add(f'%{pattern}%')}")
    order = f"{await _column(pool, order_by, arguments, 'order_by')}, " if order_by else ""
    where = f"""
        FROM datastore.resources AS resource
        JOIN datastore.datasets AS dataset ON dataset.id = resource.dataset_id
        WHERE {" AND ".join(conditions)}
    """
    count: int = await pool.fetchval(
        f"SELECT count(*) FROM (SELECT {order} resource.id {where}) AS found", *arguments.values
    )
    rows = await pool.fetch(
        f"""
        SELECT row_to_json(resource) {where}
        ORDER BY {order} resource.created, resource.dataset_id, resource.position
        LIMIT {arguments.add(limit)}::bigint OFFSET {arguments.add(offset)}::bigint
        """,
        *arguments.values,
    )
    return count, [decode_row(row[0], Resource) for row in rows]


async def _column(pool: asyncpg.Pool, name: str, arguments: Arguments, parameter: str = "query") -> str:
    """The field as text, in SQL. Raises :class:`ValidationError` if there is none of that name."""
    if name in _COLUMNS:
        return f"resource.{name}::text"
    if name == "package_id":
        return "resource.dataset_id"
    known = is_storable(name) and await pool.fetchval(_IS_EXTRA, name)
    if not known:
        raise ValidationError({parameter: f'Field "{name}" not recognised in resource_search.'})
    return f"(resource.extras ->> {arguments.add(name)}::text)"


_IS_EXTRA = """
    SELECT EXISTS (
        SELECT FROM datastore.resources AS resource
        JOIN datastore.datasets AS dataset ON dataset.id = resource.dataset_id
        WHERE resource.state = 'active' AND dataset.state = 'active' AND NOT dataset.private
              AND resource.extras ? $1)
"""
