"""Lists of datasets beside the search proper: by a part of their name or title, and by their last change."""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from datastore.accounts.actor import Actor
from datastore.catalog.dataset_rows import Dataset, load_datasets
from datastore.catalog.search.plan import Arguments
from datastore.catalog.search.visible import Scope, visible

_EVERYTHING_ACTIVE = Scope(private=True)


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


async def latest_datasets(pool: asyncpg.Pool, actor: Actor, limit: int, offset: int) -> list[Dataset]:
    """Active datasets that the actor may see, the last changed first."""
    arguments = Arguments()
    where = " AND ".join(visible(actor, _EVERYTHING_ACTIVE, arguments))
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(
            f"""
            SELECT entry.dataset_id
            FROM datastore.dataset_search AS entry
            WHERE {where}
            ORDER BY entry.metadata_modified DESC, entry.dataset_id
            LIMIT {arguments.add(limit)}::bigint OFFSET {arguments.add(offset)}::bigint
            """,
            *arguments.values,
        )
        return await load_datasets(connection, [row["dataset_id"] for row in rows])


def contains(text: str) -> str:
    """The text for LIKE, where its signs have no meaning."""
    return re.sub(r"([\\%_])", r"\\\1", text)
