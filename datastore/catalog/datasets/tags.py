"""Tags of datasets: what clients send, and how it is stored."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from datastore.catalog.datasets.rows import Tag
from datastore.catalog.names import tag_name
from datastore.postgres.database import Transaction
from datastore.validation import Problems, objects, required_text, text


class TagKey(NamedTuple):
    """What tells tags apart: the name, and the id of the vocabulary, ``""`` for a free tag."""

    name: str
    vocabulary_id: str


_VOCABULARIES = """
    SELECT vocabulary.id, vocabulary.name, tag.name AS tag
    FROM datastore.vocabularies AS vocabulary
    LEFT JOIN datastore.tags AS tag ON tag.vocabulary_id = vocabulary.id AND tag.name = ANY ($2::text[])
    WHERE vocabulary.id = ANY ($1::text[]) OR vocabulary.name = ANY ($1::text[])
"""

_CREATE = """
    INSERT INTO datastore.tags (id, name)
    SELECT * FROM unnest($1::text[], $2::text[])
    ON CONFLICT ON CONSTRAINT tags_name_key DO NOTHING
"""

# The locks let nobody delete one of the tags meanwhile.
_SET = """
    WITH wanted AS (
        SELECT tag.id
        FROM unnest($2::text[], $3::text[]) AS given (name, vocabulary_id)
        JOIN datastore.tags AS tag
            ON tag.name = given.name AND tag.vocabulary_id IS NOT DISTINCT FROM nullif(given.vocabulary_id, '')
        FOR KEY SHARE OF tag
    ),
    detached AS (
        DELETE FROM datastore.dataset_tags WHERE dataset_id = $1 AND tag_id NOT IN (SELECT id FROM wanted)
    )
    INSERT INTO datastore.dataset_tags (dataset_id, tag_id)
    SELECT $1, id FROM wanted
    ON CONFLICT DO NOTHING
"""


def key_of(tag: Tag) -> TagKey:
    """The key of a stored tag."""
    return TagKey(tag.name, tag.vocabulary_id or "")


async def check_tags(tx: Transaction, problems: Problems, data: Mapping[str, Any]) -> tuple[TagKey, ...]:
    """The tags in ``tags`` and the free ones in the comma-separated ``tag_string``, sorted, each once.

    A tag with a ``vocabulary_id`` (an id or a name) must be one of that vocabulary.
    """
    given = objects("tags", data.get("tags"))
    nested = [Problems() for _ in given]
    keys = []
    for tag, problem in zip(given, nested, strict=True):
        name = problem.check("name", tag_name, tag.get("name"), "")
        in_vocabulary = tag.get("vocabulary_id") not in (None, "")
        vocabulary = problem.check("vocabulary_id", required_text, tag["vocabulary_id"], "") if in_vocabulary else ""
        keys.append(TagKey(name, vocabulary))
    keys = await _resolved(tx, nested, keys)
    problems.nested("tags", nested)
    listed = problems.check("tag_string", text, data.get("tag_string"), None) or ""
    named = [problems.check("tag_string", tag_name, part, "") for part in listed.split(",") if part.strip()]
    return tuple(sorted({*keys, *(TagKey(name, "") for name in named)}))


async def _resolved(tx: Transaction, nested: Sequence[Problems], keys: list[TagKey]) -> list[TagKey]:
    """The keys with the ids of the vocabularies, which clients may also call by name."""
    vocabularies = {key.vocabulary_id for key in keys if key.vocabulary_id}
    if not vocabularies:
        return keys
    rows = await tx.connection.fetch(_VOCABULARIES, list(vocabularies), [key.name for key in keys])
    ids = {row["name"]: row["id"] for row in rows} | {row["id"]: row["id"] for row in rows}
    members = {(row["id"], row["tag"]) for row in rows}
    resolved = []
    for problem, key in zip(nested, keys, strict=True):
        found = ids.get(key.vocabulary_id, "")
        if key.vocabulary_id and not found:
            problem.add("vocabulary_id", "Tag vocabulary was not found.")
        elif found and (found, key.name) not in members:
            problem.add("vocabulary_id", f"Tag {key.name} does not belong to vocabulary {key.vocabulary_id}")
        resolved.append(TagKey(key.name, found))
    return resolved


async def set_tags(tx: Transaction, dataset_id: str, keys: Sequence[TagKey]) -> None:
    """Make these the tags of the dataset, creating the free ones that do not exist. The dataset's row is locked."""
    free = [key.name for key in keys if not key.vocabulary_id]
    await tx.connection.execute(_CREATE, [str(uuid.uuid4()) for _ in free], free)
    await tx.connection.execute(_SET, dataset_id, [key.name for key in keys], [key.vocabulary_id for key in keys])
