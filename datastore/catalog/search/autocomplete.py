"""What completes a name, title or format that is being typed."""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from datastore.accounts.actor import Actor
from datastore.catalog.search.plan import Arguments
from datastore.catalog.search.visible import Scope, visible

_EVERYTHING_ACTIVE = Scope(private=True)

_FORMATS = """
    SELECT lower(resource.format) AS format
    FROM datastore.resources AS resource
    JOIN datastore.datasets AS dataset ON dataset.id = resource.dataset_id
    WHERE resource.state = 'active' AND dataset.state = 'active' AND NOT dataset.private
          AND resource.format ILIKE '%' || $1 || '%' AND resource.format <> ''
    GROUP BY lower(resource.format)
    ORDER BY count(*) DESC, lower(resource.format)
    LIMIT $2
"""


async def complete_datasets(pool: asyncpg.Pool, actor: Actor, text: str, limit: int) -> list[dict[str, Any]]:
    """Active datasets that the actor may see with the text in name or title; those that begin with it first."""
    arguments = Arguments()
    where = " AND ".join(visible(actor, _EVERYTHING_ACTIVE, arguments))
    pattern = contains(text)
    part, start = arguments.add(f"%{pattern}%"), arguments.add(f"{pattern}%")
    rows = await pool.fetch(
        f"""
        SELECT entry.name, entry.title, entry.name ILIKE {part} AS by_name
        FROM datastore.dataset_search AS entry
        WHERE {where} AND (entry.name ILIKE {part} OR entry.title ILIKE {part})
        ORDER BY entry.name ILIKE {start} OR entry.title ILIKE {start} DESC, lower(entry.title), entry.name
        LIMIT {arguments.add(limit)}::bigint
        """,
        *arguments.values,
    )
    return [
        {
            "name": row["name"],
            "title": row["title"],
            "match_field": "name" if row["by_name"] else "title",
            "match_displayed": row["name"] if row["by_name"] else f"{row['title']} ({row['name']})",
        }
        for row in rows
    ]


async def complete_formats(pool: asyncpg.Pool, text: str, limit: int) -> list[str]:
    """Formats of the resources of active public datasets that have the text in them, in lower case; frequent first."""
    return [row["format"] for row in await pool.fetch(_FORMATS, contains(text), limit)]


def contains(text: str) -> str:
    """The text for LIKE, where its signs have no meaning."""
    return re.sub(r"([\\%_])", r"\\\1", text)
