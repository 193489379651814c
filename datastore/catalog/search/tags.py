"""Lists of tags. Free ones are there for those who may see a dataset that has them; those of a vocabulary for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from datastore.accounts.actor import Actor
from datastore.catalog.datasets.rows import Dataset, Tag, load_datasets
from datastore.catalog.search.autocomplete import contains
from datastore.errors import NotFound
from datastore.validation import is_storable

# Of free tags only those in use, as far as the actor can know it; $1 to $3 are the arguments of datastore.may_read.
_SEEN = """
    (tag.vocabulary_id IS NOT NULL OR EXISTS (
        SELECT FROM datastore.dataset_tags AS link
        JOIN datastore.datasets AS dataset ON dataset.id = link.dataset_id
        WHERE link.tag_id = tag.id AND dataset.state = 'active' AND datastore.may_read(dataset, $1, $2, $3)))
"""

_FOUND = f"""
    FROM datastore.tags AS tag
    WHERE {_SEEN} AND tag.vocabulary_id IS NOT DISTINCT FROM $4
          AND NOT EXISTS (SELECT FROM unnest($5::text[]) AS part WHERE tag.name NOT ILIKE '%' || part || '%')
"""

_COUNT = f"SELECT count(*) {_FOUND}"

_LIST = f"""
    SELECT tag.id, tag.name, tag.vocabulary_id {_FOUND} ORDER BY tag.name COLLATE "C" LIMIT $6 OFFSET $7
"""

_ONE = f"""
    SELECT tag.id, tag.name, tag.vocabulary_id
    FROM datastore.tags AS tag
    WHERE {_SEEN} AND (tag.id = $4 OR (tag.name = $4 AND tag.vocabulary_id IS NOT DISTINCT FROM $5))
    ORDER BY tag.id = $4 DESC
    LIMIT 1
"""

_DATASETS = """
    SELECT dataset.id
    FROM datastore.dataset_tags AS link
    JOIN datastore.datasets AS dataset ON dataset.id = link.dataset_id
    WHERE link.tag_id = $1 AND dataset.state = 'active' AND NOT dataset.private
    ORDER BY dataset.metadata_modified DESC, dataset.id
    LIMIT $2
"""

_VOCABULARY = "SELECT id FROM datastore.vocabularies WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1"


async def vocabulary_id(pool: asyncpg.Pool, id_or_name: str | None) -> str | None:
    """The id of a vocabulary; None for none. Raises :class:`NotFound`."""
    if not id_or_name:
        return None
    found: str | None = await pool.fetchval(_VOCABULARY, id_or_name) if is_storable(id_or_name) else None
    if found is None:
        raise NotFound("Vocabulary")
    return found


async def list_tags(
    pool: asyncpg.Pool, actor: Actor, vocabulary: str | None, parts: Sequence[str], limit: int | None, offset: int
) -> tuple[int, list[Tag]]:
    """How many tags (free ones, or of the vocabulary) have all parts in their name, and those from ``offset`` on."""
    patterns = [contains(part) for part in parts]
    arguments = (*actor.who, vocabulary, patterns)
    count: int = await pool.fetchval(_COUNT, *arguments)
    return count, [Tag(**row) for row in await pool.fetch(_LIST, *arguments, limit, offset)]


async def find_tag(pool: asyncpg.Pool, actor: Actor, vocabulary: str | None, id_or_name: str) -> Tag:
    """The tag of that id or name. Raises :class:`NotFound`, also if the actor cannot know that it is there."""
    row = await pool.fetchrow(_ONE, *actor.who, id_or_name, vocabulary) if is_storable(id_or_name) else None
    if row is None:
        raise NotFound("Tag")
    return Tag(**row)


async def datasets_with(pool: asyncpg.Pool, tag: Tag, limit: int) -> list[Dataset]:
    """The active public datasets that have the tag, the last changed first."""
    rows = await pool.fetch(_DATASETS, tag.id, limit)
    return await load_datasets(pool, [row["id"] for row in rows])


def show_tag(tag: Tag) -> dict[str, Any]:
    """The tag as the API shows it by itself."""
    return {"id": tag.id, "name": tag.name, "display_name": tag.name, "vocabulary_id": tag.vocabulary_id}
