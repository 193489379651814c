"""Vocabularies: controlled lists of tags (catalog-api.md §B6). Who takes a tag away takes it off the datasets, too."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from datastore.catalog.datasets.resource_rows import decode_row
from datastore.catalog.datasets.rows import Tag, load_access
from datastore.catalog.editing.finish import touched
from datastore.catalog.names import tag_name
from datastore.errors import NotFound, ValidationError
from datastore.postgres.constraints import taken
from datastore.postgres.database import Transaction
from datastore.validation import NAME_MAX, NAME_MIN, Invalid, Problems, is_storable, objects, required_text, uuid4

NAME_TAKEN = "That vocabulary name is already in use."


class Vocabulary(msgspec.Struct, frozen=True):
    """A vocabulary with its tags, by name."""

    id: str
    name: str
    tags: tuple[Tag, ...] = ()


_SELECT = """
    SELECT row_to_json(found)
    FROM (
        SELECT vocabulary.*,
               (
                   SELECT coalesce(json_agg(tag ORDER BY tag.name COLLATE "C"), '[]')
                   FROM datastore.tags AS tag WHERE tag.vocabulary_id = vocabulary.id
               ) AS tags
        FROM datastore.vocabularies AS vocabulary
        WHERE $1::text IS NULL OR vocabulary.id = $1 OR vocabulary.name = $1
        ORDER BY vocabulary.id = $1 DESC, vocabulary.name COLLATE "C"
    ) AS found
"""

_NAME_IS_TAKEN = "SELECT EXISTS (SELECT FROM datastore.vocabularies WHERE id <> $2 AND (id = $1 OR name = $1))"

_FIND_TAG = """
    SELECT row_to_json(tag) FROM datastore.tags AS tag
    WHERE (tag.id = $1 OR tag.name = $1) AND tag.vocabulary_id IS NOT DISTINCT FROM $2
    ORDER BY tag.id = $1 DESC LIMIT 1
"""

_ADD_TAGS = """
    INSERT INTO datastore.tags (id, name, vocabulary_id)
    SELECT wanted.id, wanted.name, $1 FROM unnest($2::text[], $3::text[]) AS wanted (id, name)
    ON CONFLICT ON CONSTRAINT tags_name_key DO NOTHING
"""

_DATASETS_OF_TAGS = "SELECT DISTINCT dataset_id FROM datastore.dataset_tags WHERE tag_id = ANY ($1::text[])"


async def vocabulary_list(connection: asyncpg.Connection | asyncpg.Pool) -> list[Vocabulary]:
    """All vocabularies, by name."""
    return [decode_row(row[0], Vocabulary) for row in await connection.fetch(_SELECT, None)]


async def find_vocabulary(connection: asyncpg.Connection | asyncpg.Pool, id_or_name: str) -> Vocabulary:
    """The vocabulary of that id or name. Raises :class:`NotFound`."""
    row = await connection.fetchrow(_SELECT, id_or_name) if is_storable(id_or_name) else None
    if row is None:
        raise NotFound("Vocabulary")
    return decode_row(row[0], Vocabulary)


def show_vocabulary(vocabulary: Vocabulary) -> dict[str, Any]:
    """The vocabulary as the API shows it."""
    return {"id": vocabulary.id, "name": vocabulary.name, "tags": [show_tag(tag) for tag in vocabulary.tags]}


def show_tag(tag: Tag) -> dict[str, Any]:
    """A tag as the API shows it outside a dataset."""
    return {"id": tag.id, "name": tag.name, "display_name": tag.name, "vocabulary_id": tag.vocabulary_id}


async def create_vocabulary(tx: Transaction, data: Mapping[str, Any]) -> Vocabulary:
    """Create a vocabulary with its tags. Raises :class:`ValidationError`."""
    problems = Problems()
    vocabulary_id = str(uuid.uuid4())
    if data.get("id"):
        vocabulary_id = problems.check("id", uuid4, data["id"], vocabulary_id)
    name = problems.check("name", _name, data.get("name"), "")
    tags = _tag_names(problems, data)
    await _refuse_taken(tx, problems, name, vocabulary_id)
    problems.raise_if_any()
    with taken(vocabularies_name_key=("name", NAME_TAKEN), vocabularies_pkey=("id", "Vocabulary id already exists")):
        await tx.connection.execute(
            "INSERT INTO datastore.vocabularies (id, name) VALUES ($1, $2)", vocabulary_id, name
        )
    await _add_tags(tx, vocabulary_id, tags)
    return await find_vocabulary(tx.connection, vocabulary_id)


async def update_vocabulary(tx: Transaction, id_or_name: str, data: Mapping[str, Any]) -> Vocabulary:
    """Change the name, replace the tags: what was sent of them.

    Raises :class:`NotFound` and :class:`ValidationError`.
    """
    stored = await _lock(tx, id_or_name)
    problems = Problems()
    name = stored.name
    if data.get("name") not in (None, ""):
        name = problems.check("name", _name, data["name"], stored.name)
    tags = _tag_names(problems, data) if "tags" in data else None
    if name != stored.name:
        await _refuse_taken(tx, problems, name, stored.id)
    problems.raise_if_any()
    if name != stored.name:
        with taken(vocabularies_name_key=("name", NAME_TAKEN)):
            await tx.connection.execute("UPDATE datastore.vocabularies SET name = $2 WHERE id = $1", stored.id, name)
    if tags is not None:
        await _drop_tags(tx, [tag.id for tag in stored.tags if tag.name not in set(tags)])
        await _add_tags(tx, stored.id, tags)
    return await find_vocabulary(tx.connection, stored.id)


async def delete_vocabulary(tx: Transaction, id_or_name: str) -> None:
    """Delete a vocabulary and its tags, also where datasets have them. Raises :class:`NotFound`."""
    stored = await _lock(tx, id_or_name)
    await _drop_tags(tx, [tag.id for tag in stored.tags])
    await tx.connection.execute("DELETE FROM datastore.vocabularies WHERE id = $1", stored.id)


async def create_tag(tx: Transaction, name: Any, vocabulary: Any) -> Tag:
    """Add a tag to a vocabulary (its id or name). Raises :class:`ValidationError`."""
    problems = Problems()
    checked = problems.check("name", tag_name, name, "")
    key = problems.check("vocabulary_id", required_text, vocabulary, "")
    problems.raise_if_any()
    try:
        stored = await _lock(tx, key)
    except NotFound:
        raise ValidationError({"vocabulary_id": ["Tag vocabulary was not found."]}) from None
    if any(tag.name == checked for tag in stored.tags):
        raise ValidationError({"name": [f"Tag {checked} already belongs to vocabulary {stored.name}"]})
    await _add_tags(tx, stored.id, [checked])
    return decode_row(await tx.connection.fetchval(_FIND_TAG, checked, stored.id), Tag)


async def delete_tag(tx: Transaction, id_or_name: str, vocabulary: str | None) -> None:
    """Delete a tag of a vocabulary (its id or name), or a free one, also where datasets have it.

    Raises :class:`NotFound`.
    """
    vocabulary_id = (await find_vocabulary(tx.connection, vocabulary)).id if vocabulary else None
    row = await tx.connection.fetchval(_FIND_TAG, id_or_name, vocabulary_id) if is_storable(id_or_name) else None
    if row is None:
        raise NotFound("Tag")
    await _drop_tags(tx, [decode_row(row, Tag).id])


async def _lock(tx: Transaction, id_or_name: str) -> Vocabulary:
    """The vocabulary as it is now, locked. Raises :class:`NotFound`."""
    found = await find_vocabulary(tx.connection, id_or_name)
    await tx.connection.execute("SELECT FROM datastore.vocabularies WHERE id = $1 FOR UPDATE", found.id)
    return await find_vocabulary(tx.connection, found.id)


async def _refuse_taken(tx: Transaction, problems: Problems, name: str, vocabulary_id: str) -> None:
    if name and await tx.connection.fetchval(_NAME_IS_TAKEN, name, vocabulary_id):
        problems.add("name", NAME_TAKEN)


async def _add_tags(tx: Transaction, vocabulary_id: str, names: Sequence[str]) -> None:
    await tx.connection.execute(_ADD_TAGS, vocabulary_id, [str(uuid.uuid4()) for _ in names], names)


async def _drop_tags(tx: Transaction, tag_ids: Sequence[str]) -> None:
    rows = await tx.connection.fetch(_DATASETS_OF_TAGS, tag_ids)
    await tx.connection.execute("DELETE FROM datastore.tags WHERE id = ANY ($1::text[])", tag_ids)
    await touched(tx, await load_access(tx, [row["dataset_id"] for row in rows]))


def _tag_names(problems: Problems, data: Mapping[str, Any]) -> list[str]:
    nested, names = [], []
    for tag in objects("tags", data.get("tags")):
        problem = Problems()
        nested.append(problem)
        names.append(problem.check("name", tag_name, tag.get("name"), ""))
    problems.nested("tags", nested)
    return sorted(set(names))


def _name(value: Any) -> str:
    found = required_text(value).strip()
    if not NAME_MIN <= len(found) <= NAME_MAX:
        raise Invalid(f"Must be {NAME_MIN} to {NAME_MAX} characters long")
    return found
